//! Scale and shift per channel (a batch norm whose statistics are frozen), alone and with what follows it in a net.

use crate::host::{Real, cuda_kernel, slice, storage, with_real};
use crate::relu::{pass_where_positive, positive, where_positive};
use crate::rows::{GRAIN, fill, last_axis, same_shape, sum_rows};
use crate::{Pullback, Pullbacks};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// x · scale + shift: x (…, C), scale (C), shift (C) → (…, C).
///
/// # Errors
/// If the shapes do not fit, or the element type is neither `f32` nor `f64`.
pub fn affine(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&parameters(x, scale, shift)?, Affine { relu: false })
}

/// [`affine`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`affine`].
pub fn affine_with_pullback(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<(Tensor, Pullback)> {
    let parameters = parameters(x, scale, shift)?.detach();
    let result = x.contiguous()?.apply_op2_no_bwd(&parameters, &Affine { relu: false })?;
    Ok((result, Box::new(move |gradient| scaled(gradient, &parameters))))
}

/// max(x · scale + shift, 0): shapes as [`affine`].
///
/// # Errors
/// As [`affine`].
pub fn affine_relu(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&parameters(x, scale, shift)?, Affine { relu: true })
}

/// [`affine_relu`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`affine`].
pub fn affine_relu_with_pullback(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<(Tensor, Pullback)> {
    let parameters = parameters(x, scale, shift)?.detach();
    let result = x.contiguous()?.apply_op2_no_bwd(&parameters, &Affine { relu: true })?;
    let kept = result.clone();
    Ok((result, Box::new(move |gradient| masked_and_scaled(gradient, &kept, &parameters))))
}

/// max(x · scale + shift + residual, 0), the end of a residual block: x and residual (…, C), scale (C), shift (C).
///
/// # Errors
/// If the shapes do not fit, or the element type is neither `f32` nor `f64`.
pub fn affine_add_relu(x: &Tensor, scale: &Tensor, shift: &Tensor, residual: &Tensor) -> Result<Tensor> {
    same_shape("affine_add_relu", x.dims(), residual.dims())?;
    x.contiguous()?.apply_op3(&parameters(x, scale, shift)?, &residual.contiguous()?, AffineAddRelu)
}

/// [`affine_add_relu`], and the gradients of x and of the residual given that of the result.
///
/// # Errors
/// As [`affine_add_relu`].
pub fn affine_add_relu_with_pullback(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    residual: &Tensor,
) -> Result<(Tensor, Pullbacks<2>)> {
    same_shape("affine_add_relu", x.dims(), residual.dims())?;
    let parameters = parameters(x, scale, shift)?.detach();
    let result = x.contiguous()?.apply_op3_no_bwd(&parameters, &residual.contiguous()?, &AffineAddRelu)?;
    let kept = result.clone();
    let pullback = move |gradient: &Tensor| {
        let of_residual = pass_where_positive(&kept, gradient)?;
        Ok([scaled(&of_residual, &parameters)?, of_residual])
    };
    Ok((result, Box::new(pullback)))
}

/// Scale and shift as one tensor (2, C), because candle's operations take at most three.
pub(crate) fn parameters(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let channels = last_axis("affine", x.dims())?;
    for (name, values) in [("scale", scale), ("shift", shift)] {
        if values.dims() != [channels] {
            candle_core::bail!("affine: a {name} of {channels} values is needed, got {:?}", values.dims());
        }
    }
    Tensor::stack(&[scale, shift], 0)
}

/// gradient · scale
pub(crate) fn scaled(gradient: &Tensor, parameters: &Tensor) -> Result<Tensor> {
    gradient.contiguous()?.apply_op2_no_bwd(parameters, &ScaleGradient)
}

/// gradient · scale where the result is positive, else 0.
fn masked_and_scaled(gradient: &Tensor, result: &Tensor, parameters: &Tensor) -> Result<Tensor> {
    gradient.contiguous()?.apply_op3_no_bwd(result, parameters, &MaskedScaleGradient)
}

/// The gradients of x and of the parameters, where tracked, given that of the affine map's own result.
fn gradients(x: &Tensor, parameters: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let of_x = || scaled(gradient, parameters);
    let of_parameters = || gradient.apply_op2_no_bwd(x, &ParameterGradient);
    Ok((x.track_op().then(of_x).transpose()?, parameters.track_op().then(of_parameters).transpose()?))
}

/// Scale and shift of every channel, repeated until a line of them is long enough for vector instructions.
struct Line<T> {
    scale: Vec<T>,
    shift: Vec<T>,
}

impl<T: Real> Line<T> {
    /// Shortest length that is worth a loop of its own.
    const SHORT: usize = 128;

    fn new(parameters: &[T]) -> Self {
        let (scale, shift) = parameters.split_at(parameters.len() / 2);
        let repetitions = Self::SHORT.div_ceil(scale.len());
        Self { scale: scale.repeat(repetitions), shift: shift.repeat(repetitions) }
    }

    /// Elements of one task: whole lines.
    fn task(&self) -> usize {
        self.scale.len() * (GRAIN / self.scale.len()).max(1)
    }

    /// f(x, scale, shift), element by element.
    fn map(&self, x: &[T], f: impl Fn(T, T, T) -> T + Sync) -> Vec<T> {
        fill(
            x.len(),
            self.task(),
            #[inline(always)]
            |first, out: &mut [T]| {
                for (out, x) in out.chunks_mut(self.scale.len()).zip(x[first..].chunks(self.scale.len())) {
                    for (((out, &x), &scale), &shift) in out.iter_mut().zip(x).zip(&self.scale).zip(&self.shift) {
                        *out = f(x, scale, shift);
                    }
                }
            },
        )
    }

    /// f(x, y, scale, shift), element by element.
    fn map2(&self, x: &[T], y: &[T], f: impl Fn(T, T, T, T) -> T + Sync) -> Vec<T> {
        let width = self.scale.len();
        fill(
            x.len(),
            self.task(),
            #[inline(always)]
            |first, out: &mut [T]| {
                let lines = out.chunks_mut(width).zip(x[first..].chunks(width)).zip(y[first..].chunks(width));
                for ((out, x), y) in lines {
                    let parameters = self.scale.iter().zip(&self.shift);
                    for (((out, &x), &y), (&scale, &shift)) in out.iter_mut().zip(x).zip(y).zip(parameters) {
                        *out = f(x, y, scale, shift);
                    }
                }
            },
        )
    }
}

struct Affine {
    relu: bool,
}

impl CustomOp2 for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        p: &CpuStorage,
        p_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(x, T => {
            let (x, line) = (slice::<T>(x, x_layout)?, Line::new(slice::<T>(p, p_layout)?));
            storage(match self.relu {
                true => line.map(x, |x, scale, shift| positive(x * scale + shift)),
                false => line.map(x, |x, scale, shift| x * scale + shift),
            })
        });
        Ok((result, x_layout.shape().clone()))
    }

    cuda_kernel!(self, x x_layout, p p_layout => {
        crate::cuda::affine((x, x_layout), (p, p_layout), None, self.relu)
    });

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !self.relu {
            return gradients(x, parameters, &gradient.contiguous()?);
        }
        if !parameters.track_op() {
            return Ok((Some(masked_and_scaled(gradient, result, parameters)?), None));
        }
        gradients(x, parameters, &pass_where_positive(result, gradient)?)
    }
}

