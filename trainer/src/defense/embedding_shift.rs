//! The inner attack of EST, REST and SES: pictures whose embeddings go as far as they can, anywhere.
//!
//! Source: the code of robrank, of Zhou et al., "Adversarial Attack and Defense in Deep Ranking", arXiv 2106.03614.

use candle_core::Tensor;
use holdfast_attack::Pgd;
use holdfast_model::distance::pairwise_distance;
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

use super::{attack_problems, published_budget};
use crate::miner::Hardness;

/// The settings of the defenses that attack whole batches by embedding shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingShiftConfig {
    /// Which triplets to train on.
    pub source: Hardness,
    /// The attack's budget.
    pub pgd: Pgd,
}

impl Default for EmbeddingShiftConfig {
    fn default() -> Self {
        Self { source: Hardness::Random, pgd: published_budget() }
    }
}

impl EmbeddingShiftConfig {
    /// Every value that makes no sense, named by its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        attack_problems(&self.pgd)
    }
}

/// The objective: minus the sum over pictures of the distance from where their embeddings were.
#[derive(Clone, Debug)]
pub struct EmbeddingShift {
    /// The benign embeddings (B, D).
    start: Tensor,
    /// Stands for `start` before the first update, because the distance hardly has a slope at the start itself.
    beside_start: Tensor,
}

impl EmbeddingShift {
    /// How far `beside_start` lies beside the start, in any coordinate.
    const OFFSET: f64 = 1e-7;

    /// Away from the benign embeddings (B, D), first in a direction that `rng` draws.
    ///
    /// # Errors
    /// Only those of tensor operations.
    pub fn new(start: &Tensor, rng: &mut dyn RngCore) -> holdfast_model::Result<Self> {
        let directions: Vec<f64> = (0..start.elem_count()).map(|_| f64::from(rng.random_range(-1i8..=1))).collect();
        let directions = Tensor::from_vec(directions, start.dims(), start.device())?;
        Self::with_directions(start, &directions.to_dtype(start.dtype())?)
    }

    /// Away from the benign embeddings (B, D), first in these directions (B, D) of -1, 0 and 1.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn with_directions(start: &Tensor, directions: &Tensor) -> holdfast_model::Result<Self> {
        let start = start.detach();
        let beside_start = (&start + (directions * Self::OFFSET)?)?;
        Ok(Self { start, beside_start })
    }

    /// The objective of these embeddings (B, D) after so many updates: a scalar.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn objective(&self, updates: usize, embeddings: &Tensor) -> holdfast_model::Result<Tensor> {
        let start = if updates == 0 { &self.beside_start } else { &self.start };
        Ok(pairwise_distance(embeddings, start)?.sum_all()?.neg()?)
    }
}
