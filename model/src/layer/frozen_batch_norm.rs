//! Batch normalisation by statistics that stay as they are.

use super::Layer;
use crate::Result;
use crate::parameters::ParameterReader;
use candle_core::Tensor;
use holdfast_ops::{
    Pullback, Pullbacks, affine, affine_add_relu, affine_add_relu_with_pullback, affine_relu,
    affine_relu_with_pullback, affine_with_pullback,
};

/// Added to the variance; PyTorch's default.
const EPSILON: f64 = 1e-5;

/// What follows the normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    Relu,
}

/// (x − mean) / √(variance + 1e-5) · weight + bias, channel by channel, and perhaps ReLU: (B, H, W, C), same shape.
///
/// Mean and variance are those of the checkpoint: used in training too, and never updated. Weight and bias are trained.
pub(crate) struct FrozenBatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    then: Then,
}

impl FrozenBatchNorm {
    /// Reads `{name}.weight`, `.bias`, `.running_mean` and `.running_var` of `channels` values each.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, channels: usize, then: Then) -> Result<Self> {
        let vector = |suffix: &str| from.vector(&format!("{name}.{suffix}"), channels);
        let (weight, bias) = (vector("weight")?, vector("bias")?);
        Ok(Self { weight, bias, mean: vector("running_mean")?, variance: vector("running_var")?, then })
    }

    /// ReLU of the normalised x plus `shortcut`, of one shape, in one pass over memory.
    pub(super) fn add_relu(&self, x: &Tensor, shortcut: &Tensor) -> candle_core::Result<Tensor> {
        let (scale, shift) = self.scale_and_shift()?;
        affine_add_relu(x, &scale, &shift, shortcut)
    }

    /// [`add_relu`](Self::add_relu) and the way back to x and to the shortcut.
    pub(super) fn differentiate_add_relu(
        &self,
        x: &Tensor,
        shortcut: &Tensor,
    ) -> candle_core::Result<(Tensor, Pullbacks<2>)> {
        let (scale, shift) = self.scale_and_shift()?;
        affine_add_relu_with_pullback(x, &scale, &shift, shortcut)
    }

    /// The affine map that it is: weight / √(variance + ε), and bias − mean · that.
    fn scale_and_shift(&self) -> candle_core::Result<(Tensor, Tensor)> {
        let scale = self.weight.div(&(&self.variance + EPSILON)?.sqrt()?)?;
        let shift = (&self.bias - (&self.mean * &scale)?)?;
        Ok((scale, shift))
    }
}

impl Layer for FrozenBatchNorm {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (scale, shift) = self.scale_and_shift()?;
        match self.then {
            Then::Nothing => affine(x, &scale, &shift),
            Then::Relu => affine_relu(x, &scale, &shift),
        }
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        let (scale, shift) = self.scale_and_shift()?;
        match self.then {
            Then::Nothing => affine_with_pullback(x, &scale, &shift),
            Then::Relu => affine_relu_with_pullback(x, &scale, &shift),
        }
    }
}
