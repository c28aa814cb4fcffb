//! A convolution.

use super::Layer;
use crate::parameters::ParameterReader;
use crate::{Precision, Result};
use candle_core::Tensor;
use holdfast_ops::{Conv, Pullback, Weight, conv2d, conv2d_with_pullback};

/// A convolution without bias, its kernel odd and square, padded so that stride 1 keeps the picture's size.
///
/// (B, H, W, C) → (B, ⌈H / stride⌉, ⌈W / stride⌉, O), weight (O, C, k, k).
pub(crate) struct Conv2d {
    weight: Weight,
    conv: Conv,
    precision: Precision,
}

impl Conv2d {
    /// Reads `{name}.weight`, which must take `channels`.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, channels: usize, stride: usize) -> Result<Self> {
        let (weight, padding) = from.kernel(&format!("{name}.weight"), channels)?;
        let weight = from.weight(&weight)?;
        Ok(Self { weight, conv: Conv::new(stride, padding), precision: from.precision })
    }

    /// Output channels.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.tensor().dims()[0]
    }
}

impl Layer for Conv2d {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        conv2d(x, &self.weight, None, self.conv)
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        let x = self.precision.round(x)?;
        let (value, pullback) = conv2d_with_pullback(&x, &self.weight, None, self.conv)?;
        Ok((value, self.precision.round_upstream(pullback)))
    }
}
