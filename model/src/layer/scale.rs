//! A factor for each feature.

use super::Layer;
use crate::Result;
use crate::parameters::ParameterReader;
use candle_core::Tensor;
use holdfast_ops::{Pullback, affine, affine_with_pullback};

/// x · factors: (…, D), same shape. Touvron et al., arXiv 2103.17239, call it LayerScale.
pub(crate) struct Scale {
    factors: Tensor,
}

impl Scale {
    /// Reads `name`, `features` values.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, features: usize) -> Result<Self> {
        Ok(Self { factors: from.vector(name, features)? })
    }
}

impl Layer for Scale {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        affine(x, &self.factors, &self.factors.zeros_like()?)
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        affine_with_pullback(x, &self.factors, &self.factors.zeros_like()?)
    }
}
