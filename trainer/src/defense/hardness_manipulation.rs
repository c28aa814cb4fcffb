//! Hardness manipulation: train on triplets whose pictures were attacked until they are as hard as a destination.
//!
//! A step mines source triplets on benign embeddings, takes a destination hardness for each, moves the pixels of all
//! three pictures until the triplet is that hard ([`climb`]), and descends on the triplet loss of the moved
//! pictures. The destination is the hardness of other mined triplets, a constant, or the gradual adversary's, which
//! follows the net's progress. Where source and destination come from the same miner nothing is moved.
//!
//! Only the thresholded objective ("ET") is offered: the paper's other two alignments of source and destination, L2
//! and KL, are reported by its authors not to work.
//!
//! Source: Zhou & Patel, "Enhancing Adversarial Robustness for Deep Metric Learning", arXiv 2203.01439; where paper and
//! published code differ, this is the code.

pub mod climb;

use candle_core::Tensor;
use holdfast_attack::{Pgd, Step};
use holdfast_model::{Embedder, EmbeddingNet, Precision};
use rand::RngCore;
use serde::{Deserialize, Serialize};

use super::gradual_adversary;
use super::intra_class_structure::{self, IntraClassStructure};
use super::{Defense, HardnessSummary, Settings, StepLoss, mean};
use crate::batch::Batch;
use crate::error::Result;
use crate::miner::{Hardness, Mining, Triplets, rows};
use crate::triplet::{Embedded, MARGIN};
use climb::{Climb, Climbed, Coverage};

/// How hard the attack makes the triplets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// As hard as the batch's triplets of another miner, row by row.
    Mined(Hardness),
    /// As hard as this, in [−2, 2].
    Constant(f64),
    /// From −0.2 towards 0 as the adversarial loss falls (the linear gradual adversary).
    #[doc(alias = "LGA")]
    Gradual,
}

/// The settings of [`HardnessManipulation`].
#[doc(alias = "HM")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HardnessManipulationConfig {
    /// Which triplets to attack and train on.
    pub source: Hardness,
    /// How hard to make them: `"gradual"`, `{ mined = "semihard" }` or `{ constant = -0.1 }`.
    pub destination: Destination,
    /// The intra-class structure term; absent, there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intra_class_structure: Option<IntraClassStructure>,
    /// Whether the attack ends when an update no longer changes its objective by 1e-7.
    pub early_stop: bool,
    /// The attack's budget.
    pub pgd: Pgd,
}

impl Default for HardnessManipulationConfig {
    /// `HM[S,gLGA]` with the published budget for 28×28 pictures.
    fn default() -> Self {
        Self {
            source: Hardness::Softhard,
            destination: Destination::Gradual,
            intra_class_structure: None,
            early_stop: true,
            pgd: Pgd { epsilon: 77.0 / 255.0, alpha: 3.0 / 255.0, steps: 32, precision: Precision::default() },
        }
    }
}

impl Settings for HardnessManipulationConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = self.pgd.validate() {
            problems.push(format!("defense.pgd: {error}"));
        }
        if let Destination::Constant(hardness) = self.destination
            && !(-2.0..=2.0).contains(&hardness)
        {
            problems.push(format!("defense.destination.constant must be a hardness in [-2, 2], got {hardness}"));
        }
        if let Some(IntraClassStructure { weight }) = self.intra_class_structure
            && !(weight.is_finite() && weight > 0.0)
        {
            problems.push(format!(
                "defense.intra_class_structure.weight must be above 0, got {weight}; leave the table out for none"
            ));
        }
        problems
    }

    fn build(&self) -> Box<dyn Defense> {
        Box::new(HardnessManipulation::new(self.clone()))
    }
}

/// Hardness manipulation and its one piece of state: the previous step's adversarial loss.
#[derive(Clone, Debug)]
pub struct HardnessManipulation {
    config: HardnessManipulationConfig,
    coverage: Coverage,
    previous_loss: f64,
}

/// A step's result on given triplets.
#[derive(Clone, Debug)]
pub struct Manipulated {
    /// The total loss: a scalar with its graph.
    pub loss: Tensor,
    /// The triplet loss of the attacked triplets.
    pub triplet: f64,
    /// The intra-class structure term before its weight.
    pub intra_class: Option<f64>,
    /// The hardness of the attacked triplets: (T).
    pub hardness: Tensor,
    /// The attack's run.
    pub climbed: Climbed,
}

impl HardnessManipulation {
    pub(super) const DESCRIPTION: &'static str =
        "triplet loss on triplets attacked to a destination hardness (HM), optionally with intra-class structure";

    /// The defense with these settings, before its first step.
    #[must_use]
    pub fn new(config: HardnessManipulationConfig) -> Self {
        Self { config, coverage: Coverage::Moving, previous_loss: gradual_adversary::INITIAL_LOSS }
    }

    /// The same with another coverage of the attack's forward passes, which changes its cost and not its result.
    #[must_use]
    pub fn covering(self, coverage: Coverage) -> Self {
        Self { coverage, ..self }
    }

    /// The triplet loss of the latest step, which sets the gradual destination of the next; 2 before the first.
    #[must_use]
    pub fn previous_loss(&self) -> f64 {
        self.previous_loss
    }

    /// The embeddings (2P, D) of a batch's benign pixels (2P, C, H, W), for mining and for [`loss_of`](Self::loss_of).
    ///
    /// They have their graph if the loss has a term of them, so that one forward pass serves both.
    ///
    /// # Errors
    /// If the net refuses the pictures.
    pub fn embed(&self, net: &EmbeddingNet, pixels: &Tensor) -> Result<Tensor> {
        Ok(match self.config.intra_class_structure {
            Some(_) => net.embed(pixels)?,
            None => net.frozen()?.embed(pixels)?,
        })
    }

