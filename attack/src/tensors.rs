//! Reading tensors as plain numbers.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The values of a vector (n).
pub(crate) fn values_f64(vector: &Tensor) -> Result<Vec<f64>> {
    Ok(vector.to_dtype(DType::F64)?.to_vec1::<f64>()?)
}

/// Refuses NaN and infinities.
///
/// # Errors
/// Naming `quantity`, the number of updates made, and the first offending value.
pub(crate) fn ensure_finite(tensor: &Tensor, quantity: &'static str, step: usize) -> Result<()> {
    match holdfast_ops::find(tensor, |value| !value.is_finite())? {
        Some(value) => Err(Error::NotFinite { quantity, step, value }),
        None => Ok(()),
    }
}
