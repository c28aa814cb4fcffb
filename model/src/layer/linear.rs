//! A linear layer.

use super::Layer;
use crate::parameters::ParameterReader;
use crate::{Precision, Result};
use candle_core::Tensor;
use holdfast_ops::{Pullback, Weight, linear, linear_with_pullback};

/// x · weightᵀ + bias: (B, I) → (B, O), weight (O, I).
pub(crate) struct Linear {
    weight: Weight,
    bias: Tensor,
    precision: Precision,
}

impl Linear {
    /// Reads `{name}.weight`, which must take `inputs` features, and `{name}.bias`.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, inputs: usize) -> Result<Self> {
        let weight_name = format!("{name}.weight");
        let weight = from.read(&weight_name, 2)?;
        let (outputs, weight_inputs) = weight.dims2()?;
        from.check(&weight_name, &weight, weight_inputs == inputs, || format!("(outputs, {inputs})"))?;
        let bias = from.vector(&format!("{name}.bias"), outputs)?;
        Ok(Self { weight: from.weight(&weight)?, bias, precision: from.precision })
    }

    /// Output features.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.tensor().dims()[0]
    }
}

impl Layer for Linear {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        linear(x, &self.weight, Some(&self.bias))
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        let x = self.precision.round(x)?;
        let (value, pullback) = linear_with_pullback(&x, &self.weight, Some(&self.bias))?;
        Ok((value, self.precision.round_upstream(pullback)))
    }
}
