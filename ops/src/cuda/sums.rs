//! Sums and means over everything but the channel: gradients of biases, scales and shifts, and batch statistics.

use super::device::{
    NULL, Number, Operand, Output, Source, device_of, elements, index, output, source, unwritten, with_number,
};
use super::pointwise::{channels_of, same_len};
use candle_core::Result;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, CudaViewMut, LaunchConfig, PushKernelArg};

const KERNELS: Source = source!("columns");

/// The shape of a block: columns side by side, rows in turn. The kernels' constants of the same names.
const ACROSS: u32 = 32;
const DEEP: u32 = 8;

/// Shares of the rows, enough to fill a large GPU; a constant, because sums in another order would be other bits.
const SHARES: u32 = 128;

/// g (…, C) → (C), the sum over all other axes: the gradient of a bias.
pub(crate) fn sum_per_channel(g: Operand<'_>) -> Result<Output> {
    with_number!(g, T => {
        let (device, channels) = (device_of(g), channels_of(g)?);
        let mut sums = unwritten::<T>(device, channels)?;
        column_sums(device, Terms::of(&elements::<T>(g)?), 1.0, &mut sums.as_view_mut())?;
        Ok(output(sums, device, channels))
    })
}

/// g and x, both (…, C) → the sums of g · x and of g over all other axes (2, C): the gradients of a scale and a shift.
pub(crate) fn sums_per_channel(g: Operand<'_>, x: Operand<'_>) -> Result<Output> {
    with_number!(g, T => {
        let (device, channels) = (device_of(g), channels_of(g)?);
        let (g, x) = (elements::<T>(g)?, elements::<T>(x)?);
        same_len(&g, &x)?;
        let mut sums = unwritten::<T>(device, 2 * channels)?;
        let (mut of_scale, mut of_shift) = sums.split_at_mut(channels);
        column_sums(device, Terms { factor: Some(&x), ..Terms::of(&g) }, 1.0, &mut of_scale)?;
        column_sums(device, Terms::of(&g), 1.0, &mut of_shift)?;
        Ok(output(sums, device, (2, channels)))
    })
}

/// What is summed over the rows of a matrix: value · factor, value² where a centre but no factor is given, or value.
pub(super) struct Terms<'a, 'b, T: Number> {
    pub(super) value: &'a CudaView<'b, T>,
    pub(super) factor: Option<&'a CudaView<'b, T>>,
    /// One a column, subtracted from the value first.
    pub(super) centre: Option<&'a CudaView<'b, T::Wide>>,
}

impl<'a, 'b, T: Number> Terms<'a, 'b, T> {
    pub(super) fn of(value: &'a CudaView<'b, T>) -> Self {
        Self { value, factor: None, centre: None }
    }
}

/// Sums the terms of each column and multiplies by `scale`: first shares of the rows side by side, then the shares.
pub(super) fn column_sums<T: Number>(
    device: &CudaDevice,
    terms: Terms<'_, '_, T>,
    scale: f64,
    sums: &mut CudaViewMut<'_, T>,
) -> Result<()> {
    let (rows, columns) = (index(terms.value.len() / sums.len().max(1))?, index(sums.len())?);
    let shares = rows.div_ceil(DEEP).clamp(1, SHARES);
    let mut parts = unwritten::<T::Wide>(device, (shares * columns) as usize)?;

    let kernel = KERNELS.kernel::<T>(device, "column_shares")?;
    let mut call = kernel.builder();
    call.arg(terms.value);
    match terms.factor {
        Some(factor) => call.arg(factor),
        None => call.arg(&NULL),
    };
    match terms.centre {
        Some(centre) => call.arg(centre),
        None => call.arg(&NULL),
    };
    call.arg(&mut parts).arg(&rows).arg(&columns);
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the kernel's parameters are (const T*, const T* or null, const wide T* or null, wide T*, unsigned,
    // unsigned); it reads rows × columns elements of the first two, which the callers hold equally long, `columns` of
    // the centre, and writes `columns` elements a share.
    unsafe { call.launch(blocks(columns, shares)) }?;

    let kernel = KERNELS.kernel::<T>(device, "column_totals")?;
    let mut call = kernel.builder();
    call.arg(&parts).arg(sums).arg(&shares).arg(&columns).arg(&scale);
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the kernel's parameters are (const wide T*, T*, unsigned, unsigned, double); it reads shares × columns
    // elements, the length of `parts`, and with one row of blocks writes `columns` elements, the length of `sums`.
    unsafe { call.launch(blocks(columns, 1)) }?;
    Ok(())
}

/// (pictures, pixels, channels) → the means over the pixels (pictures, channels)
pub(super) fn picture_means<T: Number>(
    device: &CudaDevice,
    x: &CudaView<'_, T>,
    pictures: usize,
    pixels: usize,
    channels: usize,
) -> Result<CudaSlice<T>> {
    let mut means = unwritten::<T>(device, pictures * channels)?;
    let (pictures, pixels, channels) = (index(pictures)?, index(pixels)?, index(channels)?);
    index(x.len())?;
    let kernel = KERNELS.kernel::<T>(device, "picture_means")?;
    let mut call = kernel.builder();
    call.arg(x).arg(&mut means).arg(&pixels).arg(&channels);
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the kernel's parameters are (const T*, T*, unsigned, unsigned); with one row of blocks a picture it reads
    // pictures × pixels × channels elements, the length of x, and writes pictures × channels, the length of `means`.
    unsafe { call.launch(blocks(channels, pictures)) }?;
    Ok(means)
}

/// Blocks over all columns, in `lines` rows of blocks.
fn blocks(columns: u32, lines: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (columns.div_ceil(ACROSS), lines, 1), block_dim: (ACROSS, DEEP, 1), shared_mem_bytes: 0 }
}
