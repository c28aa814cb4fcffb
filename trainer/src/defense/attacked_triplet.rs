//! What ACT, AMD and REST share: mine benign triplets, attack their pictures, train on the result.
//!
//! They differ in which pictures move and in what the attack lowers: an [`Adversary`].

use candle_core::Tensor;
use holdfast_attack::Pgd;
use holdfast_model::{BatchNorm, Embedder, EmbeddingNet};
use rand::RngCore;
use serde::{Deserialize, Serialize};

use super::inner_attack::{Attacked, InnerAttack, Objective, Observer};
use super::{Defense, StepLoss, attack_problems, notation, published_budget};
use crate::batch::Batch;
use crate::error::Result;
use crate::miner::{Hardness, Mining, Triplets, rows};
use crate::triplet::{Embedded, MARGIN};

/// The settings of the defenses that attack mined triplets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttackedTripletConfig {
    /// Which triplets to attack and train on.
    pub source: Hardness,
    /// The margin of the semihard miner: 1 as in the published code, where the paper has 0.2. The loss has 0.2.
    pub mining_margin: f64,
    /// The attack's budget.
    pub pgd: Pgd,
}

impl Default for AttackedTripletConfig {
    fn default() -> Self {
        Self { source: Hardness::Random, mining_margin: 1.0, pgd: published_budget() }
    }
}

impl AttackedTripletConfig {
    /// Every value that makes no sense, named by its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = attack_problems(&self.pgd);
        if !(self.mining_margin > 0.0 && self.mining_margin <= 2.0) {
            problems.push(format!("defense.mining_margin must lie in (0, 2], got {}", self.mining_margin));
        }
        problems
    }
}

/// Which pictures of a triplet an attack moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// The stack `[anchors; positives; negatives]`.
    All,
    /// The stack `[positives; negatives]`; anchors stay benign.
    PositivesAndNegatives,
}

/// What is particular about a defense that attacks mined triplets.
pub trait Adversary: Send {
    /// The name in front of the miner's letter: `ACT` of `ACT[R]`.
    const NAME: &'static str;

    /// Which pictures it moves.
    const MOVES: Moves;

    /// Whether anchors that do not move are embedded after the others and apart: of consequence to live batch norms only.
    const ANCHORS_APART: bool = false;

    /// The objective to lower, given the benign embeddings of the stack that moves.
    ///
    /// # Errors
    /// Only those of tensor operations.
    fn objective(&self, benign: &Tensor, rng: &mut dyn RngCore) -> Result<Box<Objective<'static>>>;
}

/// Triplet loss on mined triplets whose pictures an [`Adversary`] has moved.
#[derive(Clone, Debug)]
pub struct AttackedTriplet<A> {
    config: AttackedTripletConfig,
    adversary: A,
}

impl<A: Adversary> AttackedTriplet<A> {
    /// The defense with these settings.
    #[must_use]
    pub fn new(config: AttackedTripletConfig, adversary: A) -> Self {
        Self { config, adversary }
    }

    /// Attacks the stack of the triplets' pictures that this adversary moves, from the batch's (2P, C, H, W).
    ///
    /// # Errors
    /// If a row or a shape does not fit, or the attack meets a number that is not finite.
    pub fn attack(
        &self,
        net: &EmbeddingNet,
        pixels: &Tensor,
        triplets: &Triplets,
        objective: &mut Objective<'_>,
        observe: &mut Observer<'_>,
    ) -> Result<Attacked> {
        let attack = InnerAttack { net, pgd: &self.config.pgd, enough: None };
        Ok(attack.run(&rows(pixels, &Self::moving(triplets))?, objective, observe)?)
    }

    /// The triplets' embeddings after the attack, with their graph; anchors that do not move are the batch's.
    ///
    /// # Errors
    /// If a row or a shape does not fit.
    pub fn embed(
        &self,
        net: &EmbeddingNet,
        pixels: &Tensor,
        triplets: &Triplets,
        attacked: &Tensor,
    ) -> Result<Embedded> {
        let stack = match A::MOVES {
            Moves::All => net.embed_in_training(attacked)?,
            Moves::PositivesAndNegatives => {
                let anchors = rows(pixels, &triplets.anchors)?;
                if A::ANCHORS_APART && net.batch_norm() == BatchNorm::Live {
                    let moved = net.embed_in_training(attacked)?;
                    Tensor::cat(&[net.embed_in_training(&anchors)?, moved], 0)?
                } else {
                    net.embed_in_training(&Tensor::cat(&[&anchors, attacked], 0)?)?
                }
            }
        };
        Ok(Embedded::split(&stack)?)
    }

    fn moving(triplets: &Triplets) -> Vec<usize> {
        let candidates = [&triplets.positives[..], &triplets.negatives].concat();
        match A::MOVES {
            Moves::All => [&triplets.anchors[..], &candidates].concat(),
            Moves::PositivesAndNegatives => candidates,
        }
    }
}

impl<A: Adversary> Defense for AttackedTriplet<A> {
    fn name(&self) -> String {
        notation::mined(A::NAME, self.config.source)
    }

    fn loss(&mut self, net: &EmbeddingNet, batch: &Batch, rng: &mut dyn RngCore) -> Result<StepLoss> {
        let AttackedTripletConfig { source, mining_margin, .. } = self.config;
        let benign = net.frozen()?.embed(batch.pixels())?;
        let triplets = Mining::new(&benign, batch.labels())?.draw(source, mining_margin, rng)?;
        let mut objective = self.adversary.objective(&rows(&benign, &Self::moving(&triplets))?, rng)?;
        let attack = self.attack(net, batch.pixels(), &triplets, &mut *objective, &mut |_| {})?;

        let attacked = self.embed(net, batch.pixels(), &triplets, &attack.pixels)?;
        StepLoss::of_attacked(attacked.loss(MARGIN)?, &triplets.embedded(&benign)?, &attacked, attack)
    }
}
