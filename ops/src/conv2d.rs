//! Convolution as matrix products over unfolded patches (im2col).

use crate::bias::sum_per_channel;
use crate::host::{Real, cuda_through_host, slice, with_real};
use crate::matrix::{Into, Threads, View, multiply};
use crate::window::{Axis, Window};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Pictures whose weight gradients are summed by one task. A constant, not a share of the threads: sums in another
/// order would be other bits.
const PICTURES_PER_SUM: usize = 8;

/// Convolution: x (B, C, H, W), weight (O, C, kh, kw), bias (O) → (B, O, H', W'), H' = ⌊(H + 2·padding − kh) / stride⌋ + 1.
///
/// Correlation, as in PyTorch: the kernel is not flipped. Padding is zeros.
///
/// # Errors
/// If the shapes do not fit, the stride is 0, or the element type is neither `f32` nor `f64`.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, stride: usize, padding: usize) -> Result<Tensor> {
    let bias = checked_bias(x, weight, bias)?;
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias, Conv2d { stride, padding })
}

/// The bias, zeros where there is none, once the channels of input, weight and bias fit together.
pub(crate) fn checked_bias(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ((_, channels, _, _), (outputs, weight_channels, _, _)) = (x.dims4()?, weight.dims4()?);
    if channels != weight_channels {
        candle_core::bail!("conv2d: x has {channels} channels, the weight (O, C, kh, kw) expects {weight_channels}");
    }
    match bias {
        Some(bias) if bias.dims() == [outputs] => bias.contiguous(),
        Some(bias) => candle_core::bail!("conv2d: a bias of {outputs} values is needed, got {:?}", bias.dims()),
        None => Tensor::zeros(outputs, x.dtype(), x.device()),
    }
}

/// How a kernel moves over a picture.
#[derive(Clone, Copy)]
pub(crate) struct Conv2d {
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Conv2d {
    /// The window over one picture of `x` (B, C, H, W) under a kernel of `weight` (O, C, kh, kw).
    pub(crate) fn window(&self, x: &Shape, weight: &Shape) -> Result<Window> {
        let ((_, channels, height, width), (_, _, kernel_height, kernel_width)) = (x.dims4()?, weight.dims4()?);
        Ok(Window {
            channels,
            rows: Axis::new(height, kernel_height, self.stride, self.padding)?,
            columns: Axis::new(width, kernel_width, self.stride, self.padding)?,
        })
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
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
        let window = self.window(x_layout.shape(), w_layout.shape())?;
        let (batch, outputs) = (x_layout.dims()[0], w_layout.dims()[0]);
        let out = with_real!(x, T => {
            let weight = View::new(slice::<T>(w, w_layout)?, outputs, window.patch_len());
            forward(slice(x, x_layout)?, weight, slice(b, b_layout)?, window)
        });
        Ok((out, Shape::from((batch, outputs, window.rows.output, window.columns.output))))
    }

    cuda_through_host!(x x_layout, w w_layout, b b_layout);

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let of_x = || gradient.apply_op2_no_bwd(w, &GradientOfInput(*self, x.shape().clone()));
        let of_w = || gradient.apply_op2_no_bwd(x, &GradientOfWeight(*self, w.shape().clone()));
        Ok((
            x.track_op().then(of_x).transpose()?,
            w.track_op().then(of_w).transpose()?,
            b.track_op().then(|| sum_per_channel(&gradient)).transpose()?,
        ))
    }
}

/// One task a picture.
fn forward<T: Real>(x: &[T], weight: View<'_, T>, bias: &[T], window: Window) -> CpuStorage {
    let picture_len = bias.len() * window.positions();
    let mut out = vec![T::zero(); x.len() / window.input_len() * picture_len];
    let pictures = out.par_chunks_mut(picture_len).zip(x.par_chunks(window.input_len()));
    pictures.for_each_init(
        || window.scratch(),
        |columns, (out, picture)| convolve(picture, weight, bias, window, columns, out),
    );
    T::to_cpu_storage_owned(out)
}

