//! Global average pooling.

use super::Layer;
use candle_core::{Result, Tensor};
use holdfast_ops::{Pullback, global_avg_pool, global_avg_pool_with_pullback};

/// The mean over the picture: (B, H, W, C) → (B, C).
pub(crate) struct AveragePool;

impl Layer for AveragePool {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        global_avg_pool(x)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        global_avg_pool_with_pullback(x)
    }
}
