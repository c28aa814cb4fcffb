//! The embedding shift attack ES: a query is perturbed so that its embedding moves as far as it can, anywhere.

use candle_core::Tensor;
use holdfast_model::{EmbeddingSet, distance};
use rand::RngCore;

use super::{Aim, Outcome, RankingAttack, Reached, Role};
use crate::tensors::values_f64;
use crate::{Queries, Result};

/// ES: no target. Reports the shift ("ES:D") and, where there are labels, what is left of R@1 ("ES:R").
///
/// "ES:D" is the shift one update before the end, because the reference's code reads it there and published numbers
/// depend on it. The shift of the final pixels is [`AttackedBatch::embedding_shift`](crate::AttackedBatch).
///
/// Source: arXiv 2106.03614 and its code, robrank.
#[derive(Debug)]
pub struct EmbeddingShift;

impl RankingAttack for EmbeddingShift {
    fn name(&self) -> &'static str {
        "ES"
    }

    fn description(&self) -> &'static str {
        "a perturbed query loses its place among its own kind"
    }

    fn role(&self) -> Role {
        Role::Query
    }

    fn aim(&self, queries: &Queries, _gallery: &EmbeddingSet, _rng: &mut dyn RngCore) -> Result<Box<dyn Aim>> {
        Ok(Box::new(ShiftAim::new(&queries.embeddings)?))
    }
}

/// A batch of B queries to be driven from where they are.
#[derive(Debug)]
pub struct ShiftAim {
    /// The clean embeddings (B, D).
    start: Tensor,
    /// Stands for `start` before the first update.
    beside_start: Tensor,
}

impl ShiftAim {
    /// The distance from the start hardly has a slope at the start itself, so the first update moves away from a
    /// point this far beside it, in every coordinate.
    const OFFSET: f64 = 1e-7;

    /// Aims away from the clean embeddings (B, D).
    ///
    /// # Errors
    /// Only those of tensor operations.
    pub fn new(start: &Tensor) -> Result<Self> {
        Ok(Self { start: start.clone(), beside_start: (start + Self::OFFSET)? })
    }
}

impl Aim for ShiftAim {
    /// Minus the sum over queries of the distance from the start.
    fn loss(&self, step: usize, embeddings: &Tensor) -> Result<Tensor> {
        let start = if step == 0 { &self.beside_start } else { &self.start };
        Ok(distance::pairwise_distance(embeddings, start)?.sum_all()?.neg()?)
    }

    /// "ES:D", a distance in [0, 2], one update before the end; "ES:R" in percent, at the end.
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        let shift = distance::pairwise_distance(&reached.before_last_step, &self.start)?;
        let mut outcomes = vec![Outcome { name: "ES:D", raw: values_f64(&shift)? }];
        if let Some(recall) = &reached.recall_at_1 {
            outcomes.push(Outcome { name: "ES:R", raw: recall.clone() });
        }
        Ok(outcomes)
    }
}
