//! Rectified linear units.

use super::Layer;
use candle_core::{Result, Tensor};
use holdfast_ops::{Pullback, relu, relu_with_pullback, relu6, relu6_with_pullback};

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

/// min(max(x, 0), 6), any shape; the derivative at 0 and at 6 is 0.
pub(crate) struct Relu6;

impl Layer for Relu6 {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        relu6(x)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        relu6_with_pullback(x)
    }
}
