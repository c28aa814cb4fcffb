//! The linear layer, on candle's cuBLAS.

use super::device::{Number, Operand, Output, device_of, elements, with_number};
use super::pointwise::add_bias;
use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Result, Shape};

/// x (B, I) · weightᵀ, weight (O, I), + bias (O) → (B, O)
pub(crate) fn forward(x: Operand<'_>, weight: Operand<'_>, bias: Option<Operand<'_>>) -> Result<Output> {
    let ((rows, inputs), (outputs, _)) = (x.1.shape().dims2()?, weight.1.shape().dims2()?);
    let mut product = x.0.matmul(weight.0, (1, rows, outputs, inputs), x.1, &weight.1.transpose(0, 1)?)?;
    if let Some(bias) = bias {
        with_number!(x, T => add::<T>(bias, &mut product))?;
    }
    Ok((product, Shape::from((rows, outputs))))
}

fn add<T: Number>(bias: Operand<'_>, to: &mut CudaStorage) -> Result<()> {
    add_bias(device_of(bias), &elements::<T>(bias)?, T::as_cuda_slice_mut(to)?)
}

/// (upstream gradient (B, O), weight (O, I)) → gradient of the input (B, I)
pub(crate) fn gradient_of_input(g: Operand<'_>, weight: Operand<'_>) -> Result<Output> {
    let ((rows, outputs), (_, inputs)) = (g.1.shape().dims2()?, weight.1.shape().dims2()?);
    let product = g.0.matmul(weight.0, (1, rows, inputs, outputs), g.1, weight.1)?;
    Ok((product, Shape::from((rows, inputs))))
}

/// (upstream gradient (B, O), input (B, I)) → gradient of the weight (O, I)
pub(crate) fn gradient_of_weight(g: Operand<'_>, x: Operand<'_>) -> Result<Output> {
    let ((rows, outputs), (_, inputs)) = (g.1.shape().dims2()?, x.1.shape().dims2()?);
    let product = g.0.matmul(x.0, (1, outputs, inputs, rows), &g.1.transpose(0, 1)?, x.1)?;
    Ok((product, Shape::from((outputs, inputs))))
}
