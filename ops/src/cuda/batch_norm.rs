//! Batch normalization with the batch's own statistics, in `f32` and `f64`.

use super::device::{Number, Operand, Output, Source, device_of, elements, index, map_with, output, source, unwritten};
use super::pointwise::{channels_of, same_len};
use super::sums::{Terms, column_sums};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DeviceRepr};
use candle_core::{DType, Result, bail};

const KERNELS: Source = source!("batch_norm");

/// The kernels' struct of the same name and order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Normalization {
    channels: u32,
    epsilon: f64,
}

#[expect(unsafe_code, reason = "promises a memory layout")]
// SAFETY: plain numbers in C's order, as the kernels declare them.
unsafe impl DeviceRepr for Normalization {}

/// Runs `$body` with `$real` bound to the element type of `$operand`.
macro_rules! with_real {
    ($operand:expr, $real:ident => $body:expr) => {
        match $operand.0.dtype() {
            DType::F32 => {
                type $real = f32;
                $body
            }
            DType::F64 => {
                type $real = f64;
                $body
            }
            other => bail!("batch_norm computes in f32 or f64, got {other:?}"),
        }
    };
}

/// x (…, C) → means and biased variances over all other axes (2, C)
pub(crate) fn batch_norm_statistics(x: Operand<'_>) -> Result<Output> {
    fn run<T: Number<Wide = T>>(x: Operand<'_>, channels: usize) -> Result<Output> {
        let (device, values) = (device_of(x), elements::<T>(x)?);
        let share = 1.0 / (values.len() / channels) as f64;
        let mut means = unwritten::<T>(device, channels)?;
        column_sums(device, Terms::of(&values), share, &mut means.as_view_mut())?;
        let mut both = unwritten::<T>(device, 2 * channels)?;
        let (mut first, mut variances) = both.split_at_mut(channels);
        device.memcpy_dtod(&means, &mut first)?;
        let centre = means.as_view();
        column_sums(device, Terms { centre: Some(&centre), ..Terms::of(&values) }, share, &mut variances)?;
        Ok(output(both, device, (2, channels)))
    }
    let channels = channels_of(x)?;
    with_real!(x, T => run::<T>(x, channels))
}

/// (x (…, C), weight and bias (2, C), statistics (2, C)) → (…, C)
pub(crate) fn batch_norm(
    x: Operand<'_>,
    parameters: Operand<'_>,
    statistics: Operand<'_>,
    epsilon: f64,
) -> Result<Output> {
    let settings = Normalization { channels: index(channels_of(x)?)?, epsilon };
    with_real!(x, T => {
        let (values, parameters) = (elements::<T>(x)?, per_channel::<T>(parameters, 2, settings)?);
        let statistics = per_channel::<T>(statistics, 2, settings)?;
        let inputs = [Some(&values), Some(&parameters), Some(&statistics)];
        let y = map_with(device_of(x), (KERNELS, "batch_norm"), &inputs, &settings, values.len())?;
        Ok(output(y, device_of(x), x.1.shape()))
    })
}

/// (upstream gradient, x, statistics) → gradients of weight and bias (2, C)
pub(crate) fn batch_norm_gradient_of_parameters(
    g: Operand<'_>,
    x: Operand<'_>,
    statistics: Operand<'_>,
    epsilon: f64,
) -> Result<Output> {
    fn channel_sums<T: Number<Wide = T>>(
        device: &CudaDevice,
        g: &CudaView<'_, T>,
        x: &CudaView<'_, T>,
        means: &CudaView<'_, T>,
    ) -> Result<CudaSlice<T>> {
        let mut sums = unwritten::<T>(device, 2 * means.len())?;
        let (mut products, mut slopes) = sums.split_at_mut(means.len());
        let terms = Terms { value: x, factor: Some(g), centre: Some(means) };
        column_sums(device, terms, 1.0, &mut products)?;
        column_sums(device, Terms::of(g), 1.0, &mut slopes)?;
        Ok(sums)
    }
    let (device, channels) = (device_of(g), channels_of(g)?);
    let settings = Normalization { channels: index(channels)?, epsilon };
    with_real!(g, T => {
        let (slopes, values) = (elements::<T>(g)?, elements::<T>(x)?);
        same_len(&slopes, &values)?;
        let statistics = per_channel::<T>(statistics, 2, settings)?;
        let sums = channel_sums(device, &slopes, &values, &statistics.slice(..channels))?;
        let sums = sums.as_view();
        let inputs = [Some(&sums), Some(&statistics)];
        let out = map_with(device, (KERNELS, "batch_norm_parameters"), &inputs, &settings, 2 * channels)?;
        Ok(output(out, device, (2, channels)))
    })
}

/// (upstream gradient, x, weight and bias, statistics and gradients of weight and bias as (6, C)) → gradient of x
pub(crate) fn batch_norm_gradient(g: Operand<'_>, x: Operand<'_>, known: Operand<'_>, epsilon: f64) -> Result<Output> {
    let settings = Normalization { channels: index(channels_of(x)?)?, epsilon };
    with_real!(g, T => {
        let (slopes, values, known) = (elements::<T>(g)?, elements::<T>(x)?, per_channel::<T>(known, 6, settings)?);
        same_len(&slopes, &values)?;
        let inputs = [Some(&slopes), Some(&values), Some(&known)];
        let out = map_with(device_of(g), (KERNELS, "batch_norm_gradient"), &inputs, &settings, values.len())?;
        Ok(output(out, device_of(g), x.1.shape()))
    })
}

/// The elements of a tensor of `rows` values a channel.
fn per_channel<'a, T: Number>(operand: Operand<'a>, rows: usize, of: Normalization) -> Result<CudaView<'a, T>> {
    let values = elements::<T>(operand)?;
    if values.len() != rows * of.channels as usize {
        bail!("batch_norm: {rows} values for each of {} channels are needed, got {}", of.channels, values.len());
    }
    Ok(values)
}
