//! Natural evolution strategies: a gradient estimated from answers alone, for attackers who cannot see into the net.

use candle_core::Tensor;
use rand::{Rng, RngCore};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use crate::gradient::Gradient;
use crate::{Error, Result};

/// What a black-box attacker asks of the net, and how much.
///
/// The slope of a picture's loss L is estimated from pairs of opposite Gaussian probes u:
/// Σ (L(x + σu) − L(x − σu)) u / (samples · σ). Probes are clamped to [0, 1], as a picture is that a service is asked
/// about.
///
/// Source: Ilyas, Engstrom, Athalye and Lin, Black-box Adversarial Attacks with Limited Queries and Information, 2018,
/// arXiv 1804.08598, section 2.1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Nes {
    /// Probes for one estimate, an even number: half of them mirror the other half.
    pub samples: usize,
    /// σ, how far from the picture a probe is, a pixel intensity: its standard deviation.
    pub sigma: f64,
    /// The probes that may be spent on one picture; an update that would exceed them is not made.
    pub query_budget: usize,
}

impl Default for Nes {
    /// Fifty probes at σ = 0.001, as in the source; a budget for all of 32 updates.
    fn default() -> Self {
        Self { samples: 50, sigma: 0.001, query_budget: 1600 }
    }
}

/// The loss of each picture of a batch (B, C, H, W): B numbers.
pub type Losses<'a> = dyn FnMut(&Tensor) -> Result<Vec<f64>> + 'a;

impl Nes {
    /// Every value out of range.
    #[must_use]
    pub fn problems(&self) -> Vec<Error> {
        let mut problems = Vec::new();
        if self.samples == 0 || !self.samples.is_multiple_of(2) {
            let (rule, value) = ("an even number, at least 2", self.samples as f64);
            problems.push(Error::Parameter { name: "nes.samples", rule, value });
        }
        if !(self.sigma > 0.0 && self.sigma <= 1.0) {
            let (rule, value) = ("a pixel intensity in (0, 1]", self.sigma);
            problems.push(Error::Parameter { name: "nes.sigma", rule, value });
        }
        if self.query_budget < self.samples {
            let (rule, value) = ("at least nes.samples, for one update", self.query_budget as f64);
            problems.push(Error::Parameter { name: "nes.query_budget", rule, value });
        }
        problems
    }

    /// How many of `steps` updates the budget allows.
    #[must_use]
    pub fn updates(&self, steps: usize) -> usize {
        steps.min(self.query_budget / self.samples.max(1))
    }

    /// Estimates the gradient at pixels (B, C, H, W); the objective is the mean loss of all probes.
    ///
    /// Each picture is judged by its own loss, so that its estimate does not depend on the batch it is in, but for the
    /// random numbers.
    ///
    /// # Errors
    /// If a loss is not finite, or cannot be computed.
    pub fn estimate(
        &self,
        pixels: &Tensor,
        losses: &mut Losses<'_>,
        step: usize,
        rng: &mut dyn RngCore,
    ) -> Result<Gradient> {
        let (pictures, values) = (pixels.dim(0)?, pixels.elem_count());
        let (mut slopes, mut objective) = (vec![0.0; values], 0.0);
        for _ in 0..self.samples / 2 {
            let direction: Vec<f64> = (0..values).map(|_| rng.sample(StandardNormal)).collect();
            let offset = Tensor::from_slice(&direction, pixels.shape(), pixels.device())?;
            let offset = (offset * self.sigma)?.to_dtype(pixels.dtype())?;
            let mut ask = |probe: Tensor| finite(losses(&probe.clamp(0.0, 1.0)?)?, step);
            let (there, back) = (ask((pixels + &offset)?)?, ask((pixels - &offset)?)?);
            objective += there.iter().chain(&back).sum::<f64>();
            let size = values / pictures;
            for (index, (slope, direction)) in slopes.iter_mut().zip(&direction).enumerate() {
                *slope += (there[index / size] - back[index / size]) * direction;
            }
        }
        let slopes = Tensor::from_vec(slopes, pixels.shape(), pixels.device())?;
        let slopes = (slopes / (self.samples as f64 * self.sigma))?.to_dtype(pixels.dtype())?;
        Ok(Gradient { objective: objective / (self.samples * pictures) as f64, slopes })
    }
}

fn finite(losses: Vec<f64>, step: usize) -> Result<Vec<f64>> {
    match losses.iter().find(|loss| !loss.is_finite()) {
        Some(&value) => Err(Error::NotFinite { quantity: "the loss", step, value }),
        None => Ok(losses),
    }
}
