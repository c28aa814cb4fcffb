//! No defense: triplet loss on benign pictures, the baseline that robust nets are compared with.

use candle_core::Tensor;
use holdfast_model::EmbeddingNet;
use rand::RngCore;
use serde::{Deserialize, Serialize};

use super::{Defense, HardnessSummary, StepLoss, mean, notation};
use crate::batch::Batch;
use crate::error::Result;
use crate::miner::{Hardness, Mining, Triplets};
use crate::triplet::MARGIN;

/// The settings of [`Vanilla`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VanillaConfig {
    /// Which triplets to train on.
    pub source: Hardness,
}

impl Default for VanillaConfig {
    fn default() -> Self {
        Self { source: Hardness::Random }
    }
}

/// Triplet loss on mined benign triplets.
#[derive(Clone, Debug)]
pub struct Vanilla {
    config: VanillaConfig,
}

impl Vanilla {
    pub(super) const DESCRIPTION: &'static str = "triplet loss on benign pictures; no defense";

    /// The defense with these settings.
    #[must_use]
    pub fn new(config: VanillaConfig) -> Self {
        Self { config }
    }

    /// The loss of given triplets over the batch's embeddings (2P, D), unit rows with their graph.
    ///
    /// # Errors
    /// If a triplet names a row that is not there.
    pub fn loss_of(&self, embeddings: &Tensor, triplets: &Triplets) -> Result<StepLoss> {
        let embedded = triplets.embedded(embeddings)?;
        let loss = embedded.loss(MARGIN)?;
        Ok(StepLoss {
            triplet: mean(&loss)?,
            loss,
            intra_class: None,
            hardness: HardnessSummary { source: mean(&embedded.hardness()?)?, destination: None, adversarial: None },
            attack: None,
        })
    }
}

impl Defense for Vanilla {
    fn name(&self) -> String {
        notation::mined("N/A", self.config.source)
    }

    fn loss(&mut self, net: &EmbeddingNet, batch: &Batch, rng: &mut dyn RngCore) -> Result<StepLoss> {
        let embeddings = net.embed_in_training(batch.pixels())?;
        let triplets = Mining::new(&embeddings, batch.labels())?.draw(self.config.source, MARGIN, rng)?;
        self.loss_of(&embeddings, &triplets)
    }
}
