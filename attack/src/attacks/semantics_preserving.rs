//! Semantics-preserving query attacks SPQA+ and SPQA-: QA that leaves the rest of the ranking as it was, so that nobody
//! notices.

use candle_core::{DType, Tensor};
use holdfast_model::EmbeddingSet;
use rand::RngCore;

use super::query::QueryAim;
use super::targets::{self, Replacement};
use super::{Aim, Goal, Outcome, RankingAttack, Reached, Role, mean};
use crate::{Queries, Result, Rules};

/// The near neighbours of a query that are to stay where they are.
const KEPT: usize = 5;

/// QA(c) + ξ·QA+(G): one candidate c is moved, and the query's near neighbours G are kept on top.
///
/// SPQA+ keeps the nearest five and draws its candidate from the whole gallery; SPQA- draws both from the query's nearest
/// 1 %, no item twice. No term of the robustness score.
///
/// Source: arXiv 2106.03614 and its code, robrank.
#[derive(Debug)]
pub struct SemanticsPreserving {
    goal: Goal,
}

impl SemanticsPreserving {
    /// SPQA+.
    pub const RAISE: Self = Self { goal: Goal::Raise };
    /// SPQA-.
    pub const LOWER: Self = Self { goal: Goal::Lower };

    /// The candidate and the neighbours of each query.
    fn targets(&self, queries: &Queries, rng: &mut dyn RngCore) -> Result<Vec<(Vec<usize>, Vec<usize>)>> {
        match self.goal {
            Goal::Raise => {
                let moved = targets::uniform(queries, 1, queries.gallery_len(), rng);
                let kept = (0..queries.len()).map(|query| queries.nearest(query, KEPT));
                Ok(moved.into_iter().zip(kept).collect())
            }
            Goal::Lower => {
                let drawn = targets::from_nearest_percent(self.name(), queries, 1 + KEPT, Replacement::Without, rng)?;
                Ok(drawn.into_iter().map(|drawn| (drawn[..1].to_vec(), drawn[1..].to_vec())).collect())
            }
        }
    }
}

impl RankingAttack for SemanticsPreserving {
    fn name(&self) -> &'static str {
        match self.goal {
            Goal::Raise => "SPQA+",
            Goal::Lower => "SPQA-",
        }
    }

    fn description(&self) -> &'static str {
        match self.goal {
            Goal::Raise => "a perturbed query lifts an unrelated item to the top and leaves the others where they were",
            Goal::Lower => "a perturbed query hides one of its best matches and leaves the others where they were",
        }
    }

    fn role(&self) -> Role {
        Role::Query
    }

    fn aim(
        &self,
        queries: &Queries,
        gallery: &EmbeddingSet,
        rules: &Rules,
        rng: &mut dyn RngCore,
    ) -> Result<Box<dyn Aim>> {
        let (moved, kept) = self.targets(queries, rng)?.into_iter().unzip();
        Ok(Box::new(PreservingAim {
            name: self.name(),
            moved: QueryAim::new(self.goal, moved, gallery)?,
            kept: QueryAim::new(Goal::Raise, kept, gallery)?,
            exponent: rules.semantics_exponent,
        }))
    }
}

/// A batch of B queries, each with one candidate to move and neighbours to keep.
#[derive(Debug)]
struct PreservingAim {
    name: &'static str,
    moved: QueryAim,
    kept: QueryAim,
    exponent: f64,
}

impl PreservingAim {
    /// The price ξ of the neighbours' loss: it grows fast with that loss, and is never above this.
    const HIGHEST_PRICE: f64 = 1e9;

    fn price(&self, kept: f64) -> f64 {
        (self.exponent * kept).exp().min(Self::HIGHEST_PRICE)
    }
}

impl Aim for PreservingAim {
    /// The candidate's loss plus ξ times the neighbours', of which ξ = min(exp(k · neighbours' loss), 1e9) is taken as
    /// a constant of this step.
    fn loss(&self, step: usize, embeddings: &Tensor) -> Result<Tensor> {
        let kept = self.kept.loss(step, embeddings)?;
        let price = self.price(kept.to_dtype(DType::F64)?.to_scalar()?);
        Ok((self.moved.loss(step, embeddings)? + (kept * price)?)?)
    }

    fn losses(&self, step: usize, embeddings: &Tensor) -> Result<Vec<f64>> {
        let kept = self.kept.losses(step, embeddings)?;
        let price = self.price(mean(&kept));
        let moved = self.moved.losses(step, embeddings)?;
        Ok(moved.iter().zip(&kept).map(|(moved, kept)| moved + price * kept).collect())
    }

    /// The candidate's rank in percent, as in QA.
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        let ranks = self.moved.outcomes(reached)?.into_iter();
        Ok(ranks.map(|outcome| Outcome { name: self.name, ..outcome }).collect())
    }
}
