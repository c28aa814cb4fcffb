//! What nets are made of: one layer a file, each with two ways through it.
//!
//! A backbone is a value built of layers, so both ways are of one description. Activations are channels-last,
//! (B, H, W, C). Layers read their widths from the parameters and check them against each other.

mod average_pool;
mod conv2d;
mod conv2d_pool_relu;
mod flatten;
mod frozen_batch_norm;
mod linear;
mod max_pool2d;
mod pixels;
mod relu;
mod residual;
mod sequence;

pub(crate) use average_pool::AveragePool;
pub(crate) use conv2d::Conv2d;
pub(crate) use conv2d_pool_relu::Conv2dPoolRelu;
pub(crate) use flatten::Flatten;
pub(crate) use frozen_batch_norm::{FrozenBatchNorm, Then};
pub(crate) use linear::Linear;
pub(crate) use max_pool2d::MaxPool2d;
pub(crate) use pixels::Pixels;
pub(crate) use relu::Relu;
pub(crate) use residual::Residual;
pub(crate) use sequence::Sequence;

use candle_core::{Result, Tensor};
use holdfast_ops::Pullback;

/// A function of activations, with parameters or without.
pub(crate) trait Layer: Send + Sync {
    /// The value at x, with candle's graph where x or a parameter is tracked: for training.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;

    /// The same value without a graph, and the way back for the gradient of x, which keeps only what it needs: for
    /// attacks. Operands are rounded as the layer's precision says.
    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)>;
}

/// One pullback after another: the gradient of `first` followed by `second`.
pub(crate) fn chain(first: Pullback, second: Pullback) -> Pullback {
    Box::new(move |gradient| first(&second(gradient)?))
}
