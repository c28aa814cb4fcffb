//! CA-TRIDE, collapse-aware triplet decoupling: steps attack the candidates and the anchors of triplets in turn.
//!
//! Triplets are mined semihard with a margin that shrinks over the training, and the attack's step size grows over it,
//! epoch by epoch: the first epoch trains on benign pictures. No attack pushes a batch beyond collapse.
//!
//! Source: Tian et al., "Collapse-Aware Triplet Decoupling for Adversarially Robust Image Retrieval", ICML 2024,
//! arXiv 2312.07364; this is its published code, last version.

pub mod collapse;
pub mod perturbation;

use candle_core::Tensor;
use holdfast_attack::Pgd;
use holdfast_model::distance::pairwise_distance;
use holdfast_model::{BatchNorm, Embedder, EmbeddingNet};
use rand::RngCore;
use serde::{Deserialize, Serialize};

use super::inner_attack::{Attacked, InnerAttack, Observer};
use super::{Defense, StepLoss, attack_problems, mean, notation, published_budget};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::miner::{Hardness, Mining, Triplets, rows};
use crate::triplet::{Embedded, MARGIN};
use collapse::{FarMean, near_half};
use perturbation::{AnchorObjective, CandidateObjective, Perturbation};

/// How the attack's step size grows over a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ramp {
    /// In epoch e of E it is alpha · e / E: nothing moves in the first.
    Epochs,
    /// It is alpha throughout.
    Constant,
}

/// The second term of the loss: weight · max(0, near half of d(a, p) − near half of d(a, n) + margin).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NearHalves {
    /// Its factor, 0 or above; 0 leaves the term out.
    pub weight: f64,
    /// Its margin.
    pub margin: f64,
}

impl Default for NearHalves {
    fn default() -> Self {
        Self { weight: 0.5, margin: 0.04 }
    }
}

/// The settings of [`CaTride`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaTrideConfig {
    /// How collapse is measured.
    pub far_mean: FarMean,
    /// Into how many epochs the training is divided, for the miner's margin and the attack's step size.
    pub epochs: usize,
    /// How the attack's step size grows.
    pub ramp: Ramp,
    /// The second term of the loss.
    pub near_halves: NearHalves,
    /// The attack's budget, at the end of the ramp. Two steps at least.
    pub pgd: Pgd,
}

impl Default for CaTrideConfig {
    /// The published setting, with the budget and the epochs for 28×28 pictures.
    fn default() -> Self {
        Self {
            far_mean: FarMean::default(),
            epochs: 8,
            ramp: Ramp::Epochs,
            near_halves: NearHalves::default(),
            pgd: Pgd { steps: 16, ..published_budget() },
        }
    }
}

impl CaTrideConfig {
    /// Every value that makes no sense, named by its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = attack_problems(&self.pgd);
        if self.pgd.steps == 1 {
            problems.push("defense.pgd.steps must be at least 2: a single step knows no ramp".to_owned());
        }
        let FarMean { temperature, .. } = self.far_mean;
        if !(temperature.is_finite() && temperature > 0.0) {
            problems.push(format!("defense.far_mean.temperature must be above 0, got {temperature}"));
        }
        if self.epochs == 0 {
            problems.push("defense.epochs must be at least 1, got 0".to_owned());
        }
        let NearHalves { weight, margin } = self.near_halves;
        if !(weight.is_finite() && weight >= 0.0) {
            problems.push(format!("defense.near_halves.weight must be 0 or above, got {weight}"));
        }
        if !(0.0..=2.0).contains(&margin) {
            problems.push(format!("defense.near_halves.margin must lie in [0, 2], got {margin}"));
        }
        problems
    }

    /// The attack's budget in an epoch, from 0; none where its step size is 0.
    #[must_use]
    pub fn budget(&self, epoch: usize) -> Option<Pgd> {
        let grown = match self.ramp {
            Ramp::Epochs => epoch as f64 / self.epochs as f64,
            Ramp::Constant => 1.0,
        };
        (grown > 0.0).then_some(Pgd { alpha: grown * self.pgd.alpha, ..self.pgd })
    }
}

/// The margin of the "gradually hard" miner, which is the semihard one, in an epoch, from 0: 0.2 (1 − e / 2E)².
#[must_use]
pub fn mining_margin(epoch: usize, epochs: usize) -> f64 {
    MARGIN * (1.0 - epoch as f64 / (2.0 * epochs as f64)).powi(2)
}

/// The one number of the defense's state: 1 if the next step attacks anchors.
const ANCHORS_ARE_NEXT: &str = "anchors_are_next";

/// Collapse-aware triplet decoupling, and its one piece of state: whose turn it is to be attacked.
#[doc(alias = "CA-TRIDE")]
#[derive(Clone, Debug)]
pub struct CaTride {
    config: CaTrideConfig,
    next: Perturbation,
}

impl CaTride {
    pub(super) const DESCRIPTION: &'static str =
        "triplet loss on triplets whose candidates and anchors are attacked in turn, up to collapse (CA-TRIDE)";

    /// An attack ends where its objective is below this.
    const ENOUGH: f64 = 1e-5;

    /// The defense with these settings, before its first step.
    #[must_use]
    pub fn new(config: CaTrideConfig) -> Self {
        Self { config, next: Perturbation::Candidates }
    }

