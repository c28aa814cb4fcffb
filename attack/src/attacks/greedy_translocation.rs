//! Greedy top-1 translocation, GTT: a query is perturbed until its best hit is gone from the top of its results.

use candle_core::Tensor;
use holdfast_model::EmbeddingSet;
use rand::RngCore;

use super::query::QueryAim;
use super::{Aim, Goal, Outcome, RankingAttack, Reached, Role, targets};
use crate::{Error, Queries, Result, Rules};

/// Places at the top of the results that the best hit is to be pushed out of.
const TOP: usize = 4;

/// GTT: QA- against the nearest neighbour alone.
///
/// Source: arXiv 2106.03614 and its code, robrank.
#[derive(Debug)]
pub struct GreedyTranslocation;

impl RankingAttack for GreedyTranslocation {
    fn name(&self) -> &'static str {
        "GTT"
    }

    fn description(&self) -> &'static str {
        "a perturbed query loses its best match from the first four results"
    }

    fn role(&self) -> Role {
        Role::Query
    }

    fn aim(
        &self,
        queries: &Queries,
        gallery: &EmbeddingSet,
        _rules: &Rules,
        _rng: &mut dyn RngCore,
    ) -> Result<Box<dyn Aim>> {
        let best = (0..queries.len()).map(|query| queries.nearest(query, 1).first().copied());
        let best = best.collect::<Option<Vec<usize>>>();
        let best = best.ok_or(Error::Empty { what: "gallery item besides the query itself" })?;
        Ok(Box::new(TranslocationAim::new(&best, queries, gallery)?))
    }
}

/// A batch of B queries, each with one best hit to lose.
#[derive(Debug)]
pub struct TranslocationAim {
    lower: QueryAim,
    /// Each query's own row in the gallery, which takes no place in the results.
    own: Vec<Option<usize>>,
}

impl TranslocationAim {
    /// Aims query i at the gallery row `best[i]`.
    ///
    /// # Errors
    /// If a target is no gallery row.
    pub fn new(best: &[usize], queries: &Queries, gallery: &EmbeddingSet) -> Result<Self> {
        let targets = best.iter().map(|&best| vec![best]).collect();
        let own = (0..queries.len()).map(|query| queries.own_row(query)).collect();
        Ok(Self { lower: QueryAim::new(Goal::Lower, targets, gallery)?, own })
    }
}

impl Aim for TranslocationAim {
    /// Mean over queries e and gallery items x of max(0, d(x, e) − d(e, best hit)).
    fn loss(&self, step: usize, embeddings: &Tensor) -> Result<Tensor> {
        self.lower.loss(step, embeddings)
    }

    fn losses(&self, step: usize, embeddings: &Tensor) -> Result<Vec<f64>> {
        self.lower.losses(step, embeddings)
    }

    /// 100 while the best hit is among the first four results, the query's own row left out; else 0.
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        targets::fit(self.own.len(), reached.distances.len())?;
        let kept = |query: usize| {
            let row = reached.distances.row(query);
            let best = row[self.lower.targets(query)[0]];
            let before =
                row.iter().enumerate().filter(|&(item, &distance)| distance < best && Some(item) != self.own[query]);
            if before.count() < TOP { 100.0 } else { 0.0 }
        };
        Ok(vec![Outcome { name: GreedyTranslocation.name(), raw: (0..self.own.len()).map(kept).collect() }])
    }
}
