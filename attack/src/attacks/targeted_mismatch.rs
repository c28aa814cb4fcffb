//! The targeted mismatch attack TMA: a query is perturbed until it looks, to the net, like another picture.

use candle_core::Tensor;
use holdfast_model::{EmbeddingSet, distance};
use rand::RngCore;

use super::{Aim, Outcome, RankingAttack, Reached, Role, targets};
use crate::tensors::values_f64;
use crate::{Queries, Result, Rules};

/// TMA: one gallery item, drawn uniformly, is the picture to be mistaken for.
///
/// Source: arXiv 2106.03614 and its code, robrank.
#[derive(Debug)]
pub struct TargetedMismatch;

impl RankingAttack for TargetedMismatch {
    fn name(&self) -> &'static str {
        "TMA"
    }

    fn description(&self) -> &'static str {
        "a perturbed query gets the embedding of a picture that it does not show"
    }

    fn role(&self) -> Role {
        Role::Query
    }

    fn aim(
        &self,
        queries: &Queries,
        gallery: &EmbeddingSet,
        _rules: &Rules,
        rng: &mut dyn RngCore,
    ) -> Result<Box<dyn Aim>> {
        let targets = targets::uniform(queries, 1, queries.gallery_len(), rng);
        Ok(Box::new(MismatchAim::new(&targets.concat(), gallery)?))
    }
}

/// A batch of B queries, each with one embedding to imitate.
#[derive(Debug)]
pub struct MismatchAim {
    /// (B, D)
    targets: Tensor,
}

impl MismatchAim {
    /// Aims query i at the gallery row `targets[i]`.
    ///
    /// # Errors
    /// If a target is no gallery row.
    pub fn new(targets: &[usize], gallery: &EmbeddingSet) -> Result<Self> {
        Ok(Self { targets: targets::embeddings(targets, gallery)? })
    }

    /// 1 − cos(e, target) of each query e: (B).
    fn dissimilarities(&self, embeddings: &Tensor) -> Result<Tensor> {
        Ok((1.0 - distance::cosine_similarity(embeddings, &self.targets)?)?)
    }
}

impl Aim for MismatchAim {
    /// Mean over queries e of 1 − cos(e, target).
    fn loss(&self, _step: usize, embeddings: &Tensor) -> Result<Tensor> {
        Ok(self.dissimilarities(embeddings)?.mean_all()?)
    }

    fn losses(&self, _step: usize, embeddings: &Tensor) -> Result<Vec<f64>> {
        values_f64(&self.dissimilarities(embeddings)?)
    }

    /// The cosine to the target, in [-1, 1].
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        let cosines = distance::cosine_similarity(&reached.embeddings, &self.targets)?;
        Ok(vec![Outcome { name: "TMA", raw: values_f64(&cosines)? }])
    }
}
