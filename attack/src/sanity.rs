//! Does robustness look fake? A few cheap measurements that tell when a figure is not to be trusted.
//!
//! A gradient attack that fails proves little: the net may hide its gradient, or embed everything in one place. Each
//! [`Suspicion`] is a sign of that, and comes with its numbers.
//!
//! Source: the signs of masked gradients in Athalye, Carlini and Wagner 2018, arXiv 1802.00420, section 3.1, and the
//! checks of AutoAttack.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;

use candle_core::Tensor;
use holdfast_model::{Embedder, distance};
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

use crate::attacks::embedding_shift::ShiftAim;
use crate::attacks::{Aim, mean};
use crate::tensors::values_f64;
use crate::{Conformance, Labelled, Nes, Pgd, Protocol, Result, Rules, gradient, pursue, pursue_blindly};

/// Shifts below this are rounding of single precision.
const ROUNDING: f64 = 1e-5;

/// What was found on a few queries, and what it makes one suspect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sanity {
    /// Queries looked at.
    pub queries: usize,
    /// The numbers behind the flags.
    pub measured: Measured,
    /// Reasons not to trust the robustness figures; none if nothing is suspicious.
    pub flags: Vec<Flag>,
}

/// The mean shift of the queries' embeddings, a distance in [0, 2], under attacks that should rank in a certain order,
/// and the shares of what does not move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The share of pixels, in [0, 1], whose slope is exactly 0 in the first step.
    pub zero_gradient_pixels: f64,
    /// The share of queries, in [0, 1], all of whose slopes are exactly 0 in the first step.
    pub zero_gradient_queries: f64,
    /// Under ES with all steps of the profile.
    pub shift: f64,
    /// Under ES with half as many steps, or the same where there are fewer than four.
    pub shift_half_the_steps: f64,
    /// Under ES with one step of the whole radius.
    pub shift_one_step: f64,
    /// Under NES with few and wide probes.
    pub shift_black_box: f64,
    /// Under random noise: each pixel by epsilon, up or down.
    pub shift_noise: f64,
    /// The R@1 of hits drawn at random, in percent.
    pub chance_recall_at_1: f64,
}

/// A reason not to trust the robustness figures, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// What is suspected.
    pub suspicion: Suspicion,
    /// What was measured, and why that matters.
    pub explanation: String,
}

/// What makes a robustness figure untrustworthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// Slopes are exactly 0, so that an attack stands still.
    ZeroGradients,
    /// Fewer steps do more harm, so that the slopes lead astray.
    MoreStepsWeaker,
    /// An attacker who sees no slopes does more harm than one who does.
    BlackBoxStronger,
    /// Noise does as much harm as an attack.
    NoiseAsStrong,
    /// The net finds hardly more than chance would, and the score rewards it for moving nothing.
    Collapsed,
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroGradients => "zero gradients",
            Self::MoreStepsWeaker => "more steps are weaker",
            Self::BlackBoxStronger => "a black box is stronger",
            Self::NoiseAsStrong => "noise is as strong",
            Self::Collapsed => "collapsed",
        })
    }
}

/// Attacks the pictures (B, C, H, W) in the ways that [`Measured`] compares; `chance` is in percent.
///
/// # Errors
/// As [`pursue`].
pub(crate) fn measure(
    embedder: &dyn Embedder,
    pixels: &Tensor,
    rules: &Rules,
    chance: f64,
    rng: &mut dyn RngCore,
) -> Result<Measured> {
    let clean = embedder.embed(pixels)?.detach();
    let aim = ShiftAim::new(&clean, Conformance::Corrected)?;
    let shift = |embeddings: &Tensor| -> Result<f64> {
        Ok(mean(&values_f64(&distance::euclidean_distance(&embeddings.detach(), &clean)?)?))
    };
    let (zero_gradient_pixels, zero_gradient_queries) = zero_gradients(embedder, pixels, &aim)?;
    let mut halfway = None;
    let half = if rules.pgd.steps < 4 { rules.pgd.steps } else { rules.pgd.steps / 2 };
    let whole = pursue(embedder, pixels, &aim, &rules.pgd, &mut |step| {
        if step.index + 1 == half {
            halfway = Some(step.pixels.clone());
        }
        ControlFlow::Continue(())
    })?;
    let one_step = Pgd { steps: 1, ..rules.pgd };
    let one_step = pursue(embedder, pixels, &aim, &one_step, &mut |_| ControlFlow::Continue(()))?;
    let black_box = pursue_blindly(embedder, pixels, &aim, &few_wide_probes(rules), rng)?;
    Ok(Measured {
        zero_gradient_pixels,
        zero_gradient_queries,
        shift: shift(&whole.embeddings)?,
        shift_half_the_steps: shift(&embedder.embed(&halfway.unwrap_or(whole.pixels))?)?,
        shift_one_step: shift(&one_step.embeddings)?,
        shift_black_box: shift(&black_box.embeddings)?,
        shift_noise: shift(&embedder.embed(&noise(pixels, rules.pgd.epsilon, rng)?)?)?,
        chance_recall_at_1: chance,
    })
}

/// A black box that costs 160 pictures a query and can look past steps and ripples up to the size of epsilon.
fn few_wide_probes(rules: &Rules) -> Rules {
    let pgd = Pgd { steps: 8, alpha: rules.pgd.epsilon / 4.0, ..rules.pgd };
    let nes = Nes { samples: 20, sigma: rules.pgd.epsilon / 2.0, query_budget: 160 };
    Rules { pgd, nes, ..*rules }
}

