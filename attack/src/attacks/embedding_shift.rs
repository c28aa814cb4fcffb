//! The embedding shift attack ES: a query is perturbed so that its embedding moves as far as it can, anywhere.

use candle_core::Tensor;
use holdfast_model::{EmbeddingSet, distance};
use rand::RngCore;

use super::{Aim, Outcome, RankingAttack, Reached, Role};
use crate::tensors::values_f64;
use crate::{Conformance, Queries, Result, Rules};

/// ES: no target. Reports the shift ("ES:D") and, where there are labels, what is left of R@1 ("ES:R").
///
/// "ES:D" is the shift of the final pixels, or under [`Conformance::Reference`] the shift one update earlier, because the
/// reference's code reads it there and published numbers depend on it. The shift of the final pixels is always in
/// [`AttackedBatch::embedding_shift`](crate::AttackedBatch).
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

    fn aim(
        &self,
        queries: &Queries,
        _gallery: &EmbeddingSet,
        rules: &Rules,
        _rng: &mut dyn RngCore,
    ) -> Result<Box<dyn Aim>> {
        Ok(Box::new(ShiftAim::new(&queries.embeddings, rules.conformance)?))
    }
}

/// A batch of B queries to be driven from where they are.
#[derive(Debug)]
pub struct ShiftAim {
    /// The clean embeddings (B, D).
    start: Tensor,
    /// Stands for `start` before the first update.
    beside_start: Tensor,
    /// Where "ES:D" is read.
    conformance: Conformance,
}

impl ShiftAim {
    /// The distance from the start hardly has a slope at the start itself, so the first update moves away from a
    /// point this far beside it, in every coordinate.
    const OFFSET: f64 = 1e-7;

    /// Aims away from the clean embeddings (B, D).
    ///
    /// # Errors
    /// Only those of tensor operations.
    pub fn new(start: &Tensor, conformance: Conformance) -> Result<Self> {
        Ok(Self { start: start.clone(), beside_start: (start + Self::OFFSET)?, conformance })
    }

    /// The distance of each query from its start: (B).
    fn shifts(&self, step: usize, embeddings: &Tensor) -> Result<Tensor> {
        let start = if step == 0 { &self.beside_start } else { &self.start };
        Ok(distance::pairwise_distance(embeddings, start)?)
    }
}

impl Aim for ShiftAim {
    /// Minus the sum over queries of the distance from the start.
    fn loss(&self, step: usize, embeddings: &Tensor) -> Result<Tensor> {
        Ok(self.shifts(step, embeddings)?.sum_all()?.neg()?)
    }

    fn losses(&self, step: usize, embeddings: &Tensor) -> Result<Vec<f64>> {
        values_f64(&self.shifts(step, embeddings)?.neg()?)
    }

    /// "ES:D", a distance in [0, 2]; "ES:R" in percent, at the end.
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        let read = match self.conformance {
            Conformance::Reference => &reached.before_last_step,
            Conformance::Corrected => &reached.embeddings,
        };
        let shift = distance::pairwise_distance(read, &self.start)?;
        let mut outcomes = vec![Outcome { name: "ES:D", raw: values_f64(&shift)? }];
        if let Some(recall) = &reached.recall_at_1 {
            outcomes.push(Outcome { name: "ES:R", raw: recall.clone() });
        }
        Ok(outcomes)
    }
}
