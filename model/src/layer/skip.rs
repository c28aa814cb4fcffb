//! A way and a shortcut past it.

use super::{Layer, Sequence};
use candle_core::{Result, Tensor};
use holdfast_ops::{Pullback, add_gradients};

/// x + main(x)
pub(crate) struct Skip {
    pub(crate) main: Sequence,
}

impl Layer for Skip {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.main.forward(x)? + x
    }

    fn train(&self, x: &Tensor) -> Result<Tensor> {
        self.main.train(x)? + x
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        let (main, main_back) = self.main.differentiate(x)?;
        let back = move |gradient: &Tensor| add_gradients(main_back(gradient)?, gradient);
        Ok(((main + x)?, Box::new(back)))
    }
}
