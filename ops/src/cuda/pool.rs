//! Pooling.

use super::device::{
    NULL, Operand, Output, Source, device_of, elements, index, map_with, one_thread_each, output, source, unwritten,
    with_number,
};
use super::sums::picture_means;
use crate::pooling::Pooling;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DeviceRepr, PushKernelArg};
use candle_core::{Result, Shape, bail};

pub(super) const KERNELS: Source = source!("pool");

/// The kernels' struct of the same name and order.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Window {
    batch: u32,
    height: u32,
    width: u32,
    channels: u32,
    out_height: u32,
    out_width: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
}

#[expect(unsafe_code, reason = "promises a memory layout")]
// SAFETY: plain numbers in C's order, as the kernels declare them.
unsafe impl DeviceRepr for Window {}

impl Window {
    pub(super) fn new(pooling: Pooling) -> Result<Self> {
        let Pooling { batch, rows, columns, channels } = pooling;
        Ok(Self {
            batch: index(batch)?,
            height: index(rows.input)?,
            width: index(columns.input)?,
            channels: index(channels)?,
            out_height: index(rows.output)?,
            out_width: index(columns.output)?,
            kernel: index(rows.kernel)?,
            stride: index(rows.stride)?,
            padding: index(rows.padding)?,
        })
    }
}

/// # Errors
/// If an upstream gradient of `len` elements is not of the result's size.
pub(super) fn expect_upstream(pooling: Pooling, len: usize) -> Result<()> {
    if len != pooling.output().elem_count() {
        bail!("pooling: the upstream gradient has {len} elements, the result {:?}", pooling.output().dims());
    }
    Ok(())
}

/// x (B, H, W, C) → the largest value of each window (B, H', W', C), and which it was if that is to be kept.
pub(crate) fn max_pool(x: Operand<'_>, pooling: Pooling, keep: bool) -> Result<(Output, Option<CudaSlice<u16>>)> {
    let (device, shape, window) = (device_of(x), pooling.output(), Window::new(pooling)?);
    let mut won = keep.then(|| unwritten::<u16>(device, shape.elem_count())).transpose()?;
    let (grid, count) = one_thread_each(shape.elem_count())?;
    with_number!(x, T => {
        let (values, mut y) = (elements::<T>(x)?, unwritten::<T>(device, shape.elem_count())?);
        let kernel = KERNELS.kernel::<T>(device, "max_pool")?;
        let mut call = kernel.builder();
        call.arg(&values).arg(&mut y);
        match &mut won {
            Some(won) => call.arg(won),
            None => call.arg(&NULL),
        };
        call.arg(&window).arg(&count);
        #[expect(unsafe_code, reason = "kernels take raw pointers")]
        // SAFETY: the kernel's parameters are (const T*, T*, unsigned short* or null, Window, unsigned); it writes
        // `count` elements of both results and reads x inside the window's sizes, which were made from its shape.
        unsafe { call.launch(grid) }?;
        Ok((output(y, device, shape), won))
    })
}

/// (upstream gradient, winners) → gradient of the input (B, H, W, C)
pub(crate) fn max_pool_gradient(g: Operand<'_>, won: &CudaSlice<u16>, pooling: Pooling) -> Result<Output> {
    let (device, shape, window) = (device_of(g), pooling.input(), Window::new(pooling)?);
    expect_upstream(pooling, won.len())?;
    let (grid, count) = one_thread_each(shape.elem_count())?;
    with_number!(g, T => {
        let (slopes, mut out) = (elements::<T>(g)?, unwritten::<T>(device, shape.elem_count())?);
        expect_upstream(pooling, slopes.len())?;
        let kernel = KERNELS.kernel::<T>(device, "max_pool_gradient")?;
        let mut call = kernel.builder();
        call.arg(&slopes).arg(won).arg(&mut out).arg(&window).arg(&count);
        #[expect(unsafe_code, reason = "kernels take raw pointers")]
        // SAFETY: the kernel's parameters are (const T*, const unsigned short*, T*, Window, unsigned); it writes `count`
        // elements, the length of `out`, and reads both inputs inside the result's sizes, which were checked above.
        unsafe { call.launch(grid) }?;
        Ok(output(out, device, shape))
    })
}

/// The kernels' struct of the same name and order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Averaging {
    window: Window,
    count_padding: bool,
}

#[expect(unsafe_code, reason = "promises a memory layout")]
// SAFETY: plain numbers in C's order, as the kernels declare them.
unsafe impl DeviceRepr for Averaging {}

/// x (B, H, W, C) → the mean of each window (B, H', W', C)
pub(crate) fn avg_pool(x: Operand<'_>, pooling: Pooling, count_padding: bool) -> Result<Output> {
    let (device, shape) = (device_of(x), pooling.output());
    let settings = Averaging { window: Window::new(pooling)?, count_padding };
    with_number!(x, T => {
        let y = map_with(device, (KERNELS, "avg_pool"), &[Some(&elements::<T>(x)?)], &settings, shape.elem_count())?;
        Ok(output(y, device, shape))
    })
}

/// upstream gradient → gradient of the input (B, H, W, C)
pub(crate) fn avg_pool_gradient(g: Operand<'_>, pooling: Pooling, count_padding: bool) -> Result<Output> {
    let (device, shape) = (device_of(g), pooling.input());
    let settings = Averaging { window: Window::new(pooling)?, count_padding };
    with_number!(g, T => {
        let slopes = elements::<T>(g)?;
        expect_upstream(pooling, slopes.len())?;
        let out = map_with(device, (KERNELS, "avg_pool_gradient"), &[Some(&slopes)], &settings, shape.elem_count())?;
        Ok(output(out, device, shape))
    })
}

/// The kernel's struct of the same name and order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Spread {
    pixels: u32,
    channels: u32,
}

#[expect(unsafe_code, reason = "promises a memory layout")]
// SAFETY: plain numbers in C's order, as the kernel declares them.
unsafe impl DeviceRepr for Spread {}

/// x (B, H, W, C) → the mean over all pixels (B, C)
pub(crate) fn global_avg_pool(x: Operand<'_>) -> Result<Output> {
    let (batch, height, width, channels) = x.1.shape().dims4()?;
    with_number!(x, T => {
        let means = picture_means(device_of(x), &elements::<T>(x)?, batch, height * width, channels)?;
        Ok(output(means, device_of(x), (batch, channels)))
    })
}

/// upstream gradient (B, C) → gradient of the input, of shape `x`
pub(crate) fn global_avg_pool_gradient(g: Operand<'_>, x: &Shape) -> Result<Output> {
    let (batch, height, width, channels) = x.dims4()?;
    with_number!(g, T => {
        let slopes = elements::<T>(g)?;
        if slopes.len() != batch * channels {
            bail!("global_avg_pool: the upstream gradient has {} elements, the result {batch}×{channels}", slopes.len());
        }
        let settings = Spread { pixels: index(height * width)?, channels: index(channels)? };
        let out = map_with(device_of(g), (KERNELS, "spread"), &[Some(&slopes)], &settings, x.elem_count())?;
        Ok(output(out, device_of(g), x))
    })
}