    /// The loss of given source triplets after an attack towards a destination hardness (T); none leaves them benign.
    ///
    /// Pixels are the batch's (2P, C, H, W) and the embeddings [theirs](Self::embed). `observe` sees each pixel update of
    /// the stack `[anchors; positives; negatives]`.
    ///
    /// # Errors
    /// If a row or a shape does not fit, or the attack meets a number that is not finite.
    pub fn loss_of(
        &mut self,
        net: &EmbeddingNet,
        pixels: &Tensor,
        embeddings: &Tensor,
        source: &Triplets,
        destination: Option<&Tensor>,
        observe: &mut dyn FnMut(&Step<'_>),
    ) -> Result<Manipulated> {
        let stack = [&source.anchors[..], &source.positives, &source.negatives].concat();
        let benign = rows(pixels, &stack)?;
        let climbed = match destination {
            Some(destination) => {
                let start = source.embedded(&embeddings.detach())?.hardness()?;
                let climb = Climb::new(net, destination, self.coverage)?.starting_at(&start)?;
                climb.run(&self.config.pgd, &benign, self.config.early_stop, observe)?
            }
            None => Climbed { pixels: benign, objectives: Vec::new() },
        };
        let attacked = Embedded::split(&net.embed(&climbed.pixels)?)?;
        let triplet = attacked.loss(MARGIN)?;
        self.previous_loss = mean(&triplet)?;
        let structure = self.structure(&source.embedded(embeddings)?, &attacked)?;
        Ok(Manipulated {
            triplet: self.previous_loss,
            intra_class: structure.as_ref().map(|(term, _)| mean(term)).transpose()?,
            loss: structure.map_or(Ok(triplet.clone()), |(term, weight)| &triplet + (term * weight)?)?,
            hardness: attacked.hardness()?.detach(),
            climbed,
        })
    }

    /// The intra-class structure term and its weight, where there is one. The gradient flows through the benign
    /// anchors and positives too.
    fn structure(&self, benign: &Embedded, attacked: &Embedded) -> Result<Option<(Tensor, f64)>> {
        let Some(IntraClassStructure { weight }) = self.config.intra_class_structure else { return Ok(None) };
        let term = intra_class_structure::loss(&benign.anchors, &attacked.anchors, &benign.positives)?;
        Ok(Some((term, weight)))
    }

    /// The hardness to reach for each triplet: (T); none where source and destination come from the same miner.
    fn destination(
        &self,
        source: &Triplets,
        mining: &Mining,
        embeddings: &Tensor,
        rng: &mut dyn RngCore,
    ) -> Result<Option<Tensor>> {
        let everywhere = |hardness: f64| -> Result<Option<Tensor>> {
            let triplets = embeddings.dim(0)? / 2;
            Ok(Some(Tensor::full(hardness, triplets, embeddings.device())?.to_dtype(embeddings.dtype())?))
        };
        match self.config.destination {
            Destination::Mined(miner) if miner == self.config.source => Ok(None),
            Destination::Mined(miner) => {
                Ok(Some(hardness_to_reach(source, &mining.draw(miner, MARGIN, rng)?, embeddings)?))
            }
            Destination::Constant(hardness) => everywhere(hardness),
            Destination::Gradual => everywhere(gradual_adversary::linear(self.previous_loss)),
        }
    }
}

/// The hardness (T) of mined destination triplets, from the batch's embeddings (2P, D).
///
/// Where a triplet is its own destination the value is lowered by more than rounding: its hardness comes from another
/// forward pass in the attack, and noise of either sign would decide whether its pictures move by a full step.
///
/// # Errors
/// If a triplet names a row that is not there.
pub fn hardness_to_reach(source: &Triplets, mined: &Triplets, embeddings: &Tensor) -> Result<Tensor> {
    const ABOVE_ROUNDING: f64 = 1e-4;
    let hardness = mined.embedded(embeddings)?.hardness()?;
    let lowered = |i: usize| if source.triplet(i) == mined.triplet(i) { ABOVE_ROUNDING } else { 0.0 };
    let lowered: Vec<f64> = (0..source.len()).map(lowered).collect();
    Ok((&hardness - Tensor::new(lowered, hardness.device())?.to_dtype(hardness.dtype())?)?)
}

impl Defense for HardnessManipulation {
    fn name(&self) -> String {
        let source = self.config.source.letter();
        let destination = match self.config.destination {
            Destination::Mined(miner) => miner.letter().to_string(),
            Destination::Constant(hardness) => hardness.to_string(),
            Destination::Gradual => "gLGA".to_owned(),
        };
        let structure = if self.config.intra_class_structure.is_some() { "&ICS" } else { "" };
        format!("HM[{source},{destination}]{structure}")
    }

    fn loss(&mut self, net: &EmbeddingNet, batch: &Batch, rng: &mut dyn RngCore) -> Result<StepLoss> {
        let embeddings = self.embed(net, batch.pixels())?;
        let values = embeddings.detach();
        let mining = Mining::new(&values, batch.labels())?;
        let source = mining.draw(self.config.source, MARGIN, rng)?;
        let destination = self.destination(&source, &mining, &values, rng)?;

        let step = self.loss_of(net, batch.pixels(), &embeddings, &source, destination.as_ref(), &mut |_| {})?;

        Ok(StepLoss {
            loss: step.loss,
            triplet: step.triplet,
            intra_class: step.intra_class,
            hardness: HardnessSummary {
                source: mean(&source.embedded(&values)?.hardness()?)?,
                destination: destination.as_ref().map(mean).transpose()?,
                adversarial: destination.as_ref().map(|_| mean(&step.hardness)).transpose()?,
            },
            pgd_steps: step.climbed.objectives.len(),
        })
    }
}
