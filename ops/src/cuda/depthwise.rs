//! Convolution in which each channel has a kernel of its own.
//!
//! cuDNN would treat it as one convolution a channel. The kernels take `f64` as well.

use super::cudnn::Sizes;
use super::device::{Number, Operand, Output, Source, device_of, elements, index, map_with, output, source, unwritten};
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::{Result, Shape, bail};

const KERNELS: Source = source!("depthwise");

/// The shape of a block of the weight's gradient. The kernel's constants of the same names.
const ACROSS: u32 = 32;
const DEEP: u32 = 8;

/// The kernels' struct of the same name and order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Depthwise {
    batch: u32,
    height: u32,
    width: u32,
    channels: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,
}

#[expect(unsafe_code, reason = "promises a memory layout")]
// SAFETY: plain numbers in C's order, as the kernels declare them.
unsafe impl DeviceRepr for Depthwise {}

impl Depthwise {
    fn new(sizes: Sizes) -> Result<Self> {
        Ok(Self {
            batch: index(sizes.batch)?,
            height: index(sizes.height)?,
            width: index(sizes.width)?,
            channels: index(sizes.channels)?,
            out_height: index(sizes.out_height())?,
            out_width: index(sizes.out_width())?,
            kernel_height: index(sizes.kernel_height)?,
            kernel_width: index(sizes.kernel_width)?,
            stride: index(sizes.conv.stride)?,
            padding: index(sizes.conv.padding)?,
        })
    }
}

/// Whether each channel goes to one output of its own.
pub(super) fn fits(sizes: Sizes) -> bool {
    sizes.conv.groups == sizes.channels && sizes.outputs == sizes.channels && sizes.channels > 1
}

/// x (B, H, W, C), weight (C, 1, kh, kw), bias (C) → (B, H', W', C)
pub(super) fn forward<T: Number>(
    sizes: Sizes,
    x: Operand<'_>,
    weight: Operand<'_>,
    bias: Option<Operand<'_>>,
) -> Result<Output> {
    let (device, settings) = (device_of(x), Depthwise::new(sizes)?);
    let (x, weight, bias) = (elements::<T>(x)?, elements::<T>(weight)?, bias.map(elements::<T>).transpose()?);
    if bias.as_ref().is_some_and(|bias| bias.len() != sizes.channels) {
        bail!("conv2d: a bias of {} values is needed", sizes.channels);
    }
    let inputs = [Some(&x), Some(&weight), bias.as_ref()];
    let y = map_with(device, (KERNELS, "depthwise"), &inputs, &settings, sizes.out_len())?;
    Ok(output(y, device, (sizes.batch, sizes.out_height(), sizes.out_width(), sizes.outputs)))
}

/// (upstream gradient, weight) → gradient of the input, of shape `x`
pub(super) fn gradient_of_input<T: Number>(
    sizes: Sizes,
    x: &Shape,
    g: Operand<'_>,
    weight: Operand<'_>,
) -> Result<Output> {
    let (device, settings) = (device_of(g), Depthwise::new(sizes)?);
    let (g, weight) = (elements::<T>(g)?, elements::<T>(weight)?);
    sizes.expect_upstream(g.len())?;
    let inputs = [Some(&g), Some(&weight)];
    let out = map_with(device, (KERNELS, "depthwise_gradient_of_input"), &inputs, &settings, x.elem_count())?;
    Ok(output(out, device, x))
}

/// (upstream gradient, input) → gradient of the weight, of shape `weight`
pub(super) fn gradient_of_weight<T: Number>(
    sizes: Sizes,
    weight: &Shape,
    g: Operand<'_>,
    x: Operand<'_>,
) -> Result<Output> {
    let (device, settings) = (device_of(g), Depthwise::new(sizes)?);
    let (g, x, mut out) = (elements::<T>(g)?, elements::<T>(x)?, unwritten::<T>(device, weight.elem_count())?);
    sizes.expect_upstream(g.len())?;
    index(x.len())?;
    let kernel = KERNELS.kernel::<T>(device, "depthwise_gradient_of_weight")?;
    let mut call = kernel.builder();
    call.arg(&g).arg(&x).arg(&mut out).arg(&settings);
    let taps = settings.kernel_height * settings.kernel_width;
    let grid = LaunchConfig {
        grid_dim: (settings.channels.div_ceil(ACROSS), taps, 1),
        block_dim: (ACROSS, DEEP, 1),
        shared_mem_bytes: 0,
    };
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the kernel's parameters are (const T*, const T*, T*, Depthwise); it reads both inputs inside the sizes
    // that were made from their shapes, and with one row of blocks a tap writes channels × taps elements, the weight's.
    unsafe { call.launch(grid) }?;
    Ok(output(out, device, weight))
}
