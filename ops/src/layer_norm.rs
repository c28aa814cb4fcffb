//! Layer normalization.

use crate::Pullback;
use crate::elementary::Elementary;
use crate::host::{cuda_kernel, slice, storage, with_real};
use crate::reduce::{sum, sum2};
use crate::rows::{fill_rows, last_axis, same_shape, sum_rows};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// (x − mean) / √(variance + epsilon) · weight + bias, mean and biased variance along the last axis:
/// x (…, D), weight (D), bias (D) → (…, D).
///
/// Source: Ba et al., Layer Normalization, arXiv 1607.06450.
///
/// # Errors
/// If the shapes do not fit, or the element type is neither `f32` nor `f64`.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, epsilon: f64) -> Result<Tensor> {
    check(x, weight, bias)?;
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, LayerNorm { epsilon })
}

/// [`layer_norm`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`layer_norm`].
pub fn layer_norm_with_pullback(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Result<(Tensor, Pullback)> {
    check(x, weight, bias)?;
    let (x, weight) = (x.detach().contiguous()?, weight.detach().contiguous()?);
    let result = x.apply_op3_no_bwd(&weight, &bias.contiguous()?, &LayerNorm { epsilon })?;
    let gradient = InputGradient { epsilon };
    Ok((result, Box::new(move |upstream| x.apply_op3_no_bwd(&weight, &upstream.contiguous()?, &gradient))))
}

fn check(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<()> {
    let features = last_axis("layer_norm", x.dims())?;
    for (name, values) in [("weight", weight), ("bias", bias)] {
        if values.dims() != [features] {
            bail!("layer_norm: a {name} of {features} values is needed, got {:?}", values.dims());
        }
    }
    Ok(())
}

struct LayerNorm {
    epsilon: f64,
}

/// Mean and 1 / √(variance + epsilon) of one row.
#[inline(always)]
fn statistics<T: Elementary>(x: &[T], epsilon: f64) -> (T, T) {
    let count = T::from_f64(x.len() as f64);
    let mean = sum(x, |x| x) / count;
    let variance = sum(x, |x| (x - mean) * (x - mean)) / count;
    (mean, T::one() / (variance + T::from_f64(epsilon)).sqrt())
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(x, T => {
            let (x, w, b) = (slice::<T>(x, x_layout)?, slice(w, w_layout)?, slice(b, b_layout)?);
            storage(normalized(x, w, b, self.epsilon))
        });
        Ok((result, x_layout.shape().clone()))
    }

    cuda_kernel!(self, x x_layout, w w_layout, b b_layout => {
        crate::cuda::layer_norm((x, x_layout), (w, w_layout), (b, b_layout), self.epsilon)
    });

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (gradient, epsilon) = (gradient.contiguous()?, self.epsilon);
        let of_x = || x.apply_op3_no_bwd(weight, &gradient, &InputGradient { epsilon });
        let of_x = x.track_op().then(of_x).transpose()?;
        if !weight.track_op() && !bias.track_op() {
            return Ok((of_x, None, None));
        }
        let both = x.apply_op2_no_bwd(&gradient, &ParameterGradient { epsilon })?;
        let of = |parameter: &Tensor, index: usize| parameter.track_op().then(|| both.get(index)).transpose();
        Ok((of_x, of(weight, 0)?, of(bias, 1)?))
    }
}

fn normalized<T: Elementary>(x: &[T], weight: &[T], bias: &[T], epsilon: f64) -> Vec<T> {
    let row_len = weight.len();
    fill_rows(
        x.len(),
        row_len,
        #[inline(always)]
        |row, out: &mut [T]| {
            let x = &x[row * row_len..][..row_len];
            let (mean, inverse) = statistics(x, epsilon);
            for (((out, &x), &weight), &bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = (x - mean) * inverse * weight + bias;
            }
        },
    )
}

/// (x, weight, upstream gradient) → gradient of x.
struct InputGradient {
    epsilon: f64,
}

impl CustomOp3 for InputGradient {
    fn name(&self) -> &'static str {
        "layer-norm-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        same_shape("the gradient of layer_norm", x_layout.dims(), g_layout.dims())?;
        let result = with_real!(x, T => {
            let (x, w, g) = (slice::<T>(x, x_layout)?, slice(w, w_layout)?, slice(g, g_layout)?);
            storage(input_gradient(x, w, g, self.epsilon))
        });
        Ok((result, x_layout.shape().clone()))
    }

    cuda_kernel!(self, x x_layout, w w_layout, g g_layout => {
        crate::cuda::layer_norm_gradient((x, x_layout), (w, w_layout), (g, g_layout), self.epsilon)
    });
}

/// With n the normalized row and h = g · weight: (h − mean(h) − n mean(h n)) / √(variance + epsilon).
fn input_gradient<T: Elementary>(x: &[T], weight: &[T], g: &[T], epsilon: f64) -> Vec<T> {
    let row_len = weight.len();
    fill_rows(
        x.len(),
        row_len,
        #[inline(always)]
        |row, out: &mut [T]| {
            let (x, g) = (&x[row * row_len..][..row_len], &g[row * row_len..][..row_len]);
            let (mean, inverse) = statistics(x, epsilon);
            for ((out, &g), &weight) in out.iter_mut().zip(g).zip(weight) {
                *out = g * weight;
            }
            let count = T::from_f64(row_len as f64);
            let shift = sum(out, |h| h) / count;
            let slope = sum2(out, x, |h, x| h * (x - mean)) * inverse * inverse / count;
            for (out, &x) in out.iter_mut().zip(x) {
                *out = (*out - shift - (x - mean) * slope) * inverse;
            }
        },
    )
}

/// (x, upstream gradient) → gradients of weight and bias (2, D).
struct ParameterGradient {
    epsilon: f64,
}

impl CustomOp2 for ParameterGradient {
    fn name(&self) -> &'static str {
        "layer-norm-gradient-of-parameters"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let features = last_axis("layer_norm", x_layout.dims())?;
        let result = with_real!(x, T => {
            let (x, g) = (slice::<T>(x, x_layout)?, slice(g, g_layout)?);
            storage(parameter_gradient(x, g, features, self.epsilon))
        });
        Ok((result, Shape::from((2, features))))
    }

    cuda_kernel!(self, x x_layout, g g_layout => {
        crate::cuda::layer_norm_gradient_of_parameters((x, x_layout), (g, g_layout), self.epsilon)
    });
}

fn parameter_gradient<T: Elementary>(x: &[T], g: &[T], features: usize, epsilon: f64) -> Vec<T> {
    let sums = sum_rows(
        x.len() / features,
        features,
        2 * features,
        #[inline(always)]
        |rows, sums: &mut [f64]| {
            let (of_weight, of_bias) = sums.split_at_mut(features);
            for row in rows {
                let (x, g) = (&x[row * features..][..features], &g[row * features..][..features]);
                let (mean, inverse) = statistics(x, epsilon);
                for (((of_weight, of_bias), &x), &g) in of_weight.iter_mut().zip(of_bias.iter_mut()).zip(x).zip(g) {
                    *of_weight += (g * ((x - mean) * inverse)).to_f64();
                    *of_bias += g.to_f64();
                }
            }
        },
    );
    sums.into_iter().map(T::from_f64).collect()
}
