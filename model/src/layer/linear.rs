//! A linear layer.

use super::Layer;
use crate::parameters::ParameterReader;
use crate::{Precision, Result};
use candle_core::{D, Tensor};
use holdfast_ops::{Pullback, Weight, linear, linear_with_pullback};

/// x · weightᵀ + bias: (…, I) → (…, O), weight (O, I).
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
        with_last_axis(x, &linear(&rows(x)?, &self.weight, Some(&self.bias))?)
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        let input = x.shape().clone();
        let (value, pullback) =
            linear_with_pullback(&self.precision.round(&rows(x)?)?, &self.weight, Some(&self.bias))?;
        let pullback = self.precision.round_upstream(pullback);
        let back = move |gradient: &Tensor| pullback(&rows(gradient)?)?.reshape(input);
        Ok((with_last_axis(x, &value)?, Box::new(back)))
    }
}

/// (…, I) → (rows, I)
fn rows(x: &Tensor) -> candle_core::Result<Tensor> {
    if x.rank() == 2 { Ok(x.clone()) } else { x.reshape(((), x.dim(D::Minus1)?)) }
}

/// (rows, O) → the leading axes of x, O
fn with_last_axis(x: &Tensor, value: &Tensor) -> candle_core::Result<Tensor> {
    if x.rank() == 2 {
        return Ok(value.clone());
    }
    let mut shape = x.dims().to_vec();
    shape[x.rank() - 1] = value.dim(1)?;
    value.reshape(shape)
}
