//! REST, EST on mined triplets: positives and negatives are driven away from their own embeddings; anchors stay benign.
//!
//! Source: the code of robrank.

use candle_core::Tensor;
use rand::RngCore;

use super::attacked_triplet::{Adversary, Moves};
use super::embedding_shift::EmbeddingShift;
use super::inner_attack::Objective;
use crate::error::Result;

/// Drives positives and negatives away from where they are.
#[doc(alias = "REST")]
#[derive(Clone, Copy, Debug)]
pub struct Rest;

impl Rest {
    pub(super) const DESCRIPTION: &'static str =
        "triplet loss on positives and negatives attacked to leave their own embeddings (EST on mined triplets)";
}

impl Adversary for Rest {
    const NAME: &'static str = "REST";
    const MOVES: Moves = Moves::PositivesAndNegatives;

    fn objective(&self, benign: &Tensor, rng: &mut dyn RngCore) -> Result<Box<Objective<'static>>> {
        let shift = EmbeddingShift::new(benign, rng)?;
        Ok(Box::new(move |updates, embeddings| shift.objective(updates, embeddings)))
    }
}
