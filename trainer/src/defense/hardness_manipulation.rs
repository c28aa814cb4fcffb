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
mod config;

use candle_core::Tensor;
use holdfast_model::{BatchNorm, Embedder, EmbeddingNet};
use rand::RngCore;

use super::gradual_adversary;
use super::inner_attack::{Attacked, Observer};
use super::intra_class_structure;
use super::{Defense, HardnessSummary, StepLoss, mean, notation};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::miner::{Mining, Triplets, rows};
use crate::triplet::{Embedded, MARGIN};
use climb::{Climb, Coverage};

pub use config::{Destination, HardnessManipulationConfig};

/// The name of the previous step's loss in the state of a training run.
const PREVIOUS_LOSS: &str = "previous_loss";

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
    pub attack: Attacked,
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
    /// They have their graph if the loss has a term of them, so that one forward pass serves both; unless batch norms are
    /// live, and the net in training is another one than the net that mines.
    ///
    /// # Errors
    /// If the net refuses the pictures.
    pub fn embed(&self, net: &EmbeddingNet, pixels: &Tensor) -> Result<Tensor> {
        Ok(match (self.config.intra_class_structure, net.batch_norm()) {
            (Some(_), BatchNorm::Frozen) => net.embed_in_training(pixels)?,
            _ => net.frozen()?.embed(pixels)?,
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
        observe: &mut Observer<'_>,
    ) -> Result<Manipulated> {
        let stack = [&source.anchors[..], &source.positives, &source.negatives].concat();
        let benign = rows(pixels, &stack)?;
        let attack = match destination {
            Some(destination) => {
                let start = source.embedded(&embeddings.detach())?.hardness()?;
                let climb = Climb::new(net, destination, self.coverage)?.starting_at(&start)?;
                climb.run(&self.config.pgd, &benign, self.config.early_stop, observe)?
            }
            None => Attacked::untouched(benign),
        };
        let same_class = self.same_class(net, pixels, embeddings, source)?;
        let attacked = Embedded::split(&net.embed_in_training(&attack.pixels)?)?;
        let triplet = attacked.loss(MARGIN)?;
        self.previous_loss = mean(&triplet)?;
        let structure = self.structure(same_class, &attacked)?;
        Ok(Manipulated {
            triplet: self.previous_loss,
            intra_class: structure.as_ref().map(|(term, _)| mean(term)).transpose()?,
            loss: structure.map_or(Ok(triplet.clone()), |(term, weight)| &triplet + (term * weight)?)?,
            hardness: attacked.hardness()?.detach(),
            attack,
        })
    }

    /// The benign anchors and positives (T, D) of the intra-class structure term with their graph, where there is one:
    /// the gradient flows through them too. Live batch norms see them as a batch of their own.
    fn same_class(
        &self,
        net: &EmbeddingNet,
        pixels: &Tensor,
        embeddings: &Tensor,
        source: &Triplets,
    ) -> Result<Option<[Tensor; 2]>> {
        if self.config.intra_class_structure.is_none() {
            return Ok(None);
        }
        Ok(Some(match net.batch_norm() {
            BatchNorm::Frozen => [rows(embeddings, &source.anchors)?, rows(embeddings, &source.positives)?],
            BatchNorm::Live => {
                let stack = [&source.anchors[..], &source.positives].concat();
                let stack = net.embed_in_training(&rows(pixels, &stack)?)?;
                let triplets = source.len();
                [stack.narrow(0, 0, triplets)?, stack.narrow(0, triplets, triplets)?]
            }
        }))
    }

    /// The intra-class structure term and its weight, where there is one.
    fn structure(&self, same_class: Option<[Tensor; 2]>, attacked: &Embedded) -> Result<Option<(Tensor, f64)>> {
        let (Some(structure), Some([anchors, positives])) = (self.config.intra_class_structure, same_class) else {
            return Ok(None);
        };
        let term = intra_class_structure::loss(&anchors, &attacked.anchors, &positives, structure.margin)?;
        Ok(Some((term, structure.weight)))
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
        let mut mined =
            |miner| -> Result<Tensor> { hardness_to_reach(source, &mining.draw(miner, MARGIN, rng)?, embeddings) };
        match self.config.destination {
            Destination::Mined(miner) if miner == self.config.source => Ok(None),
            Destination::Mined(miner) => Ok(Some(mined(miner)?)),
            Destination::Constant(hardness) => everywhere(hardness),
            Destination::Gradual(gradual) => everywhere(gradual.hardness(self.previous_loss)),
            Destination::Boosted(boosted) => Ok(Some((mined(boosted.mined)? + boosted.boost(self.previous_loss))?)),
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
        notation::hardness_manipulation(&self.config)
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
            attack: destination.map(|_| step.attack),
        })
    }

    fn state(&self) -> Vec<(&'static str, f64)> {
        vec![(PREVIOUS_LOSS, self.previous_loss)]
    }

    fn restore(&mut self, state: &[(String, f64)]) -> Result<()> {
        let theirs = state.iter().find(|(name, value)| name == PREVIOUS_LOSS && value.is_finite());
        let (_, value) = theirs.ok_or(Error::ForeignDefenseState { name: PREVIOUS_LOSS })?;
        self.previous_loss = *value;
        Ok(())
    }
}
