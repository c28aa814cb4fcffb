//! Operations over the last axis: normalisations and softmax.

use super::device::{
    NULL, Number, Operand, Output, Source, device_of, elements, index, output, source, unwritten, with_number,
};
use super::pointwise::{channels_of, same_len};
use super::sums::sums_per_channel;
use candle_core::cuda_backend::cudarc::driver::{CudaView, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::{Layout, Result, bail};

const KERNELS: Source = source!("rows");

/// Threads that work on one row together, and rows of one block.
const WARP: u32 = 32;
const ROWS_PER_BLOCK: u32 = 8;

/// The kernels' struct of the same name and order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Rows {
    rows: u32,
    columns: u32,
    setting: f64,
}

#[expect(unsafe_code, reason = "promises a memory layout")]
// SAFETY: plain numbers in C's order, as the kernels declare them.
unsafe impl DeviceRepr for Rows {}

/// x (…, C) → softmax of scale · x over the last axis
pub(crate) fn softmax(x: Operand<'_>, scale: f64) -> Result<Output> {
    with_number!(x, T => over_rows::<T>("softmax", x, &[Some(elements(x)?)], scale))
}

/// (result, upstream gradient) → gradient of the input of [`softmax`]
pub(crate) fn softmax_gradient(y: Operand<'_>, g: Operand<'_>, scale: f64) -> Result<Output> {
    with_number!(y, T => over_rows::<T>("softmax_gradient", y, &[Some(elements(y)?), Some(like(y, g)?)], scale))
}

/// x (…, C) → x / max(‖x‖, ε) over the last axis
pub(crate) fn l2_normalize(x: Operand<'_>, epsilon: f64) -> Result<Output> {
    with_number!(x, T => over_rows::<T>("l2_normalize", x, &[Some(elements(x)?)], epsilon))
}

/// (input, upstream gradient) → gradient of the input of [`l2_normalize`]
pub(crate) fn l2_normalize_gradient(x: Operand<'_>, g: Operand<'_>, epsilon: f64) -> Result<Output> {
    with_number!(x, T => {
        over_rows::<T>("l2_normalize_gradient", x, &[Some(elements(x)?), Some(like(x, g)?)], epsilon)
    })
}

/// x (…, C) → (x − mean) / √(variance + ε) over the last axis, times weight (C) plus bias (C)
pub(crate) fn layer_norm(x: Operand<'_>, weight: Operand<'_>, bias: Operand<'_>, epsilon: f64) -> Result<Output> {
    with_number!(x, T => {
        let inputs = [Some(elements(x)?), Some(of_columns(x, weight)?), Some(of_columns(x, bias)?)];
        over_rows::<T>("layer_norm", x, &inputs, epsilon)
    })
}

/// (input, weight, upstream gradient) → gradient of the input of [`layer_norm`]
pub(crate) fn layer_norm_gradient(x: Operand<'_>, weight: Operand<'_>, g: Operand<'_>, epsilon: f64) -> Result<Output> {
    with_number!(x, T => {
        let inputs = [Some(elements(x)?), Some(of_columns(x, weight)?), Some(like(x, g)?)];
        over_rows::<T>("layer_norm_gradient", x, &inputs, epsilon)
    })
}

/// (input, upstream gradient) → gradients of weight and bias of [`layer_norm`] (2, C)
pub(crate) fn layer_norm_gradient_of_parameters(x: Operand<'_>, g: Operand<'_>, epsilon: f64) -> Result<Output> {
    let (normal, _) =
        with_number!(x, T => over_rows::<T>("layer_norm", x, &[Some(elements(x)?), None, None], epsilon))?;
    sums_per_channel(g, (&normal, &Layout::contiguous(x.1.shape())))
}

/// The elements of a tensor of x's size.
fn like<'a, T: Number>(x: Operand<'_>, other: Operand<'a>) -> Result<CudaView<'a, T>> {
    let values = elements::<T>(other)?;
    same_len(&elements::<T>(x)?, &values)?;
    Ok(values)
}

/// The elements of a tensor of one value for each of x's columns.
fn of_columns<'a, T: Number>(x: Operand<'_>, parameter: Operand<'a>) -> Result<CudaView<'a, T>> {
    let (values, columns) = (elements::<T>(parameter)?, channels_of(x)?);
    if values.len() != columns {
        bail!("a parameter of {columns} values is needed, got {}", values.len());
    }
    Ok(values)
}

/// A kernel whose parameters are the inputs, of which an absent one is a null pointer, the result, which is of x's size,
/// and the sizes.
fn over_rows<T: Number>(
    name: &str,
    x: Operand<'_>,
    inputs: &[Option<CudaView<'_, T>>],
    setting: f64,
) -> Result<Output> {
    let (device, columns, count) = (device_of(x), channels_of(x)?, x.1.shape().elem_count());
    index(count)?;
    let size = Rows { rows: index(count / columns)?, columns: index(columns)?, setting };
    let mut result = unwritten::<T>(device, count)?;
    let kernel = KERNELS.kernel::<T>(device, name)?;
    let mut call = kernel.builder();
    for input in inputs {
        match input {
            Some(view) => call.arg(view),
            None => call.arg(&NULL),
        };
    }
    call.arg(&mut result).arg(&size);
    let grid = LaunchConfig {
        grid_dim: (size.rows.div_ceil(ROWS_PER_BLOCK).max(1), 1, 1),
        block_dim: (WARP, ROWS_PER_BLOCK, 1),
        shared_mem_bytes: 0,
    };
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the functions above pass what their kernel's parameters are, which its file shows, and hold the inputs to
    // the sizes that it reads; it writes rows × columns elements, the length of `result`.
    unsafe { call.launch(grid) }?;
    Ok(output(result, device, x.1.shape()))
}
