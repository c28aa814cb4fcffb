//! Query attacks QA+ and QA-: a query is perturbed so that chosen gallery items rank high, or low.

use candle_core::Tensor;
use holdfast_model::{EmbeddingSet, distance};
use rand::RngCore;

use super::hinge::hinge;
use super::targets::{self, Replacement};
use super::{Aim, Goal, Outcome, RankingAttack, Reached, Role};
use crate::tensors::rows_f64;
use crate::{Queries, Result};

/// QA+ draws its candidates from the whole gallery; QA- from the query's nearest 1 %.
///
/// Source: arXiv 2106.03614 and its code, robrank, with M = 1 as in the robustness score.
#[derive(Debug)]
pub struct QueryAttack {
    goal: Goal,
    /// M, the number of candidates that a query is aimed at.
    candidates: usize,
}

impl QueryAttack {
    /// QA+.
    pub const RAISE: Self = Self { goal: Goal::Raise, candidates: 1 };
    /// QA-.
    pub const LOWER: Self = Self { goal: Goal::Lower, candidates: 1 };
}

impl RankingAttack for QueryAttack {
    fn name(&self) -> &'static str {
        name(self.goal)
    }

    fn description(&self) -> &'static str {
        match self.goal {
            Goal::Raise => "a perturbed query brings an unrelated item to the top of its results",
            Goal::Lower => "a perturbed query hides one of its best matches",
        }
    }

    fn role(&self) -> Role {
        Role::Query
    }

    fn aim(&self, queries: &Queries, gallery: &EmbeddingSet, rng: &mut dyn RngCore) -> Result<Box<dyn Aim>> {
        let targets = match self.goal {
            Goal::Raise => targets::uniform(queries, self.candidates, queries.gallery_len(), rng),
            Goal::Lower => {
                targets::from_nearest_percent(self.name(), queries, self.candidates, Replacement::Without, rng)?
            }
        };
        Ok(Box::new(QueryAim::new(self.goal, targets, gallery)?))
    }
}

/// A batch of B queries, each aimed at M gallery items.
#[derive(Debug)]
pub struct QueryAim {
    goal: Goal,
    targets: Vec<Vec<usize>>,
    /// The same as a tensor (B, M).
    indices: Tensor,
    /// The gallery (N, D).
    gallery: Tensor,
}

impl QueryAim {
    /// Aims query i at the gallery rows `targets[i]` as candidates.
    ///
    /// # Errors
    /// If queries differ in their number of targets, or a target is no gallery row.
    pub fn new(goal: Goal, targets: Vec<Vec<usize>>, gallery: &EmbeddingSet) -> Result<Self> {
        let gallery = gallery.embeddings.clone();
        let indices = targets::tensor(&targets, gallery.dim(0)?, gallery.device())?;
        Ok(Self { goal, targets, indices, gallery })
    }
}

impl Aim for QueryAim {
    /// Mean over queries e, candidates c and gallery items x of max(0, ±(d(e, c) − d(x, e))).
    ///
    /// The candidate's own distance is read from the same matrix, so that c against itself is exactly 0 and a query
    /// whose candidate is on top rests, where separately computed distances would leave rounding noise.
    fn loss(&self, _step: usize, embeddings: &Tensor) -> Result<Tensor> {
        let distances = distance::distance_matrix(embeddings, &self.gallery)?; // (B, N)
        let candidates = distances.gather(&self.indices, 1)?.unsqueeze(2)?; // (B, M, 1)
        let rivals = distances.unsqueeze(1)?; // (B, 1, N)
        let violations = match self.goal {
            Goal::Raise => candidates.broadcast_sub(&rivals)?,
            Goal::Lower => rivals.broadcast_sub(&candidates)?,
        };
        Ok(hinge(&violations)?.mean_all()?)
    }

    /// The candidate's rank in percent: the share of gallery items strictly nearer to the query.
    /// The query's own row is among them, as in the reference.
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        let distances = rows_f64(&distance::distance_matrix(&reached.embeddings, &self.gallery)?)?;
        let rank = |row: &[f64], candidate: usize| {
            let nearer = row.iter().filter(|&&rival| rival < row[candidate]).count();
            100.0 * nearer as f64 / row.len() as f64
        };
        let ranks = distances.iter().zip(&self.targets).map(|(row, candidates)| {
            let ranks: Vec<f64> = candidates.iter().map(|&candidate| rank(row, candidate)).collect();
            super::mean(&ranks)
        });
        Ok(vec![Outcome { name: name(self.goal), raw: ranks.collect() }])
    }
}

fn name(goal: Goal) -> &'static str {
    match goal {
        Goal::Raise => "QA+",
        Goal::Lower => "QA-",
    }
}
