//! Pictures in another size.

use super::device::{
    Operand, Output, Source, device_of, elements, index, one_thread_each, output, source, unwritten, with_number,
};
use crate::resampling::Resampling;
use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr, PushKernelArg};
use candle_core::{Result, bail};

const KERNELS: Source = source!("upsample");

/// The kernel's struct of the same name and order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sizes {
    height: u32,
    width: u32,
    channels: u32,
    out_height: u32,
    out_width: u32,
}

#[expect(unsafe_code, reason = "promises a memory layout")]
// SAFETY: plain numbers in C's order, as the kernel declares them.
unsafe impl DeviceRepr for Sizes {}

/// The terms of one axis on the device: where those of each output start, and the input and weight of each.
struct Terms {
    starts: CudaSlice<u32>,
    inputs: CudaSlice<u32>,
    weights: CudaSlice<f64>,
}

impl Terms {
    fn new(device: &CudaDevice, axis: &Resampling) -> Result<Self> {
        let (mut starts, mut inputs, mut weights) = (vec![0], Vec::new(), Vec::new());
        for output in 0..axis.outputs() {
            for (input, weight) in axis.sources(output) {
                inputs.push(index(input)?);
                weights.push(weight);
            }
            starts.push(index(inputs.len())?);
        }
        Ok(Self {
            starts: device.clone_htod(&starts)?,
            inputs: device.clone_htod(&inputs)?,
            weights: device.clone_htod(&weights)?,
        })
    }
}

/// x (B, H, W, C) → (B, outputs of the rows, outputs of the columns, C)
pub(crate) fn upsample(x: Operand<'_>, rows: &Resampling, columns: &Resampling) -> Result<Output> {
    let (batch, height, width, channels) = x.1.shape().dims4()?;
    if (height, width) != (rows.inputs(), columns.inputs()) {
        bail!("upsample: {height}×{width} pixels do not fit a map from {}×{}", rows.inputs(), columns.inputs());
    }
    let (device, shape) = (device_of(x), (batch, rows.outputs(), columns.outputs(), channels));
    let size = Sizes {
        height: index(height)?,
        width: index(width)?,
        channels: index(channels)?,
        out_height: index(rows.outputs())?,
        out_width: index(columns.outputs())?,
    };
    let (rows, columns) = (Terms::new(device, rows)?, Terms::new(device, columns)?);
    let (grid, count) = one_thread_each(shape.0 * shape.1 * shape.2 * shape.3)?;
    with_number!(x, T => {
        let (values, mut y) = (elements::<T>(x)?, unwritten::<T>(device, count as usize)?);
        index(values.len())?;
        let kernel = KERNELS.kernel::<T>(device, "upsample")?;
        let mut call = kernel.builder();
        call.arg(&values).arg(&mut y);
        call.arg(&rows.starts).arg(&rows.inputs).arg(&rows.weights);
        call.arg(&columns.starts).arg(&columns.inputs).arg(&columns.weights);
        call.arg(&size).arg(&count);
        #[expect(unsafe_code, reason = "kernels take raw pointers")]
        // SAFETY: the kernel's parameters are (const T*, T*, twice (const unsigned*, const unsigned*, const double*),
        // Sizes, unsigned); the tables name inputs below `height` and `width` only, which are x's, and `count` elements
        // are written, the length of y.
        unsafe { call.launch(grid) }?;
        Ok(output(y, device, shape))
    })
}