    /// Attacks the pictures of triplets that a perturbation moves, given the triplets' benign embeddings.
    ///
    /// # Errors
    /// If a row or a shape does not fit, or the attack meets a number that is not finite.
    pub fn attack(
        &self,
        net: &EmbeddingNet,
        budget: &Pgd,
        moving: (Perturbation, &Tensor),
        benign: &Embedded,
        observe: &mut Observer<'_>,
    ) -> Result<Attacked> {
        let attack = InnerAttack { net, pgd: budget, enough: Some(Self::ENOUGH) };
        let (perturbation, pixels) = moving;
        let far = self.config.far_mean;
        Ok(match perturbation {
            Perturbation::Candidates => {
                let objective = CandidateObjective { far, anchors: benign.anchors.detach() };
                attack.run(pixels, &mut |_, embeddings| objective.of(embeddings), observe)?
            }
            Perturbation::Anchors => {
                let (positives, negatives) = (benign.positives.detach(), benign.negatives.detach());
                let mut objective = AnchorObjective::new(far, positives, negatives);
                attack.run(pixels, &mut |_, embeddings| objective.of(embeddings), observe)?
            }
        })
    }

    /// The triplets' embeddings after the attack, with their graph.
    ///
    /// # Errors
    /// If a row or a shape does not fit.
    pub fn embed(
        &self,
        net: &EmbeddingNet,
        pixels: &Tensor,
        triplets: &Triplets,
        attacked: (Perturbation, &Tensor),
    ) -> Result<Embedded> {
        let benign = |pictures: &[usize]| rows(pixels, pictures);
        let candidates = [&triplets.positives[..], &triplets.negatives].concat();
        let stack = match (net.batch_norm(), attacked) {
            (BatchNorm::Frozen, (Perturbation::Candidates, moved)) => {
                net.embed_in_training(&Tensor::cat(&[&benign(&triplets.anchors)?, moved], 0)?)?
            }
            (BatchNorm::Frozen, (Perturbation::Anchors, moved)) => {
                net.embed_in_training(&Tensor::cat(&[moved, &benign(&candidates)?], 0)?)?
            }
            // Each pass is a batch of its own, in the published code's order.
            (BatchNorm::Live, (Perturbation::Candidates, moved)) => {
                let candidates = net.embed_in_training(moved)?;
                Tensor::cat(&[net.embed_in_training(&benign(&triplets.anchors)?)?, candidates], 0)?
            }
            (BatchNorm::Live, (Perturbation::Anchors, moved)) => {
                let anchors = net.embed_in_training(moved)?;
                let positives = net.embed_in_training(&benign(&triplets.positives)?)?;
                Tensor::cat(&[anchors, positives, net.embed_in_training(&benign(&triplets.negatives)?)?], 0)?
            }
        };
        Ok(Embedded::split(&stack)?)
    }

    /// The triplet loss plus the term of the near halves before its weight: two scalars with their graph.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn terms(&self, attacked: &Embedded) -> Result<(Tensor, Tensor)> {
        let to_positives = near_half(&pairwise_distance(&attacked.anchors, &attacked.positives)?)?;
        let to_negatives = near_half(&pairwise_distance(&attacked.anchors, &attacked.negatives)?)?;
        let halves = ((to_positives - to_negatives)? + self.config.near_halves.margin)?;
        Ok((attacked.loss(MARGIN)?, holdfast_ops::relu(&halves)?))
    }

    /// The pictures that a perturbation moves, of the batch's (2P, C, H, W).
    fn moving(perturbation: Perturbation, pixels: &Tensor, triplets: &Triplets) -> Result<Tensor> {
        Ok(match perturbation {
            Perturbation::Candidates => rows(pixels, &[&triplets.positives[..], &triplets.negatives].concat())?,
            Perturbation::Anchors => rows(pixels, &triplets.anchors)?,
        })
    }
}

impl Defense for CaTride {
    fn name(&self) -> String {
        notation::ca_tride(&self.config)
    }

    fn loss(&mut self, net: &EmbeddingNet, batch: &Batch, rng: &mut dyn RngCore) -> Result<StepLoss> {
        let (perturbation, epoch) = (self.next, batch.progress().epoch(self.config.epochs));
        let embeddings = net.frozen()?.embed(batch.pixels())?;
        let margin = mining_margin(epoch, self.config.epochs);
        let triplets = Mining::new(&embeddings, batch.labels())?.draw(Hardness::Semihard, margin, rng)?;
        let benign = triplets.embedded(&embeddings)?;
        let moving = Self::moving(perturbation, batch.pixels(), &triplets)?;
        let attack = match self.config.budget(epoch) {
            Some(budget) => self.attack(net, &budget, (perturbation, &moving), &benign, &mut |_| {})?,
            None => Attacked::untouched(moving),
        };

        let attacked = self.embed(net, batch.pixels(), &triplets, (perturbation, &attack.pixels))?;
        let (triplet, halves) = self.terms(&attacked)?;
        let loss = (&triplet + (halves * self.config.near_halves.weight)?)?;
        self.next = perturbation.other();
        Ok(StepLoss { triplet: mean(&triplet)?, ..StepLoss::of_attacked(loss, &benign, &attacked, attack)? })
    }

    fn state(&self) -> Vec<(&'static str, f64)> {
        vec![(ANCHORS_ARE_NEXT, f64::from(u8::from(self.next == Perturbation::Anchors)))]
    }

    fn restore(&mut self, state: &[(String, f64)]) -> Result<()> {
        let theirs = state.iter().find(|(name, value)| name == ANCHORS_ARE_NEXT && value.is_finite());
        let (_, value) = theirs.ok_or(Error::ForeignDefenseState { name: ANCHORS_ARE_NEXT })?;
        self.next = if *value == 0.0 { Perturbation::Candidates } else { Perturbation::Anchors };
        Ok(())
    }
}
