//! SES: train on benign triplets, and hold each picture where it is when an attack drives it away.
//!
//! The loss is the triplet loss of the benign pictures plus the mean distance between each attacked picture and its
//! benign self.
//!
//! Source: the code of robrank, which compares it with EST.

use candle_core::Tensor;
use holdfast_model::distance::pairwise_distance;
use holdfast_model::{BatchNorm, Embedder, EmbeddingNet};
use rand::RngCore;

use super::embedding_shift::{EmbeddingShift, EmbeddingShiftConfig};
use super::inner_attack::InnerAttack;
use super::{Defense, StepLoss, mean, notation};
use crate::batch::Batch;
use crate::error::Result;
use crate::miner::{Mining, Triplets};
use crate::triplet::MARGIN;

/// Benign triplets, and attacked pictures held near themselves.
#[doc(alias = "SES")]
#[derive(Clone, Debug)]
pub struct Ses {
    config: EmbeddingShiftConfig,
}

impl Ses {
    pub(super) const DESCRIPTION: &'static str =
        "triplet loss on benign pictures, plus the distance that an attack moves each picture's embedding";

    /// The defense with these settings.
    #[must_use]
    pub fn new(config: EmbeddingShiftConfig) -> Self {
        Self { config }
    }

    /// The loss of these triplets, given the embeddings (2P, D) of the benign and of the attacked pictures.
    ///
    /// # Errors
    /// If a triplet names a row that is not there.
    pub fn loss_of(&self, benign: &Tensor, shifted: &Tensor, triplets: &Triplets) -> Result<Tensor> {
        let triplet = triplets.embedded(benign)?.loss(MARGIN)?;
        Ok((triplet + pairwise_distance(shifted, benign)?.mean_all()?)?)
    }
}

impl Defense for Ses {
    fn name(&self) -> String {
        notation::mined("SES", self.config.source)
    }

    fn loss(&mut self, net: &EmbeddingNet, batch: &Batch, rng: &mut dyn RngCore) -> Result<StepLoss> {
        // One forward pass serves mining, the attack's start and both terms of the loss, unless live batch norms make the
        // net in training another one than the net under attack.
        let start = match net.batch_norm() {
            BatchNorm::Frozen => net.embed_in_training(batch.pixels())?,
            BatchNorm::Live => net.frozen()?.embed(batch.pixels())?,
        };
        let triplets = Mining::new(&start, batch.labels())?.draw(self.config.source, MARGIN, rng)?;
        let shift = EmbeddingShift::new(&start, rng)?;
        let attack = InnerAttack { net, pgd: &self.config.pgd, enough: None };
        let objective = &mut |updates, embeddings: &Tensor| shift.objective(updates, embeddings);
        let attack = attack.run(batch.pixels(), objective, &mut |_| {})?;

        let benign = match net.batch_norm() {
            BatchNorm::Frozen => start,
            BatchNorm::Live => net.embed_in_training(batch.pixels())?,
        };
        let shifted = net.embed_in_training(&attack.pixels)?;
        let loss = self.loss_of(&benign, &shifted, &triplets)?;
        let source = triplets.embedded(&benign)?;
        let triplet = mean(&source.loss(MARGIN)?)?;
        Ok(StepLoss { triplet, ..StepLoss::of_attacked(loss, &source, &triplets.embedded(&shifted)?, attack)? })
    }
}
