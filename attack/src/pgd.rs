//! Projected gradient descent on pixels: the only loop in Holdfast that moves pictures along a gradient.
//!
//! Ranking attacks and adversarial training differ only in the loss they hand to it.

use std::ops::ControlFlow;

use candle_core::{DType, Shape, Tensor, Var, WithDType};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, intensity};

/// The budget of an attack: how far pixels may move (L∞), how far at a time, and how often.
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
    /// A checked budget.
    ///
    /// # Errors
    /// If epsilon or alpha is outside (0, 1], or there is no step.
    pub fn new(epsilon: f64, alpha: f64, steps: usize) -> Result<Self> {
        let pgd = Self { epsilon, alpha, steps };
        pgd.validate()?;
        Ok(pgd)
    }

    /// Checks a budget that came from configuration.
    ///
    /// # Errors
    /// As [`Pgd::new`].
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [("epsilon", self.epsilon), ("alpha", self.alpha)] {
            if !(value > 0.0 && value <= 1.0) {
                return Err(Error::Parameter { name, rule: "a pixel intensity in (0, 1]", value });
            }
        }
        if self.steps == 0 {
            return Err(Error::Parameter { name: "steps", rule: "at least 1", value: 0.0 });
        }
        Ok(())
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
        self.validate()?;
        match pixels.dtype() {
            DType::F32 => self.descend::<f32>(pixels, loss, observe),
            DType::F64 => self.descend::<f64>(pixels, loss, observe),
            dtype => Err(Error::PixelType { dtype }),
        }
    }

    fn descend<T: WithDType>(
        &self,
        pixels: &Tensor,
        loss: &mut Loss<'_>,
        observe: &mut Observer<'_>,
    ) -> Result<Tensor> {
        let stride = if self.steps == 1 { self.epsilon } else { self.alpha };
        let mut walk = Walk::<T>::start(pixels, self.epsilon, stride)?;
        let mut moved = pixels.detach();
        for index in 0..self.steps {
            let (objective, gradient) = differentiate::<T>(&moved, loss, index)?;
            walk.step(&gradient);
            moved = Tensor::from_slice(&walk.position, walk.shape.clone(), pixels.device())?;
            let step = Step { index, objective, pixels: &moved };
            if observe(&step).is_break() {
                break;
            }
        }
        Ok(moved)
    }
}

/// Loss and its gradient in the pixels, both finite.
fn differentiate<T: WithDType>(pixels: &Tensor, loss: &mut Loss<'_>, step: usize) -> Result<(f64, Vec<T>)> {
    let variable = Var::from_tensor(pixels)?;
    let loss = loss(variable.as_tensor())?;
    if loss.rank() != 0 {
        return Err(Error::NotScalar { shape: loss.dims().to_vec() });
    }
    let objective = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    if !objective.is_finite() {
        return Err(Error::NotFinite { quantity: "the loss", step, value: objective });
    }

    let mut gradients = loss.backward()?;
    let Some(gradient) = gradients.remove(variable.as_tensor()) else {
        return Err(Error::NoGradient { step });
    };
    let gradient = gradient.flatten_all()?.to_vec1::<T>()?;
    match gradient.iter().map(|slope| slope.to_f64()).find(|slope| !slope.is_finite()) {
        Some(value) => Err(Error::NotFinite { quantity: "the gradient", step, value }),
        None => Ok((objective, gradient)),
    }
}

/// Pixels on their way through the ball. Arithmetic is in the pixels' own type, as in the reference.
struct Walk<T> {
    origin: Vec<T>,
    position: Vec<T>,
    shape: Shape,
    radius: T,
    stride: T,
}

impl<T: WithDType> Walk<T> {
    fn start(pixels: &Tensor, radius: f64, stride: f64) -> Result<Self> {
        let origin = pixels.flatten_all()?.to_vec1::<T>()?;
        let outside = |value: &f64| !(0.0..=1.0).contains(value);
        if let Some(value) = origin.iter().map(|pixel| pixel.to_f64()).find(outside) {
            return Err(Error::PixelRange { value });
        }
        Ok(Self {
            position: origin.clone(),
            origin,
            shape: pixels.shape().clone(),
            radius: T::from_f64(radius),
            stride: T::from_f64(stride),
        })
    }

    /// One update in one pass over the pixels; a chain of tensor operations would make seven.
    fn step(&mut self, gradient: &[T]) {
        let (zero, one) = (T::zero(), T::one());
        for ((pixel, &benign), &slope) in self.position.iter_mut().zip(&self.origin).zip(gradient) {
            let mut moved = *pixel;
            // A slope of exactly 0 leaves the pixel alone: satisfied triplets must not move.
            if slope > zero {
                moved -= self.stride;
            } else if slope < zero {
                moved += self.stride;
            }
            // The ball is around the benign pixels: around the last step, it would drift steps · alpha.
            moved = lesser(moved, benign + self.radius);
            moved = greater(moved, benign - self.radius);
            *pixel = lesser(greater(moved, zero), one);
        }
    }
}

fn lesser<T: PartialOrd>(left: T, right: T) -> T {
    if right < left { right } else { left }
}

fn greater<T: PartialOrd>(left: T, right: T) -> T {
    if right > left { right } else { left }
}
