//! ACT, the anti-collapse triplet: positive and negative are moved until the net takes one for the other.
//!
//! Source: Zhou et al., "Adversarial Attack and Defense in Deep Ranking", arXiv 2106.03614, and its code, robrank.

use candle_core::Tensor;
use holdfast_model::distance::pairwise_distance;
use rand::RngCore;

use super::attacked_triplet::{Adversary, Moves};
use super::inner_attack::Objective;
use crate::error::Result;

/// Pulls the positive and the negative of each triplet together; the anchor stays benign.
#[doc(alias = "ACT")]
#[derive(Clone, Copy, Debug)]
pub struct Act;

impl Act {
    pub(super) const DESCRIPTION: &'static str =
        "triplet loss on positives and negatives attacked to meet each other (anti-collapse triplet)";

    /// The mean over T of the distance between positive and negative, of a stack `[positives; negatives]` (2T, D).
    ///
    /// # Errors
    /// If it is no stack of two.
    pub fn objective_of(embeddings: &Tensor) -> holdfast_model::Result<Tensor> {
        let triplets = embeddings.dim(0)? / 2;
        let (positives, negatives) = (embeddings.narrow(0, 0, triplets)?, embeddings.narrow(0, triplets, triplets)?);
        Ok(pairwise_distance(&positives, &negatives)?.mean_all()?)
    }
}

impl Adversary for Act {
    const NAME: &'static str = "ACT";
    const MOVES: Moves = Moves::PositivesAndNegatives;
    const ANCHORS_APART: bool = true;

    fn objective(&self, _benign: &Tensor, _rng: &mut dyn RngCore) -> Result<Box<Objective<'static>>> {
        Ok(Box::new(|_, embeddings| Self::objective_of(embeddings)))
    }
}
