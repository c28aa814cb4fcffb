//! A convolution, 2×2 max pooling and ReLU in one.

use super::Layer;
use crate::parameters::ParameterReader;
use crate::{Precision, Result};
use candle_core::Tensor;
use holdfast_ops::{Pullback, Weight, conv2d_pool_relu, conv2d_pool_relu_with_pullback};

/// Convolution with a bias, 2×2 max pooling, ReLU; the kernel odd and square, padded to keep the picture's size.
///
/// (B, H, W, C) → (B, ⌈H / stride⌉ / 2, ⌈W / stride⌉ / 2, O), weight (O, C, k, k). ReLU and pooling may swap places:
/// either way only a positive maximum of a window passes.
pub(crate) struct Conv2dPoolRelu {
    weight: Weight,
    bias: Tensor,
    stride: usize,
    padding: usize,
    precision: Precision,
}

impl Conv2dPoolRelu {
    /// Reads `{name}.weight`, which must take `channels`, and `{name}.bias`.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, channels: usize, stride: usize) -> Result<Self> {
        let (weight, padding) = from.kernel(&format!("{name}.weight"), channels)?;
        let bias = from.vector(&format!("{name}.bias"), weight.dims()[0])?;
        let weight = from.weight(&weight)?;
        Ok(Self { weight, bias, stride, padding, precision: from.precision })
    }

    /// Output channels.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.tensor().dims()[0]
    }
}

impl Layer for Conv2dPoolRelu {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        conv2d_pool_relu(x, &self.weight, Some(&self.bias), self.stride, self.padding)
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        let x = self.precision.round(x)?;
        let (value, pullback) =
            conv2d_pool_relu_with_pullback(&x, &self.weight, Some(&self.bias), self.stride, self.padding)?;
        // Pooling and ReLU only let gradients pass or not, so rounding before them is rounding after them.
        Ok((value, self.precision.round_upstream(pullback)))
    }
}
