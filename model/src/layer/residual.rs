//! Two ways that meet: the block of residual networks.

use super::{BatchNorm2d, Layer, Sequence};
use candle_core::{Result, Tensor};
use holdfast_ops::{Pullback, add_gradients};

/// ReLU(norm(main(x)) + shortcut(x)); an empty shortcut is the identity.
pub(crate) struct Residual {
    pub(crate) main: Sequence,
    pub(crate) norm: BatchNorm2d,
    pub(crate) shortcut: Sequence,
}

impl Layer for Residual {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.add_relu(&self.main.forward(x)?, &self.shortcut.forward(x)?)
    }

    fn train(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.train_add_relu(&self.main.train(x)?, &self.shortcut.train(x)?)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        let (main, main_back) = self.main.differentiate(x)?;
        let (shortcut, shortcut_back) = self.shortcut.differentiate(x)?;
        let (value, meeting_back) = self.norm.differentiate_add_relu(&main, &shortcut)?;
        let back = move |gradient: &Tensor| {
            let [of_main, of_shortcut] = meeting_back(gradient)?;
            let through_main = main_back(&of_main)?;
            drop(of_main);
            add_gradients(through_main, &shortcut_back(&of_shortcut)?)
        };
        Ok((value, Box::new(back)))
    }
}
