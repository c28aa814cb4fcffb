//! Reading small tensors as plain numbers.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The values of a vector (n).
pub(crate) fn values_f64(vector: &Tensor) -> Result<Vec<f64>> {
    Ok(vector.to_dtype(DType::F64)?.to_vec1::<f64>()?)
}

/// The rows of a matrix (n, m).
pub(crate) fn rows_f64(matrix: &Tensor) -> Result<Vec<Vec<f64>>> {
    Ok(matrix.to_dtype(DType::F64)?.to_vec2::<f64>()?)
}

/// Refuses NaN and infinities.
///
/// # Errors
/// Naming `quantity`, the number of updates made, and the first offending value.
pub(crate) fn ensure_finite(tensor: &Tensor, quantity: &'static str, step: usize) -> Result<()> {
    let values = values_f64(&tensor.flatten_all()?)?;
    match values.into_iter().find(|value| !value.is_finite()) {
        Some(value) => Err(Error::NotFinite { quantity, step, value }),
        None => Ok(()),
    }
}
