//! Layer normalisation.

use super::Layer;
use crate::Result;
use crate::parameters::ParameterReader;
use candle_core::Tensor;
use holdfast_ops::{Pullback, layer_norm, layer_norm_with_pullback};

/// Added to the variance in vision transformers.
const EPSILON: f64 = 1e-6;

/// (x − mean) / √(variance + 1e-6) · weight + bias, mean and variance over the last axis: (…, D), same shape.
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    /// Reads `{name}.weight` and `{name}.bias` of `features` values each.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, features: usize) -> Result<Self> {
        let vector = |suffix: &str| from.vector(&format!("{name}.{suffix}"), features);
        Ok(Self { weight: vector("weight")?, bias: vector("bias")? })
    }
}

impl Layer for LayerNorm {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        layer_norm(x, &self.weight, &self.bias, EPSILON)
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        layer_norm_with_pullback(x, &self.weight, &self.bias, EPSILON)
    }
}
