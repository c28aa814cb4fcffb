//! NES: the embedding shift attack of one who sees embeddings, but not into the net.

use candle_core::Tensor;
use holdfast_model::EmbeddingSet;
use rand::RngCore;

use super::embedding_shift::ShiftAim;
use super::{Aim, Knowledge, Outcome, RankingAttack, Reached, Role};
use crate::{Conformance, Queries, Result, Rules};

/// ES with gradients estimated by [`Nes`](crate::Nes). Reports "NES:D", the shift of the final pixels, and where there
/// are labels "NES:R", what is left of R@1. No term of the robustness score.
///
/// Weaker than ES, but its estimate does not rely on the net's gradient: where it is stronger, the gradient is masked.
///
/// Source: Ilyas et al. 2018, arXiv 1804.08598, with the objective of ES.
#[derive(Debug)]
pub struct NaturalEvolution;

impl RankingAttack for NaturalEvolution {
    fn name(&self) -> &'static str {
        "NES"
    }

    fn description(&self) -> &'static str {
        "a query perturbed without knowledge of the net loses its place among its own kind"
    }

    fn role(&self) -> Role {
        Role::Query
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge::BlackBox
    }

    fn aim(
        &self,
        queries: &Queries,
        _gallery: &EmbeddingSet,
        _rules: &Rules,
        _rng: &mut dyn RngCore,
    ) -> Result<Box<dyn Aim>> {
        Ok(Box::new(BlindShift(ShiftAim::new(&queries.embeddings, Conformance::Corrected)?)))
    }
}

/// The aim of ES, its outcomes under other names.
#[derive(Debug)]
struct BlindShift(ShiftAim);

impl Aim for BlindShift {
    fn loss(&self, step: usize, embeddings: &Tensor) -> Result<Tensor> {
        self.0.loss(step, embeddings)
    }

    fn losses(&self, step: usize, embeddings: &Tensor) -> Result<Vec<f64>> {
        self.0.losses(step, embeddings)
    }

    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        let named = |outcome: Outcome| {
            let name = if outcome.name == "ES:D" { "NES:D" } else { "NES:R" };
            Outcome { name, ..outcome }
        };
        Ok(self.0.outcomes(reached)?.into_iter().map(named).collect())
    }
}
