//! The block convolution–pooling–ReLU: cuDNN's convolution, then bias, pooling and ReLU in one kernel.

use super::conv2d::{convolve, convolve_back, weight_sums, with_convolved};
use super::cudnn::{Convolved, Sizes};
use super::device::{NULL, Operand, Output, device_of, elements, one_thread_each, output, unwritten};
use super::pool::{KERNELS, Window, expect_upstream};
use crate::Conv;
use crate::pooling::Pooling;
use crate::winners::Winners;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, PushKernelArg};
use candle_core::{DType, Result, Shape, bail};

/// The block's result and, where they are to be kept, its winners: for each element, which of the window's four values
/// it is, row-major, or 4 if none was positive.
type Pooled = (Output, Option<CudaSlice<u8>>);

/// ReLU(max_pool(conv(x), 2, 2)): (B, H, W, C) → (B, H' / 2, W' / 2, O). `None` for element types that cuDNN lacks.
pub(crate) fn forward(
    conv: Conv,
    x: Operand<'_>,
    weight: Operand<'_>,
    bias: Option<Operand<'_>>,
    keep: bool,
) -> Result<Option<Pooled>> {
    let sizes = Sizes::new(conv, x.1.shape(), weight.1.shape())?;
    let pooling = over_convolved(sizes)?;
    with_convolved!(x, T => {
        let convolved = convolve::<T>(sizes, x, weight);
        convolved.and_then(|convolved| pool_relu(device_of(x), &convolved, bias, pooling, keep))
    })
}

/// Adds the bias, pools and rectifies.
fn pool_relu<T: Convolved>(
    device: &CudaDevice,
    convolved: &CudaSlice<T>,
    bias: Option<Operand<'_>>,
    pooling: Pooling,
    keep: bool,
) -> Result<Pooled> {
    let (shape, window) = (pooling.output(), Window::new(pooling)?);
    let mut y = unwritten::<T>(device, shape.elem_count())?;
    let mut won = keep.then(|| unwritten::<u8>(device, shape.elem_count())).transpose()?;
    let bias = bias.map(elements::<T>).transpose()?;
    if bias.as_ref().is_some_and(|bias| bias.len() != shape.dims()[3]) {
        bail!("conv2d_pool_relu: a bias of {} values is needed", shape.dims()[3]);
    }
    let (grid, count) = one_thread_each(shape.elem_count())?;
    let kernel = KERNELS.kernel::<T>(device, "pool_relu")?;
    let mut call = kernel.builder();
    call.arg(convolved);
    match &bias {
        Some(bias) => call.arg(bias),
        None => call.arg(&NULL),
    };
    call.arg(&mut y);
    match &mut won {
        Some(won) => call.arg(won),
        None => call.arg(&NULL),
    };
    call.arg(&window).arg(&count);
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the kernel's parameters are (const T*, const T* or null, T*, unsigned char* or null, Window, unsigned); it
    // writes `count` elements of both results and reads the convolution inside the window's sizes, which are its own.
    unsafe { call.launch(grid) }?;
    Ok((output(y, device, shape), won))
}

/// (upstream gradient, weight, winners) → gradient of the block's input, of shape `x`
pub(crate) fn gradient_of_input(
    conv: Conv,
    x: &Shape,
    g: Operand<'_>,
    weight: Operand<'_>,
    won: &Winners<u8>,
) -> Result<Option<Output>> {
    let (sizes, device) = (Sizes::new(conv, x, weight.1.shape())?, device_of(g));
    with_convolved!(g, T => {
        let convolved = won.on_device().and_then(|won| unpool::<T>(device, sizes, g, won));
        convolved.and_then(|slopes| Ok(output(convolve_back(device, sizes, &slopes.as_view(), weight)?, device, x)))
    })
}

/// (upstream gradient, input, winners) → gradient of the block's weight, of shape `weight`
pub(crate) fn gradient_of_weight(
    conv: Conv,
    weight: &Shape,
    g: Operand<'_>,
    x: Operand<'_>,
    won: &Winners<u8>,
) -> Result<Option<Output>> {
    let (sizes, device) = (Sizes::new(conv, x.1.shape(), weight)?, device_of(g));
    with_convolved!(g, T => {
        let convolved = won.on_device().and_then(|won| unpool::<T>(device, sizes, g, won));
        convolved.and_then(|slopes| Ok(output(weight_sums(device, sizes, &slopes.as_view(), x)?, device, weight)))
    })
}

/// The gradient of the convolution inside a block, from that of the block's result.
fn unpool<T: Convolved>(
    device: &CudaDevice,
    sizes: Sizes,
    g: Operand<'_>,
    won: &CudaSlice<u8>,
) -> Result<CudaSlice<T>> {
    let (pooling, slopes) = (over_convolved(sizes)?, elements::<T>(g)?);
    expect_upstream(pooling, slopes.len())?;
    expect_upstream(pooling, won.len())?;
    let window = Window::new(pooling)?;
    let mut out = unwritten::<T>(device, sizes.out_len())?;
    let (grid, count) = one_thread_each(sizes.out_len())?;
    let kernel = KERNELS.kernel::<T>(device, "pool_relu_gradient")?;
    let mut call = kernel.builder();
    call.arg(&slopes).arg(won).arg(&mut out).arg(&window).arg(&count);
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the kernel's parameters are (const T*, const unsigned char*, T*, Window, unsigned); it writes `count`
    // elements, the length of `out`, and reads both inputs inside the pooled sizes, which were checked to be theirs.
    unsafe { call.launch(grid) }?;
    Ok(out)
}

/// The 2×2 windows over a convolution's result.
fn over_convolved(sizes: Sizes) -> Result<Pooling> {
    let shape = Shape::from((sizes.batch, sizes.out_height(), sizes.out_width(), sizes.outputs));
    Pooling::new("conv2d_pool_relu", &shape, 2, 2, 0)
}
