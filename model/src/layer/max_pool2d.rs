//! Max pooling.

use super::Layer;
use candle_core::{Result, Tensor};
use holdfast_ops::{Pullback, max_pool2d, max_pool2d_with_pullback};

/// The maximum of each window: (B, H, W, C) → (B, H', W', C). A gradient goes to the first maximum in row-major order.
pub(crate) struct MaxPool2d {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Layer for MaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        max_pool2d(x, self.kernel, self.stride, self.padding)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        max_pool2d_with_pullback(x, self.kernel, self.stride, self.padding)
    }
}
