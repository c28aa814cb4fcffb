//! Where the descent takes its slopes from: exactly, by going back through the net, or as an estimate.

use candle_core::{DType, Tensor, Var};

use crate::{Error, Loss, Result};

/// A loss at some pixels, and how it changes with them.
#[derive(Debug, Clone)]
pub struct Gradient {
    /// The loss, which is finite.
    pub objective: f64,
    /// Its slope in each pixel (B, C, H, W), or an estimate of it. Only the signs move pixels.
    pub slopes: Tensor,
}

/// A source of gradients: given pixels (B, C, H, W) and the number of updates made before.
pub type GradientSource<'a> = dyn FnMut(&Tensor, usize) -> Result<Gradient> + 'a;

/// The exact gradient of a loss, by backpropagation.
///
/// # Errors
/// If the loss is not a scalar, not finite, or does not depend on the pixels.
pub fn exact(pixels: &Tensor, loss: &mut Loss<'_>, step: usize) -> Result<Gradient> {
    let variable = Var::from_tensor(pixels)?;
    let loss = loss(variable.as_tensor())?;
    if loss.rank() != 0 {
        return Err(Error::NotScalar { shape: loss.dims().to_vec() });
    }
    let objective = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    if !objective.is_finite() {
        return Err(Error::NotFinite { quantity: "the loss", step, value: objective });
    }
    let slopes = loss.backward()?.remove(variable.as_tensor()).ok_or(Error::NoGradient { step })?;
    Ok(Gradient { objective, slopes })
}