struct AffineAddRelu;

impl CustomOp3 for AffineAddRelu {
    fn name(&self) -> &'static str {
        "affine-add-relu"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        p: &CpuStorage,
        p_layout: &Layout,
        r: &CpuStorage,
        r_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(x, T => {
            let (x, r) = (slice::<T>(x, x_layout)?, slice::<T>(r, r_layout)?);
            let line = Line::new(slice::<T>(p, p_layout)?);
            storage(line.map2(x, r, |x, r, scale, shift| positive(x * scale + shift + r)))
        });
        Ok((result, x_layout.shape().clone()))
    }

    cuda_kernel!(self, x x_layout, p p_layout, r r_layout => {
        crate::cuda::affine((x, x_layout), (p, p_layout), Some((r, r_layout)), true)
    });

    fn bwd(
        &self,
        x: &Tensor,
        parameters: &Tensor,
        residual: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let of_residual = pass_where_positive(result, gradient)?;
        let (of_x, of_parameters) = gradients(x, parameters, &of_residual)?;
        Ok((of_x, of_parameters, residual.track_op().then_some(of_residual)))
    }
}

/// (upstream gradient, parameters) → gradient of x.
struct ScaleGradient;

impl CustomOp2 for ScaleGradient {
    fn name(&self) -> &'static str {
        "affine-gradient"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        p: &CpuStorage,
        p_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(g, T => {
            let line = Line::new(slice::<T>(p, p_layout)?);
            storage(line.map(slice(g, g_layout)?, |g, scale, _| g * scale))
        });
        Ok((result, g_layout.shape().clone()))
    }

    cuda_kernel!(self, g g_layout, p p_layout => crate::cuda::affine_gradient((g, g_layout), None, (p, p_layout)));
}

/// (upstream gradient, result, parameters) → gradient of x before the affine map and the ReLU.
struct MaskedScaleGradient;

impl CustomOp3 for MaskedScaleGradient {
    fn name(&self) -> &'static str {
        "affine-relu-gradient"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        p: &CpuStorage,
        p_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(g, T => {
            let (g, y) = (slice::<T>(g, g_layout)?, slice::<T>(y, y_layout)?);
            let line = Line::new(slice::<T>(p, p_layout)?);
            storage(line.map2(g, y, |g, y, scale, _| where_positive(y, g * scale)))
        });
        Ok((result, g_layout.shape().clone()))
    }

    cuda_kernel!(self, g g_layout, y y_layout, p p_layout => {
        crate::cuda::affine_gradient((g, g_layout), Some((y, y_layout)), (p, p_layout))
    });
}

/// (upstream gradient, x) → gradients of scale and shift (2, C).
struct ParameterGradient;

impl CustomOp2 for ParameterGradient {
    fn name(&self) -> &'static str {
        "affine-gradient-of-parameters"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn sums<T: Real>(g: &[T], x: &[T], channels: usize) -> CpuStorage {
            let sums = sum_rows(
                g.len() / channels,
                channels,
                2 * channels,
                #[inline(always)]
                |rows, sums: &mut [f64]| {
                    let (of_scale, of_shift) = sums.split_at_mut(channels);
                    let elements = rows.start * channels..rows.end * channels;
                    let rows = g[elements.clone()].chunks_exact(channels).zip(x[elements].chunks_exact(channels));
                    for (g, x) in rows {
                        for (((of_scale, of_shift), g), x) in of_scale.iter_mut().zip(of_shift.iter_mut()).zip(g).zip(x)
                        {
                            *of_scale += g.to_f64() * x.to_f64();
                            *of_shift += g.to_f64();
                        }
                    }
                },
            );
            storage(sums.into_iter().map(T::from_f64).collect())
        }
        let channels = last_axis("affine", x_layout.dims())?;
        let result = with_real!(g, T => sums::<T>(slice(g, g_layout)?, slice(x, x_layout)?, channels));
        Ok((result, Shape::from((2, channels))))
    }

    cuda_kernel!(self, g g_layout, x x_layout => crate::cuda::sums_per_channel((g, g_layout), (x, x_layout)));
}
