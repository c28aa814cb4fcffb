//! EST, the embedding-shifted triplet: train on pictures that an attack drove away from their own embeddings.
//!
//! Every picture of the batch is attacked, and triplets are mined among the attacked ones.
//!
//! Source: the code of robrank, of Zhou et al., "Adversarial Attack and Defense in Deep Ranking", arXiv 2106.03614.

use candle_core::Tensor;
use holdfast_model::{Embedder, EmbeddingNet};
use rand::RngCore;

use super::embedding_shift::{EmbeddingShift, EmbeddingShiftConfig};
use super::inner_attack::{Attacked, InnerAttack, Observer};
use super::{Defense, StepLoss, notation};
use crate::batch::Batch;
use crate::error::Result;
use crate::miner::Mining;
use crate::triplet::MARGIN;

/// The embedding-shifted triplet.
#[doc(alias = "EST")]
#[derive(Clone, Debug)]
pub struct Est {
    config: EmbeddingShiftConfig,
}

impl Est {
    pub(super) const DESCRIPTION: &'static str =
        "triplet loss on pictures attacked to leave their own embeddings (embedding-shifted triplet)";

    /// The defense with these settings.
    #[must_use]
    pub fn new(config: EmbeddingShiftConfig) -> Self {
        Self { config }
    }

    /// Attacks all pictures of a batch (2P, C, H, W).
    ///
    /// # Errors
    /// If the net refuses the pictures, or the attack meets a number that is not finite.
    pub fn attack(
        &self,
        net: &EmbeddingNet,
        pixels: &Tensor,
        shift: &EmbeddingShift,
        observe: &mut Observer<'_>,
    ) -> Result<Attacked> {
        let attack = InnerAttack { net, pgd: &self.config.pgd, enough: None };
        Ok(attack.run(pixels, &mut |updates, embeddings| shift.objective(updates, embeddings), observe)?)
    }
}

impl Defense for Est {
    fn name(&self) -> String {
        notation::mined("EST", self.config.source)
    }

    fn loss(&mut self, net: &EmbeddingNet, batch: &Batch, rng: &mut dyn RngCore) -> Result<StepLoss> {
        let benign = net.frozen()?.embed(batch.pixels())?;
        let shift = EmbeddingShift::new(&benign, rng)?;
        let attack = self.attack(net, batch.pixels(), &shift, &mut |_| {})?;

        let shifted = net.embed_in_training(&attack.pixels)?;
        let triplets = Mining::new(&shifted, batch.labels())?.draw(self.config.source, MARGIN, rng)?;
        let attacked = triplets.embedded(&shifted)?;

        StepLoss::of_attacked(attacked.loss(MARGIN)?, &triplets.embedded(&benign)?, &attacked, attack)
    }
}
