//! Batch normalisation.

use super::Layer;
use crate::Result;
use crate::parameters::ParameterReader;
use candle_core::Tensor;
use holdfast_ops::{
    Pullback, Pullbacks, add_relu, affine, affine_add_relu, affine_add_relu_with_pullback, affine_relu,
    affine_relu_with_pullback, affine_with_pullback, batch_norm, relu,
};

/// Added to the variance; PyTorch's default.
const EPSILON: f64 = 1e-5;

/// How far a pass of training takes a running statistic towards the batch's; PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// What follows the normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    Relu,
}

/// (x − mean) / √(variance + 1e-5) · weight + bias, channel by channel, and perhaps ReLU: (B, H, W, C), same shape.
///
/// Mean and variance are the running ones of the checkpoint, which only [`Layer::train`] updates: there, mean and variance
/// are the batch's own. Weight and bias are trained in either case.
pub(crate) struct BatchNorm2d {
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    then: Then,
}

impl BatchNorm2d {
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

    /// [`add_relu`](Self::add_relu) in a pass of training, as [`Layer::train`].
    pub(super) fn train_add_relu(&self, x: &Tensor, shortcut: &Tensor) -> candle_core::Result<Tensor> {
        add_relu(&self.normalize_by_batch(x)?, shortcut)
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

    /// Normalises by mean and biased variance of the batch, and moves the running mean and unbiased variance.
    fn normalize_by_batch(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let batch = batch_norm(x, &self.weight, &self.bias, EPSILON)?;
        follow(&self.mean, &batch.mean)?;
        follow(&self.variance, &batch.variance)?;
        Ok(batch.result)
    }
}

/// Moves a running statistic in place, so that every net which shares its storage sees it.
fn follow(running: &Tensor, of_batch: &Tensor) -> candle_core::Result<()> {
    running.slice_set(&((running * (1.0 - MOMENTUM))? + (of_batch * MOMENTUM)?)?, 0, 0)
}

impl Layer for BatchNorm2d {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (scale, shift) = self.scale_and_shift()?;
        match self.then {
            Then::Nothing => affine(x, &scale, &shift),
            Then::Relu => affine_relu(x, &scale, &shift),
        }
    }

    fn train(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let normalized = self.normalize_by_batch(x)?;
        match self.then {
            Then::Nothing => Ok(normalized),
            Then::Relu => relu(&normalized),
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
