//! Several ways whose results lie side by side.

use super::{Layer, Sequence};
use candle_core::{D, Result, Tensor};
use holdfast_ops::{Pullback, add_gradients};

/// The results of all branches at the same x, channel after channel: (…, C) → (…, C₁ + C₂ + …).
pub(crate) struct Concatenation {
    pub(crate) branches: Vec<Sequence>,
}

impl Layer for Concatenation {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let results: Vec<Tensor> = self.branches.iter().map(|branch| branch.forward(x)).collect::<Result<_>>()?;
        Tensor::cat(&results, D::Minus1)
    }

    fn train(&self, x: &Tensor) -> Result<Tensor> {
        let results: Vec<Tensor> = self.branches.iter().map(|branch| branch.train(x)).collect::<Result<_>>()?;
        Tensor::cat(&results, D::Minus1)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        let ways = self.branches.iter().map(|branch| branch.differentiate(x));
        let (results, pullbacks): (Vec<Tensor>, Vec<Pullback>) = ways.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let value = Tensor::cat(&results, D::Minus1)?;
        let widths: Vec<usize> = results.iter().map(|result| result.dim(D::Minus1)).collect::<Result<_>>()?;
        let back = move |gradient: &Tensor| {
            let (mut sum, mut first): (Option<Tensor>, usize) = (None, 0);
            for (pullback, width) in pullbacks.into_iter().zip(widths) {
                let of_x = pullback(&gradient.narrow(D::Minus1, first, width)?.contiguous()?)?;
                first += width;
                sum = Some(match sum {
                    None => of_x,
                    Some(sum) => add_gradients(sum, &of_x)?,
                });
            }
            sum.ok_or_else(|| candle_core::Error::Msg("a concatenation needs a branch".into()))
        };
        Ok((value, Box::new(back)))
    }
}
