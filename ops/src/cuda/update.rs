//! Updates in one pass over memory: pixels under attack, and parameters in training.

use super::device::{Number, Operand, Output, Source, device_of, elements, one_thread_each, output, source, unwritten};
use super::pointwise::same_len;
use crate::{AdamRates, PgdStep};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::PushKernelArg;
use candle_core::{CudaStorage, DType, Layout, Result, bail};

const KERNELS: Source = source!("update");

/// Runs `$body` with `$real` bound to the element type of `$storage`: pixels and parameters are `f32` or `f64`.
macro_rules! with_real {
    ($storage:expr, $real:ident => $body:expr) => {
        match $storage.dtype() {
            DType::F32 => {
                type $real = f32;
                $body
            }
            DType::F64 => {
                type $real = f64;
                $body
            }
            other => bail!("pixels and parameters are f32 or f64, got {other:?}"),
        }
    };
}

/// The pixels after one step against the signs of the slopes, and whether all slopes were finite.
///
/// Waits for the device: the caller must know of a slope that is not finite before it goes on.
pub(crate) fn pgd_step(
    pixels: Operand<'_>,
    benign: Operand<'_>,
    slopes: Operand<'_>,
    step: PgdStep,
) -> Result<(Output, bool)> {
    fn run<T: Number>(
        pixels: Operand<'_>,
        benign: Operand<'_>,
        slopes: Operand<'_>,
        step: PgdStep,
    ) -> Result<(Output, bool)> {
        let (device, shape) = (device_of(pixels), pixels.1.shape());
        let (pixels, benign, slopes) = (elements::<T>(pixels)?, elements::<T>(benign)?, elements::<T>(slopes)?);
        same_len(&pixels, &benign)?;
        same_len(&pixels, &slopes)?;
        let mut moved = unwritten::<T>(device, pixels.len())?;
        let mut flag = device.alloc_zeros::<u32>(1)?;
        let (grid, count) = one_thread_each(pixels.len())?;
        let kernel = KERNELS.kernel::<T>(device, "pgd_step")?;
        let mut call = kernel.builder();
        call.arg(&pixels).arg(&benign).arg(&slopes).arg(&mut moved).arg(&mut flag);
        call.arg(&step.stride).arg(&step.radius).arg(&count);
        #[expect(unsafe_code, reason = "kernels take raw pointers")]
        // SAFETY: the kernel's parameters are (3 × const T*, T*, unsigned*, double, double, unsigned); it reads and
        // writes `count` elements, which all four arrays were checked or made to hold, and the one of the flag.
        unsafe { call.launch(grid) }?;
        let finite = device.clone_dtoh(&flag)? == [0];
        Ok((output(moved, device, shape), finite))
    }
    with_real!(pixels.0, T => run::<T>(pixels, benign, slopes, step))
}

/// Moves the parameter and its two moments, of one length, in place.
pub(crate) fn adam_step(
    values: (&mut CudaStorage, &Layout),
    gradient: Operand<'_>,
    first: &mut CudaStorage,
    second: &mut CudaStorage,
    rates: &AdamRates,
) -> Result<()> {
    with_real!(values.0, T => move_parameter::<T>(values, gradient, first, second, rates))
}

fn move_parameter<T: Number>(
    (values, layout): (&mut CudaStorage, &Layout),
    gradient: Operand<'_>,
    first: &mut CudaStorage,
    second: &mut CudaStorage,
    rates: &AdamRates,
) -> Result<()> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("adam needs a contiguous parameter") };
    let device = device_of(gradient);
    let gradient = elements::<T>(gradient)?;
    let mut values = T::as_cuda_slice_mut(values)?.slice_mut(start..end);
    let (first, second) = (T::as_cuda_slice_mut(first)?, T::as_cuda_slice_mut(second)?);
    if [gradient.len(), first.len(), second.len()] != [end - start; 3] {
        bail!(
            "adam: the parameter has {} values, its gradient {}, its moments {}",
            end - start,
            gradient.len(),
            first.len()
        );
    }
    let (grid, count) = one_thread_each(gradient.len())?;
    let kernel = KERNELS.kernel::<T>(device, "adam_step")?;
    let mut call = kernel.builder();
    call.arg(&mut values).arg(&gradient).arg(first).arg(second);
    call.arg(&rates.weight_decay).arg(&rates.first_decay).arg(&rates.second_decay);
    call.arg(&rates.step_size).arg(&rates.second_scale).arg(&rates.epsilon).arg(&count);
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the kernel's parameters are (T*, const T*, T*, T*, 6 × double, unsigned); it reads and writes `count`
    // elements, which all four arrays were checked to hold.
    unsafe { call.launch(grid) }?;
    Ok(())
}
