//! What nets are made of: one layer a file, each with its ways through it.
//!
//! A backbone is a value built of layers, so all ways are of one description. Activations are channels-last,
//! (B, H, W, C). Layers read their widths from the parameters and check them against each other.

mod average_pool;
mod batch_norm2d;
mod concatenation;
mod conv2d;
mod conv2d_pool_relu;
mod flatten;
mod gelu;
mod layer_norm;
mod linear;
mod margins;
mod max_pool2d;
mod patch_embedding;
mod pixels;
mod relu;
mod residual;
mod scale;
mod self_attention;
mod sequence;
mod skip;

pub(crate) use average_pool::AveragePool;
pub(crate) use batch_norm2d::{BatchNorm2d, Then};
pub(crate) use concatenation::Concatenation;
pub(crate) use conv2d::{Border, Conv2d, Sliding};
pub(crate) use conv2d_pool_relu::Conv2dPoolRelu;
pub(crate) use flatten::Flatten;
pub(crate) use gelu::Gelu;
pub(crate) use layer_norm::LayerNorm;
pub(crate) use linear::Linear;
use margins::Margins;
pub(crate) use max_pool2d::{MaxPool2d, MaxPool2dToTheEdge};
pub(crate) use patch_embedding::PatchEmbedding;
pub(crate) use pixels::Pixels;
pub(crate) use relu::{Relu, Relu6};
pub(crate) use residual::Residual;
pub(crate) use scale::Scale;
pub(crate) use self_attention::{FirstToken, SelfAttention};
pub(crate) use sequence::Sequence;
pub(crate) use skip::Skip;

use candle_core::{Result, Tensor};
use holdfast_ops::Pullback;

/// A function of activations, with parameters or without.
pub(crate) trait Layer: Send + Sync {
    /// The value at x, with candle's graph where x or a parameter is tracked: for training.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;

    /// The value at x, with its graph, in a step of training in which batch norms are live: they normalise by the batch's own
    /// statistics, and their running ones follow. For every other layer it is [`forward`](Self::forward).
    fn train(&self, x: &Tensor) -> Result<Tensor> {
        self.forward(x)
    }

    /// The same value without a graph, and the way back for the gradient of x, which keeps only what it needs: for
    /// attacks. Operands are rounded as the layer's precision says.
    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)>;
}

/// One pullback after another: the gradient of `first` followed by `second`.
pub(crate) fn chain(first: Pullback, second: Pullback) -> Pullback {
    Box::new(move |gradient| first(&second(gradient)?))
}
