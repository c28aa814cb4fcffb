//! Gaussian error linear unit.

use super::Layer;
use candle_core::{Result, Tensor};
use holdfast_ops::{Pullback, gelu, gelu_with_pullback};

/// x · Φ(x), any shape, by the error function.
pub(crate) struct Gelu;

impl Layer for Gelu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        gelu(x)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        gelu_with_pullback(x)
    }
}
