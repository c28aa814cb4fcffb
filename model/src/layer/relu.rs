//! Rectified linear unit.

use super::Layer;
use candle_core::{Result, Tensor};
use holdfast_ops::{Pullback, relu, relu_with_pullback};

/// max(x, 0), any shape; the derivative at 0 is 0.
pub(crate) struct Relu;

impl Layer for Relu {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        relu(x)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        relu_with_pullback(x)
    }
}
