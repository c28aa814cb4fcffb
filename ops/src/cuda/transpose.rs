//! Swapping the last two axes of three.

use super::device::{
    Number, Operand, Output, Source, device_of, elements, index, output, source, unwritten, with_number,
};
use candle_core::Result;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, LaunchConfig, PushKernelArg};

const KERNELS: Source = source!("transpose");

/// The kernel's constants of the same names.
const TILE: u32 = 32;
const LINES: u32 = 8;

/// Matrices that one launch takes: the second axis of a grid ends there.
const MATRICES: usize = 65_535;

/// (B, C, H, W) → (B, H, W, C)
pub(crate) fn channels_last(x: Operand<'_>) -> Result<Output> {
    let (batch, channels, height, width) = x.1.shape().dims4()?;
    with_number!(x, T => {
        let device = device_of(x);
        let y = transpose(device, &elements::<T>(x)?, channels, height * width)?;
        Ok(output(y, device, (batch, height, width, channels)))
    })
}

/// (B, H, W, C) → (B, C, H, W)
pub(crate) fn channels_first(x: Operand<'_>) -> Result<Output> {
    let (batch, height, width, channels) = x.1.shape().dims4()?;
    with_number!(x, T => {
        let device = device_of(x);
        let y = transpose(device, &elements::<T>(x)?, height * width, channels)?;
        Ok(output(y, device, (batch, channels, height, width)))
    })
}

/// (matrices, rows, columns) → (matrices, columns, rows)
pub(super) fn transpose<T: Number>(
    device: &CudaDevice,
    x: &CudaView<'_, T>,
    rows: usize,
    columns: usize,
) -> Result<CudaSlice<T>> {
    index(x.len())?;
    let mut y = unwritten::<T>(device, x.len())?;
    let kernel = KERNELS.kernel::<T>(device, "transpose")?;
    let matrix = rows * columns;
    for start in (0..x.len()).step_by((MATRICES * matrix).max(1)) {
        let end = x.len().min(start + MATRICES * matrix);
        let (from, mut to) = (x.slice(start..end), y.slice_mut(start..end));
        let (matrices, rows, columns) = (index((end - start) / matrix)?, index(rows)?, index(columns)?);
        let tiles = rows.div_ceil(TILE) * columns.div_ceil(TILE);
        let grid = LaunchConfig { grid_dim: (tiles, matrices, 1), block_dim: (TILE, LINES, 1), shared_mem_bytes: 0 };
        let mut call = kernel.builder();
        call.arg(&from).arg(&mut to).arg(&rows).arg(&columns);
        #[expect(unsafe_code, reason = "kernels take raw pointers")]
        // SAFETY: the kernel's parameters are (const T*, T*, unsigned, unsigned); it reads and writes `matrices` times
        // rows × columns elements, the length of both slices.
        unsafe { call.launch(grid) }?;
    }
    Ok(y)
}
