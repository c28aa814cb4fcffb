//! Operations on one element at a time.

use super::device::{
    Number, Operand, Output, Source, device_of, elements, index, map, map_with, one_thread_each, output, source,
    with_number,
};
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DeviceRepr, PushKernelArg};
use candle_core::{Result, bail};

const KERNELS: Source = source!("pointwise");

/// max(x, 0)
pub(crate) fn relu(x: Operand<'_>) -> Result<Output> {
    of_one("relu", x)
}

/// (result, upstream gradient) → gradient of the input of [`relu`]
pub(crate) fn relu_gradient(y: Operand<'_>, g: Operand<'_>) -> Result<Output> {
    of_two("relu_gradient", y, g)
}

/// min(max(x, 0), 6)
pub(crate) fn relu6(x: Operand<'_>) -> Result<Output> {
    of_one("relu6", x)
}

/// (result, upstream gradient) → gradient of the input of [`relu6`]
pub(crate) fn relu6_gradient(y: Operand<'_>, g: Operand<'_>) -> Result<Output> {
    of_two("relu6_gradient", y, g)
}

/// The kernel's struct of the same name and order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Affine {
    channels: u32,
    rectify: bool,
}

#[expect(unsafe_code, reason = "promises a memory layout")]
// SAFETY: plain numbers in C's order, as the kernel declares them.
unsafe impl DeviceRepr for Affine {}

/// max(x · scale + shift + added, 0), the latter two where asked for: x (…, C), parameters (2, C) hold scale and shift.
pub(crate) fn affine(
    x: Operand<'_>,
    parameters: Operand<'_>,
    added: Option<Operand<'_>>,
    rectify: bool,
) -> Result<Output> {
    with_number!(x, T => {
        let (device, values, channels) = (device_of(x), elements::<T>(x)?, channels_of(x)?);
        let (parameters, added) = (scale_and_shift::<T>(parameters, channels)?, added.map(elements::<T>).transpose()?);
        if let Some(added) = &added {
            same_len(&values, added)?;
        }
        let settings = Affine { channels: index(channels)?, rectify };
        let inputs = [Some(&values), Some(&parameters), added.as_ref()];
        let y = map_with(device, (KERNELS, "affine"), &inputs, &settings, values.len())?;
        Ok(output(y, device, x.1.shape()))
    })
}

/// (upstream gradient, result if it was rectified, parameters) → gradient of x, before all of [`affine`].
pub(crate) fn affine_gradient(g: Operand<'_>, y: Option<Operand<'_>>, parameters: Operand<'_>) -> Result<Output> {
    with_number!(g, T => {
        let (device, slopes, channels) = (device_of(g), elements::<T>(g)?, channels_of(g)?);
        let (parameters, y) = (scale_and_shift::<T>(parameters, channels)?, y.map(elements::<T>).transpose()?);
        if let Some(y) = &y {
            same_len(&slopes, y)?;
        }
        let inputs = [Some(&slopes), y.as_ref(), Some(&parameters)];
        let out = map_with(device, (KERNELS, "affine_gradient"), &inputs, &index(channels)?, slopes.len())?;
        Ok(output(out, device, g.1.shape()))
    })
}

/// The elements of parameters (2, C): all scales, then all shifts.
fn scale_and_shift<'a, T: Number>(parameters: Operand<'a>, channels: usize) -> Result<CudaView<'a, T>> {
    let values = elements::<T>(parameters)?;
    if values.len() != 2 * channels {
        bail!("affine: scale and shift of {channels} channels are needed, got {} values", values.len());
    }
    Ok(values)
}

/// max(x + y, 0), for x and y of one shape
pub(crate) fn add_relu(x: Operand<'_>, y: Operand<'_>) -> Result<Output> {
    of_two("add_relu", x, y)
}

/// x · Φ(x)
pub(crate) fn gelu(x: Operand<'_>) -> Result<Output> {
    of_one("gelu", x)
}

/// (input, upstream gradient) → gradient of the input of [`gelu`]
pub(crate) fn gelu_gradient(x: Operand<'_>, g: Operand<'_>) -> Result<Output> {
    of_two("gelu_gradient", x, g)
}

/// x · Φ(x), by its approximation with tanh
pub(crate) fn gelu_tanh(x: Operand<'_>) -> Result<Output> {
    of_one("gelu_tanh", x)
}

/// (input, upstream gradient) → gradient of the input of [`gelu_tanh`]
pub(crate) fn gelu_tanh_gradient(x: Operand<'_>, g: Operand<'_>) -> Result<Output> {
    of_two("gelu_tanh_gradient", x, g)
}

/// A kernel of one element each.
fn of_one(name: &'static str, x: Operand<'_>) -> Result<Output> {
    with_number!(x, T => {
        let (device, values) = (device_of(x), elements::<T>(x)?);
        let y = map(device, (KERNELS, name), &[Some(&values)], values.len())?;
        Ok(output(y, device, x.1.shape()))
    })
}

/// A kernel of two elements each, from tensors of one shape.
fn of_two(name: &'static str, x: Operand<'_>, y: Operand<'_>) -> Result<Output> {
    with_number!(x, T => {
        let (device, left, right) = (device_of(x), elements::<T>(x)?, elements::<T>(y)?);
        same_len(&left, &right)?;
        let out = map(device, (KERNELS, name), &[Some(&left), Some(&right)], left.len())?;
        Ok(output(out, device, x.1.shape()))
    })
}

/// Adds bias (C) to y (…, C), in place.
pub(super) fn add_bias<T: Number>(device: &CudaDevice, bias: &CudaView<'_, T>, y: &mut CudaSlice<T>) -> Result<()> {
    let (channels, elements) = (bias.len(), y.len());
    let kernel = KERNELS.kernel::<T>(device, "add_bias")?;
    let ((grid, count), channels) = (one_thread_each(elements)?, index(channels)?);
    let mut call = kernel.builder();
    call.arg(bias).arg(y).arg(&channels).arg(&count);
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the kernel's parameters are (const T*, T*, unsigned, unsigned); it changes the `count` elements of y and
    // reads the bias at indices below `channels`, its length.
    unsafe { call.launch(grid) }?;
    Ok(())
}

/// The size of the last axis.
pub(super) fn channels_of((_, layout): Operand<'_>) -> Result<usize> {
    match layout.dims().last() {
        Some(&channels) if channels > 0 => Ok(channels),
        _ => bail!("expected a tensor with channels as its last axis, got shape {:?}", layout.dims()),
    }
}

/// # Errors
/// If two tensors that go together element by element have different sizes.
pub(super) fn same_len<T>(left: &CudaView<'_, T>, right: &CudaView<'_, T>) -> Result<()> {
    if left.len() != right.len() {
        bail!("tensors of one size are needed, got {} and {} elements", left.len(), right.len());
    }
    Ok(())
}