/// Convolves one picture: unfold, then multiply over a destination that starts as the bias.
pub(crate) fn convolve<T: Real>(
    picture: &[T],
    weight: View<'_, T>,
    bias: &[T],
    window: Window,
    columns: &mut [T],
    out: &mut [T],
) {
    let positions = window.positions();
    window.unfold(picture, columns);
    for (plane, &bias) in out.chunks_exact_mut(positions).zip(bias) {
        plane.fill(bias);
    }
    multiply(out, weight, View::new(columns, window.patch_len(), positions), Into::Accumulate, Threads::One);
}

/// Adds the gradient of one picture to `out`, given that of its convolution `g` (O, positions).
pub(crate) fn convolve_back<T: Real>(
    g: View<'_, T>,
    weight: View<'_, T>,
    window: Window,
    columns: &mut [T],
    out: &mut [T],
) {
    multiply(columns, weight.transposed(), g, Into::Overwrite, Threads::One);
    window.fold(columns, out);
}

/// (upstream gradient (B, O, H', W'), weight) → gradient of the input, whose shape is kept here.
struct GradientOfInput(Conv2d, Shape);

impl CustomOp2 for GradientOfInput {
    fn name(&self) -> &'static str {
        "conv2d-gradient-of-input"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn backward<T: Real>(g: &[T], weight: View<'_, T>, window: Window, outputs: usize) -> CpuStorage {
            let picture_len = outputs * window.positions();
            let mut out = vec![T::zero(); g.len() / picture_len * window.input_len()];
            let pictures = out.par_chunks_mut(window.input_len()).zip(g.par_chunks(picture_len));
            pictures.for_each_init(
                || window.scratch(),
                |columns, (out, g)| {
                    convolve_back(View::new(g, outputs, window.positions()), weight, window, columns, out);
                },
            );
            T::to_cpu_storage_owned(out)
        }
        let (window, outputs) = (self.0.window(&self.1, w_layout.shape())?, w_layout.dims()[0]);
        let out = with_real!(g, T => {
            let weight = View::new(slice::<T>(w, w_layout)?, outputs, window.patch_len());
            backward(slice(g, g_layout)?, weight, window, outputs)
        });
        Ok((out, self.1.clone()))
    }

    cuda_through_host!(g g_layout, w w_layout);
}

/// (upstream gradient (B, O, H', W'), input) → gradient of the weight, whose shape is kept here.
struct GradientOfWeight(Conv2d, Shape);

impl CustomOp2 for GradientOfWeight {
    fn name(&self) -> &'static str {
        "conv2d-gradient-of-weight"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (window, outputs) = (self.0.window(x_layout.shape(), &self.1)?, self.1.dims()[0]);
        let picture_len = outputs * window.positions();
        let out = with_real!(g, T => {
            let g = slice::<T>(g, g_layout)?;
            let copy = |picture: usize, to: &mut [T]| to.copy_from_slice(&g[picture * picture_len..][..picture_len]);
            weight_gradient(slice(x, x_layout)?, window, outputs, copy)
        });
        Ok((out, self.1.clone()))
    }

    cuda_through_host!(g g_layout, x x_layout);
}

/// The gradient of the weight (O, patch), given how to write the upstream gradient (O, positions) of one picture.
///
/// Sums over groups of pictures side by side, then over the groups in order.
pub(crate) fn weight_gradient<T: Real>(
    x: &[T],
    window: Window,
    outputs: usize,
    upstream: impl Fn(usize, &mut [T]) + Sync,
) -> CpuStorage {
    let (positions, patch) = (window.positions(), window.patch_len());
    let group = |(index, pictures): (usize, &[T])| {
        let (mut sum, mut columns, mut g) =
            (vec![T::zero(); outputs * patch], window.scratch(), vec![T::zero(); outputs * positions]);
        for (offset, picture) in pictures.chunks_exact(window.input_len()).enumerate() {
            upstream(index * PICTURES_PER_SUM + offset, &mut g);
            window.unfold(picture, &mut columns);
            let patches = View::new(&columns, patch, positions).transposed();
            multiply(&mut sum, View::new(&g, outputs, positions), patches, Into::Accumulate, Threads::One);
        }
        sum
    };
    let sums: Vec<Vec<T>> = x.par_chunks(PICTURES_PER_SUM * window.input_len()).enumerate().map(group).collect();
    let mut total = vec![T::zero(); outputs * patch];
    for sum in sums {
        total.iter_mut().zip(sum).for_each(|(total, value)| *total += value);
    }
    T::to_cpu_storage_owned(total)
}
