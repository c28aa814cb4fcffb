//! Gradients without a graph, of operations on several inputs.

use candle_core::{Result, Tensor};

/// From the gradient of an operation's result to those of `N` inputs, once.
pub type Pullbacks<const N: usize> = Box<dyn FnOnce(&Tensor) -> Result<[Tensor; N]> + Send>;
