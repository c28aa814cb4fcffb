//! AMD, the min-max triplet: all three pictures are moved to raise the triplet loss, as far as the budget allows.
//!
//! Madry's adversarial training, taken literally; nets often collapse under it.
//!
//! Source: the code of robrank; the min-max baseline of Zhou & Patel, arXiv 2203.01439.

use candle_core::Tensor;
use rand::RngCore;

use super::attacked_triplet::{Adversary, Moves};
use super::inner_attack::Objective;
use crate::error::Result;
use crate::triplet::Embedded;

/// Makes each triplet as hard as it can.
#[doc(alias = "AMD")]
#[derive(Clone, Copy, Debug)]
pub struct Amd;

impl Amd {
    pub(super) const DESCRIPTION: &'static str =
        "triplet loss on triplets attacked to be as hard as they can (min-max triplet)";

    /// Minus the mean hardness of a stack `[anchors; positives; negatives]` (3T, D).
    ///
    /// # Errors
    /// If it is no stack of three.
    pub fn objective_of(embeddings: &Tensor) -> holdfast_model::Result<Tensor> {
        Ok(Embedded::split(embeddings)?.hardness()?.mean_all()?.neg()?)
    }
}

impl Adversary for Amd {
    const NAME: &'static str = "AMD";
    const MOVES: Moves = Moves::All;

    fn objective(&self, _benign: &Tensor, _rng: &mut dyn RngCore) -> Result<Box<Objective<'static>>> {
        Ok(Box::new(|_, embeddings| Self::objective_of(embeddings)))
    }
}
