//! Query attacks QA+ and QA-: a query is perturbed so that chosen gallery items rank high, or low.

use candle_core::Tensor;
use holdfast_model::EmbeddingSet;
use holdfast_ops::{Points, distance_loss};
use rand::RngCore;

use super::hinge::Overtaking;
use super::targets::{self, Replacement};
use super::{Aim, Goal, Outcome, RankingAttack, Reached, Role};
use crate::distances::{Distances, nearer};
use crate::{Queries, Result, Rules};

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

    fn aim(
        &self,
        queries: &Queries,
        gallery: &EmbeddingSet,
        _rules: &Rules,
        rng: &mut dyn RngCore,
    ) -> Result<Box<dyn Aim>> {
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
    /// The gallery (N, D), for losses of all queries at once.
    points: Points,
    /// The same, for losses of each.
    gallery: Tensor,
}

impl QueryAim {
    /// Aims query i at the gallery rows `targets[i]` as candidates.
    ///
    /// # Errors
    /// If queries differ in their number of targets, or a target is no gallery row.
    pub fn new(goal: Goal, targets: Vec<Vec<usize>>, gallery: &EmbeddingSet) -> Result<Self> {
        targets::check(&targets, gallery.len())?;
        let points = Points::new(&gallery.embeddings)?;
        Ok(Self { goal, targets, points, gallery: gallery.embeddings.clone() })
    }

    fn overtaking(&self) -> Overtaking<'_> {
        Overtaking { goal: self.goal, targets: &self.targets }
    }

    /// Pairs of a candidate and a gallery item that each query compares.
    fn terms(&self) -> Result<f64> {
        Ok((self.targets[0].len() * self.gallery.dim(0)?) as f64)
    }

    /// The candidates of a query.
    pub(super) fn targets(&self, query: usize) -> &[usize] {
        &self.targets[query]
    }
}

impl Aim for QueryAim {
    /// Mean over queries e, candidates c and gallery items x of max(0, ±(d(e, c) − d(x, e))).
    fn loss(&self, _step: usize, embeddings: &Tensor) -> Result<Tensor> {
        targets::fit(self.targets.len(), embeddings.dim(0)?)?;
        let queries = self.targets.len() as f64;
        Ok((distance_loss(embeddings, &self.points, &self.overtaking())? / (queries * self.terms()?))?)
    }

    fn losses(&self, _step: usize, embeddings: &Tensor) -> Result<Vec<f64>> {
        targets::fit(self.targets.len(), embeddings.dim(0)?)?;
        let sums = Distances::measure(embeddings, &self.gallery)?.terms(&self.overtaking());
        let terms = self.terms()?;
        Ok(sums.into_iter().map(|sum| sum / terms).collect())
    }

    /// The candidate's rank in percent: the share of gallery items strictly nearer to the query.
    /// The query's own row is among them, as in the reference.
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        targets::fit(self.targets.len(), reached.distances.len())?;
        let ranks = self.targets.iter().enumerate().map(|(query, candidates)| {
            let row = reached.distances.row(query);
            let rank = |&candidate: &usize| 100.0 * nearer(row, row[candidate]) as f64 / row.len() as f64;
            super::mean(&candidates.iter().map(rank).collect::<Vec<f64>>())
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