/// The share of pixels without slope in the first step, and of pictures without any.
fn zero_gradients(embedder: &dyn Embedder, pixels: &Tensor, aim: &dyn Aim) -> Result<(f64, f64)> {
    let slopes = gradient::exact(pixels, &mut |pixels| aim.loss(0, &embedder.embed(pixels)?), 0)?.slopes;
    let slopes: Vec<f64> = values_f64(&slopes.flatten_all()?)?;
    let pictures = pixels.dim(0)?;
    let zero = |slope: &&f64| **slope == 0.0;
    let still = slopes.chunks(slopes.len() / pictures).filter(|picture| picture.iter().all(|slope| *slope == 0.0));
    Ok((slopes.iter().filter(zero).count() as f64 / slopes.len() as f64, still.count() as f64 / pictures as f64))
}

/// Each pixel moved by epsilon up or down, as far as [0, 1] allows.
fn noise(pixels: &Tensor, epsilon: f64, rng: &mut dyn RngCore) -> Result<Tensor> {
    let moves: Vec<f64> = (0..pixels.elem_count()).map(|_| if rng.random() { epsilon } else { -epsilon }).collect();
    let moves = Tensor::from_vec(moves, pixels.shape(), pixels.device())?.to_dtype(pixels.dtype())?;
    Ok((pixels + moves)?.clamp(0.0, 1.0)?)
}

/// The R@1 in percent of a hit that is drawn from the gallery, the query itself left out where it is there.
#[must_use]
pub(crate) fn chance_recall_at_1(queries: Labelled<'_>, gallery: Labelled<'_>, protocol: Protocol) -> f64 {
    let mut members = BTreeMap::new();
    for label in gallery.labels {
        *members.entry(label).or_insert(0_usize) += 1;
    }
    let own = usize::from(protocol == Protocol::LeaveOneOut);
    let others = (gallery.labels.len() - own).max(1) as f64;
    let chances = queries.labels.iter().map(|label| members.get(label).map_or(0, |count| count - own) as f64 / others);
    100.0 * mean(&chances.collect::<Vec<_>>())
}

impl Measured {
    /// What these numbers make one suspect, of a net with this R@1 (percent) and, where it was measured, this ERS.
    #[must_use]
    pub fn flags(&self, recall_at_1: f64, ers: Option<f64>) -> Vec<Flag> {
        let found = [
            self.zero_gradients(),
            self.more_steps_weaker(),
            self.black_box_stronger(),
            self.noise_as_strong(),
            self.collapsed(recall_at_1, ers),
        ];
        found.into_iter().flatten().collect()
    }

    fn zero_gradients(&self) -> Option<Flag> {
        let (pixels, queries) = (100.0 * self.zero_gradient_pixels, 100.0 * self.zero_gradient_queries);
        (pixels >= 90.0 || queries >= 5.0).then(|| {
            flag(
                Suspicion::ZeroGradients,
                format!(
                    "in the first step {pixels:.1} % of the pixels, and all pixels of {queries:.1} % of the queries, have a \
                     gradient of exactly 0; an attack that follows the gradient leaves them alone, whatever the net is worth"
                ),
            )
        })
    }

    fn more_steps_weaker(&self) -> Option<Flag> {
        let Self { shift, shift_half_the_steps: half, shift_one_step: one, .. } = *self;
        (half.max(one) > ROUNDING && shift < 0.95 * half.max(one)).then(|| {
            flag(
                Suspicion::MoreStepsWeaker,
                format!(
                    "the attack moves embeddings by {shift:.3} with all its steps, by {half:.3} with half of them and by \
                     {one:.3} with a single one; more steps should do more harm, so the gradient leads them astray"
                ),
            )
        })
    }

    fn black_box_stronger(&self) -> Option<Flag> {
        let Self { shift, shift_black_box: blind, .. } = *self;
        (blind > ROUNDING && blind > shift).then(|| {
            flag(
                Suspicion::BlackBoxStronger,
                format!(
                    "an attacker who sees no gradient moves embeddings by {blind:.3}, one who does by {shift:.3}; \
                     the gradient is masked, and scores of gradient attacks flatter the net"
                ),
            )
        })
    }

    fn noise_as_strong(&self) -> Option<Flag> {
        let Self { shift, shift_noise: noise, .. } = *self;
        (noise > ROUNDING && noise >= 0.9 * shift).then(|| {
            flag(
                Suspicion::NoiseAsStrong,
                format!(
                    "random noise of the same size moves embeddings by {noise:.3}, the attack by {shift:.3}; \
                     an attack that does no better than noise has not found the worst case"
                ),
            )
        })
    }

    /// A score near 30 is what a net gets that embeds everything in one place.
    fn collapsed(&self, recall_at_1: f64, ers: Option<f64>) -> Option<Flag> {
        let chance = self.chance_recall_at_1;
        let near_chance = recall_at_1 <= chance + 0.1 * (100.0 - chance);
        (near_chance && ers.is_none_or(|ers| ers >= 20.0)).then(|| {
            flag(
                Suspicion::Collapsed,
                format!(
                    "R@1 is {recall_at_1:.1} %, and chance gives {chance:.1} %; a net that embeds everything in one place \
                     is moved by nothing and scores about 30, without being of use"
                ),
            )
        })
    }
}

fn flag(suspicion: Suspicion, explanation: String) -> Flag {
    Flag { suspicion, explanation }
}
