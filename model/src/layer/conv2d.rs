//! A convolution.

use super::{Layer, Margins};
use crate::parameters::ParameterReader;
use crate::{Precision, Result};
use candle_core::Tensor;
use holdfast_ops::{Conv, Pullback, Weight, conv2d, conv2d_with_pullback};

/// A convolution with a square kernel.
///
/// (B, H, W, C) → (B, H', W', O), weight (O, C, k, k), or (C, 1, k, k) where each channel has a kernel of its own.
pub(crate) struct Conv2d {
    weight: Weight,
    bias: Option<Tensor>,
    stride: usize,
    border: Border,
    groups: usize,
    precision: Precision,
}

/// What the windows of a convolution see beyond the border of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Border {
    /// ⌊k / 2⌋ zeros at every side, as is usual in PyTorch: ⌈H / stride⌉ windows where k is odd.
    Symmetric,
    /// As few zeros as ⌈H / stride⌉ windows need, the odd one at the end: TensorFlow's `SAME`.
    Same,
    /// Nothing: windows stay inside.
    Inside,
}

/// What a convolution does besides multiplying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sliding {
    /// Pixels between neighbouring windows.
    pub(crate) stride: usize,
    pub(crate) border: Border,
    /// Whether a bias is read and added.
    pub(crate) bias: bool,
}

impl Sliding {
    /// Without a bias, zeros at every side.
    pub(crate) fn by(stride: usize) -> Self {
        Self { stride, border: Border::Symmetric, bias: false }
    }
}

impl Conv2d {
    /// Reads `{name}.weight`, which must take `channels`, and the bias, if there is to be one.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, channels: usize, sliding: Sliding) -> Result<Self> {
        let (weight, _) = from.kernel(&format!("{name}.weight"), channels)?;
        Self::new(from, name, &weight, 1, sliding)
    }

    /// Reads `{name}.weight` (channels, 1, k, k), one kernel for each channel, and the bias, if there is to be one.
    pub(crate) fn read_depthwise(
        from: &ParameterReader<'_>,
        name: &str,
        channels: usize,
        sliding: Sliding,
    ) -> Result<Self> {
        let weight_name = format!("{name}.weight");
        let (weight, _) = from.kernel(&weight_name, 1)?;
        from.check(&weight_name, &weight, weight.dims()[0] == channels, || format!("({channels}, 1, k, k)"))?;
        Self::new(from, name, &weight, channels, sliding)
    }

    fn new(
        from: &ParameterReader<'_>,
        name: &str,
        weight: &Tensor,
        groups: usize,
        Sliding { stride, border, bias }: Sliding,
    ) -> Result<Self> {
        let read_bias = || from.vector(&format!("{name}.bias"), weight.dims()[0]);
        let bias = bias.then(read_bias).transpose()?;
        let (weight, precision) = (from.weight(weight)?, from.precision);
        Ok(Self { weight, bias, stride, border, groups, precision })
    }

    /// Output channels.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.tensor().dims()[0]
    }

    /// What is padded beforehand, because it differs from side to side, and the convolution of the padded picture.
    fn plan(&self, x: &Tensor) -> candle_core::Result<(Margins, Conv)> {
        let (.., kernel) = self.weight.tensor().dims4()?;
        let (_, height, width, _) = x.dims4()?;
        let conv = |padding| Conv { stride: self.stride, padding, groups: self.groups };
        match self.border {
            Border::Symmetric => Ok((Margins::default(), conv(kernel / 2))),
            Border::Inside => Ok((Margins::default(), conv(0))),
            Border::Same => {
                let missing =
                    |side: usize| ((side.div_ceil(self.stride) - 1) * self.stride + kernel).saturating_sub(side);
                let (rows, columns) = (missing(height), missing(width));
                let common = (rows / 2).min(columns / 2);
                let margins = Margins {
                    top: rows / 2 - common,
                    bottom: rows.div_ceil(2) - common,
                    left: columns / 2 - common,
                    right: columns.div_ceil(2) - common,
                };
                Ok((margins, conv(common)))
            }
        }
    }
}

impl Layer for Conv2d {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (margins, conv) = self.plan(x)?;
        conv2d(&margins.pad(x)?, &self.weight, self.bias.as_ref(), conv)
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        let (margins, conv) = self.plan(x)?;
        let x = self.precision.round(&margins.pad(x)?)?;
        let (value, pullback) = conv2d_with_pullback(&x, &self.weight, self.bias.as_ref(), conv)?;
        let pullback = self.precision.round_upstream(pullback);
        Ok((value, Box::new(move |gradient| margins.crop(&pullback(gradient)?))))
    }
}
