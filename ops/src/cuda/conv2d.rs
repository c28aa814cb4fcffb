//! Convolution with bias, and its two gradients.
//!
//! Weights stay in PyTorch's order (O, C / groups, kh, kw) everywhere else; cuDNN's channels-last convolutions want
//! (O, kh, kw, C / groups). They are reordered for each call, in one pass over what is small beside the activations: the
//! optimizer changes weights in place, so a kept copy would need to learn of it.

use super::cudnn::{Convolved, Sizes, plan};
use super::depthwise;
use super::device::{
    Array, Number, Operand, Output, aligned_elements, device_of, elements, output, unwritten, with_number,
};
use super::pointwise::add_bias;
use super::transpose::transpose;
use crate::Conv;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::{DType, Result, Shape, bail};

/// Runs `$body` with `$number` bound to an element type that cuDNN convolves; `Ok(None)` for `f64`, which it does not.
macro_rules! with_convolved {
    ($operand:expr, $number:ident => $body:expr) => {
        match $operand.0.dtype() {
            DType::F32 => {
                type $number = f32;
                $body.map(Some)
            }
            DType::BF16 => {
                type $number = half::bf16;
                $body.map(Some)
            }
            DType::F64 => Ok(None),
            other => bail!("convolutions on a GPU compute in f32, f64 or bf16, got {other:?}"),
        }
    };
}
pub(super) use with_convolved;

/// x (B, H, W, C), weight (O, C / groups, kh, kw), bias (O) → (B, H', W', O)
pub(crate) fn forward(
    conv: Conv,
    x: Operand<'_>,
    weight: Operand<'_>,
    bias: Option<Operand<'_>>,
) -> Result<Option<Output>> {
    fn run<T: Convolved>(
        sizes: Sizes,
        x: Operand<'_>,
        weight: Operand<'_>,
        bias: Option<Operand<'_>>,
    ) -> Result<Output> {
        let device = device_of(x);
        let mut y = convolve::<T>(sizes, x, weight)?;
        if let Some(bias) = bias {
            add_bias(device, &elements::<T>(bias)?, &mut y)?;
        }
        Ok(output(y, device, (sizes.batch, sizes.out_height(), sizes.out_width(), sizes.outputs)))
    }
    let sizes = Sizes::new(conv, x.1.shape(), weight.1.shape())?;
    if depthwise::fits(sizes) {
        return with_number!(x, T => depthwise::forward::<T>(sizes, x, weight, bias).map(Some));
    }
    with_convolved!(x, T => run::<T>(sizes, x, weight, bias))
}

/// The convolution without its bias.
pub(super) fn convolve<T: Convolved>(sizes: Sizes, x: Operand<'_>, weight: Operand<'_>) -> Result<CudaSlice<T>> {
    let device = device_of(x);
    let mut y = unwritten::<T>(device, sizes.out_len())?;
    let weight = reordered(weight, sizes)?;
    plan(device, sizes)?.forward(device, &aligned_elements(x)?.view(), &weight.view(), &mut y)?;
    Ok(y)
}

/// (upstream gradient (B, H', W', O), weight) → gradient of the input, of shape `x`
pub(crate) fn gradient_of_input(conv: Conv, x: &Shape, g: Operand<'_>, weight: Operand<'_>) -> Result<Option<Output>> {
    let sizes = Sizes::new(conv, x, weight.1.shape())?;
    if depthwise::fits(sizes) {
        return with_number!(g, T => depthwise::gradient_of_input::<T>(sizes, x, g, weight).map(Some));
    }
    with_convolved!(g, T => {
        let slopes = aligned_elements::<T>(g)?;
        convolve_back(device_of(g), sizes, &slopes.view(), weight).map(|out| output(out, device_of(g), x))
    })
}

/// The gradient of the input of [`convolve`].
pub(super) fn convolve_back<T: Convolved>(
    device: &CudaDevice,
    sizes: Sizes,
    g: &CudaView<'_, T>,
    weight: Operand<'_>,
) -> Result<CudaSlice<T>> {
    sizes.expect_upstream(g.len())?;
    let mut x = unwritten::<T>(device, sizes.batch * sizes.height * sizes.width * sizes.channels)?;
    let weight = reordered(weight, sizes)?;
    plan(device, sizes)?.gradient_of_input(device, g, &weight.view(), &mut x)?;
    Ok(x)
}

/// (upstream gradient (B, H', W', O), input) → gradient of the weight, of shape `weight`
pub(crate) fn gradient_of_weight(conv: Conv, weight: &Shape, g: Operand<'_>, x: Operand<'_>) -> Result<Option<Output>> {
    let sizes = Sizes::new(conv, x.1.shape(), weight)?;
    if depthwise::fits(sizes) {
        return with_number!(g, T => depthwise::gradient_of_weight::<T>(sizes, weight, g, x).map(Some));
    }
    with_convolved!(g, T => {
        let slopes = aligned_elements::<T>(g)?;
        weight_sums(device_of(g), sizes, &slopes.view(), x).map(|out| output(out, device_of(g), weight))
    })
}

/// The gradient of the weight of [`convolve`], in the weight's order.
pub(super) fn weight_sums<T: Convolved>(
    device: &CudaDevice,
    sizes: Sizes,
    g: &CudaView<'_, T>,
    x: Operand<'_>,
) -> Result<CudaSlice<T>> {
    sizes.expect_upstream(g.len())?;
    let mut gradient = unwritten::<T>(device, sizes.weight_len())?;
    plan(device, sizes)?.gradient_of_weight(device, g, &aligned_elements(x)?.view(), &mut gradient)?;
    let (inputs, taps) = inner(sizes);
    if inputs == 1 || taps == 1 { Ok(gradient) } else { transpose(device, &gradient.as_view(), taps, inputs) }
}

/// A weight in cuDNN's order, (O, kh, kw, C / groups).
fn reordered<'a, T: Number>(weight: Operand<'a>, sizes: Sizes) -> Result<Array<'a, T>> {
    let (inputs, taps) = inner(sizes);
    if inputs == 1 || taps == 1 {
        return aligned_elements(weight);
    }
    Ok(Array::Made(transpose(device_of(weight), &elements(weight)?, inputs, taps)?))
}

/// Channels of a group, and taps of the kernel.
fn inner(sizes: Sizes) -> (usize, usize) {
    (sizes.channels / sizes.conv.groups, sizes.kernel_height * sizes.kernel_width)
}
