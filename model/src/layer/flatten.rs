//! From pictures to rows of features.

use super::Layer;
use candle_core::{Result, Tensor};
use holdfast_ops::{Pullback, channels_first, channels_first_with_pullback};

/// (B, H, W, C) → (B, C·H·W), in the order of PyTorch's channels-first pictures, which linear layers' weights follow.
pub(crate) struct Flatten;

impl Layer for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        channels_first(x)?.flatten_from(1)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        let (pictures, pullback) = channels_first_with_pullback(x)?;
        let shape = pictures.shape().clone();
        Ok((pictures.flatten_from(1)?, Box::new(move |gradient| pullback(&gradient.reshape(shape)?))))
    }
}
