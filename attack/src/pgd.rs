//! Projected gradient descent on pixels: the only loop in Holdfast that moves pictures along a gradient.
//!
//! Ranking attacks and adversarial training differ only in the loss they hand to it.

use std::ops::ControlFlow;

use candle_core::{DType, Tensor};
use holdfast_model::Precision;
use holdfast_ops::{PgdStep, find};
use serde::{Deserialize, Serialize};

use crate::gradient::{self, Gradient, GradientSource};
use crate::{Error, Result, intensity};

/// The budget of an attack: how far pixels may move (L∞), how far at a time, how often, and in which arithmetic.
///
/// `epsilon` and `alpha` are pixel intensities in [0, 1]; configuration may write them as `"77/255"`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pgd {
    /// Radius of the L∞ ball around the benign pixels.
    #[serde(with = "intensity")]
    pub epsilon: f64,
    /// Step size. A single step goes the whole radius instead.
    #[serde(with = "intensity")]
    pub alpha: f64,
    /// Number of updates, at least one.
    pub steps: usize,
    /// The arithmetic of the net under attack: "f32", its own, or "bf16". Who makes a loss of a net obeys it.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
}

/// One update, as told to an observer.
#[derive(Debug)]
pub struct Step<'a> {
    /// Number of updates made before this one.
    pub index: usize,
    /// The loss before the update.
    pub objective: f64,
    /// The pixels after the update.
    pub pixels: &'a Tensor,
}

/// A loss of pixels, minimised: gets a tracked (B, C, H, W) tensor, returns a scalar.
pub type Loss<'a> = dyn FnMut(&Tensor) -> Result<Tensor> + 'a;

/// Sees each update and may end the run; the update stays.
pub type Observer<'a> = dyn FnMut(&Step<'_>) -> ControlFlow<()> + 'a;

impl Pgd {
    /// A checked budget, in the net's own arithmetic.
    ///
    /// # Errors
    /// If epsilon or alpha is outside (0, 1], or there is no step.
    pub fn new(epsilon: f64, alpha: f64, steps: usize) -> Result<Self> {
        let pgd = Self { epsilon, alpha, steps, precision: Precision::default() };
        pgd.validate()?;
        Ok(pgd)
    }

    /// Checks a budget that came from configuration.
    ///
    /// # Errors
    /// As [`Pgd::new`].
    pub fn validate(&self) -> Result<()> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Every value out of range.
    #[must_use]
    pub fn problems(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        for (name, value) in [("epsilon", self.epsilon), ("alpha", self.alpha)] {
            if !(value > 0.0 && value <= 1.0) {
                problems.push(Error::Parameter { name, rule: "a pixel intensity in (0, 1]", value });
            }
        }
        if self.steps == 0 {
            problems.push(Error::Parameter { name: "steps", rule: "at least 1", value: 0.0 });
        }
        problems
    }

    /// The pixels (B, C, H, W) after `steps` updates that lower `loss`; detached, same shape and type.
    ///
    /// Starts at the benign pixels and returns the last iterate, not the best.
    ///
    /// # Errors
    /// If pixels are outside [0, 1] or neither f32 nor f64, if the loss is not a scalar, does not depend on the
    /// pixels, or is not finite, or if its gradient is not.
    ///
    /// Source: the PGD engine of robrank, arXiv 2106.03614.
    pub fn perturb(&self, pixels: &Tensor, loss: &mut Loss<'_>) -> Result<Tensor> {
        self.perturb_observed(pixels, loss, &mut |_| ControlFlow::Continue(()))
    }

    /// [`Pgd::perturb`] under observation: `observe` is called after each update and may end the run.
    ///
    /// # Errors
    /// As [`Pgd::perturb`].
    pub fn perturb_observed(&self, pixels: &Tensor, loss: &mut Loss<'_>, observe: &mut Observer<'_>) -> Result<Tensor> {
        self.descend(pixels, &mut |pixels, step| gradient::exact(pixels, loss, step), observe)
    }

    /// The loop itself, wherever its gradients come from.
    ///
    /// # Errors
    /// If pixels are outside [0, 1] or neither f32 nor f64, or there is no finite gradient.
    pub fn descend(
        &self,
        pixels: &Tensor,
        gradient: &mut GradientSource<'_>,
        observe: &mut Observer<'_>,
    ) -> Result<Tensor> {
        self.validate()?;
        check(pixels)?;
        let stride = if self.steps == 1 { self.epsilon } else { self.alpha };
        let (step, benign) = (PgdStep { stride, radius: self.epsilon }, pixels.detach());
        let mut moved = benign.clone();
        for index in 0..self.steps {
            let Gradient { objective, slopes } = gradient(&moved, index)?;
            let Some(lower) = step.descend(&moved, &benign, &slopes)? else {
                let value = find(&slopes, |slope| !slope.is_finite())?.unwrap_or(f64::NAN);
                return Err(Error::NotFinite { quantity: "the gradient", step: index, value });
            };
            moved = lower;
            let step = Step { index, objective, pixels: &moved };
            if observe(&step).is_break() {
                break;
            }
        }
        Ok(moved)
    }
}

/// Refuses pixels outside [0, 1], or of another type than f32 and f64.
fn check(pixels: &Tensor) -> Result<()> {
    let dtype = pixels.dtype();
    if !matches!(dtype, DType::F32 | DType::F64) {
        return Err(Error::PixelType { dtype });
    }
    match find(&pixels.detach(), |pixel| !(0.0..=1.0).contains(&pixel))? {
        Some(value) => Err(Error::PixelRange { value }),
        None => Ok(()),
    }
}
