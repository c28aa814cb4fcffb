//! Candidate attacks CA+ and CA-: a gallery item is perturbed so that it ranks high, or low, for chosen queries.

use candle_core::Tensor;
use holdfast_model::{EmbeddingSet, distance};
use rand::RngCore;

use super::hinge::{hinges, mean_hinge};
use super::targets::{self, Replacement};
use super::{Aim, Distances, Goal, Outcome, RankingAttack, Reached, Role};
use crate::distances::nearer;
use crate::tensors::values_f64;
use crate::{Queries, Result, Rules};

/// CA+ draws its queries from the whole gallery; CA- from the nearest 1 %, where the candidate ranks well.
///
/// Source: arXiv 2106.03614 and its code, robrank, with W = 1 as in the robustness score.
#[derive(Debug)]
pub struct CandidateAttack {
    goal: Goal,
    /// W, the number of queries that a candidate is aimed at.
    queries: usize,
}

impl CandidateAttack {
    /// CA+.
    pub const RAISE: Self = Self { goal: Goal::Raise, queries: 1 };
    /// CA-.
    pub const LOWER: Self = Self { goal: Goal::Lower, queries: 1 };
}

impl RankingAttack for CandidateAttack {
    fn name(&self) -> &'static str {
        name(self.goal)
    }

    fn description(&self) -> &'static str {
        match self.goal {
            Goal::Raise => "a perturbed item climbs to the top for a query it has nothing to do with",
            Goal::Lower => "a perturbed item vanishes from the top of a query that it belongs to",
        }
    }

    fn role(&self) -> Role {
        Role::Candidate
    }

    fn aim(
        &self,
        queries: &Queries,
        gallery: &EmbeddingSet,
        _rules: &Rules,
        rng: &mut dyn RngCore,
    ) -> Result<Box<dyn Aim>> {
        let targets = match self.goal {
            Goal::Raise => targets::uniform(queries, self.queries, queries.gallery_len(), rng),
            Goal::Lower => targets::from_nearest_percent(self.name(), queries, self.queries, Replacement::With, rng)?,
        };
        Ok(Box::new(CandidateAim::new(self.goal, &targets, gallery)?))
    }
}

/// A batch of B candidates, each aimed at W queries.
#[derive(Debug)]
pub struct CandidateAim {
    goal: Goal,
    /// Embeddings of the queries, W rows for each candidate: (B·W, D).
    queries: Tensor,
    /// Distance of each query to each gallery item, constant during the attack: (B·W, N).
    rivals: Distances,
    width: usize,
}

impl CandidateAim {
    /// Aims candidate i at the gallery rows `targets[i]` as queries.
    ///
    /// # Errors
    /// If candidates differ in their number of targets, or a target is no gallery row.
    pub fn new(goal: Goal, targets: &[Vec<usize>], gallery: &EmbeddingSet) -> Result<Self> {
        let items = gallery.embeddings.dim(0)?;
        let indices = targets::tensor(targets, items, gallery.embeddings.device())?; // (B, W)
        let width = indices.dim(1)?;
        let queries = gallery.embeddings.index_select(&indices.flatten_all()?, 0)?;
        let rivals = Distances::measure(&queries, &gallery.embeddings)?;
        Ok(Self { goal, queries, rivals, width })
    }

    /// Distance of each query to its candidate, by the formula without epsilon: (B·W).
    fn distances(&self, embeddings: &Tensor) -> Result<Tensor> {
        let (batch, dim) = embeddings.dims2()?;
        let repeated = embeddings.unsqueeze(1)?.broadcast_as((batch, self.width, dim))?;
        let candidates = repeated.reshape((batch * self.width, dim))?;
        Ok(distance::euclidean_distance(&self.queries, &candidates)?)
    }
}

impl Aim for CandidateAim {
    /// Mean over candidates, queries q and gallery items x of max(0, ±(d(q, candidate) − d(x, q))).
    fn loss(&self, _step: usize, embeddings: &Tensor) -> Result<Tensor> {
        mean_hinge(self.goal, &self.distances(embeddings)?, &self.rivals)
    }

    fn losses(&self, _step: usize, embeddings: &Tensor) -> Result<Vec<f64>> {
        let distances = values_f64(&self.distances(embeddings)?)?;
        let hinges = hinges(self.goal, &distances, &self.rivals);
        let losses: Vec<f64> = hinges.iter().map(|(sum, _)| sum / self.rivals.items() as f64).collect();
        Ok(losses.chunks(self.width).map(super::mean).collect())
    }

    /// The rank among the gallery in percent: the share of items strictly nearer to the query than the candidate.
    /// The candidate's clean copy and the query itself are among them, as in the reference.
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        let distances = values_f64(&self.distances(&reached.embeddings)?)?;
        let rank = |(query, &distance): (usize, &f64)| {
            100.0 * nearer(self.rivals.row(query), distance) as f64 / self.rivals.items() as f64
        };
        let ranks: Vec<f64> = distances.iter().enumerate().map(rank).collect();
        Ok(vec![Outcome { name: name(self.goal), raw: ranks.chunks(self.width).map(super::mean).collect() }])
    }
}

fn name(goal: Goal) -> &'static str {
    match goal {
        Goal::Raise => "CA+",
        Goal::Lower => "CA-",
    }
}
