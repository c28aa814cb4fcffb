//! Greedy top-1 misranking, GTM: a query is perturbed towards one picture of a class that is not its nearest
//! neighbour's.

use candle_core::Tensor;
use holdfast_model::{EmbeddingSet, distance};
use rand::RngCore;

use super::{Aim, Outcome, RankingAttack, Reached, Role, targets};
use crate::distances::nearest;
use crate::tensors::values_f64;
use crate::{Conformance, Error, Queries, Result, Rules};

/// GTM: approaches one gallery item and reports what is left of R@1.
///
/// "Unmatched" are the items whose class is not that of the query's nearest neighbour; the query's own row is never the
/// nearest. Meant is the nearest unmatched item. The reference's code finds that it is the k-th of the unmatched items in
/// the order of the gallery, counted from 0, and then approaches the k-th item *of the gallery*.
///
/// Source: arXiv 2106.03614 and its code, robrank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GreedyMisranking;

impl GreedyMisranking {
    /// The gallery row that each query approaches.
    ///
    /// # Errors
    /// If the gallery is unlabelled, or but for the query's own row of one class.
    pub fn targets(self, queries: &Queries, gallery: &EmbeddingSet, conformance: Conformance) -> Result<Vec<usize>> {
        let attack = self.name();
        let labels = gallery.labels.as_deref().ok_or(Error::LabelsMissing { attack })?;
        let target = |query: usize| {
            let distances = queries.distances().row(query);
            let neighbour = nearest(distances, queries.others(query))?;
            let unmatched = |&item: &usize| labels[item] != labels[neighbour];
            let closest = nearest(distances, queries.others(query).filter(unmatched))?;
            Some(match conformance {
                Conformance::Reference => (0..closest).filter(unmatched).count(),
                Conformance::Corrected => closest,
            })
        };
        let one_class = || Error::OneClass { attack, items: labels.len() };
        (0..queries.len()).map(|query| target(query).ok_or_else(one_class)).collect()
    }
}

impl RankingAttack for GreedyMisranking {
    fn name(&self) -> &'static str {
        "GTM"
    }

    fn description(&self) -> &'static str {
        "a perturbed query moves towards one picture of another class, until its first hit is wrong"
    }

    fn role(&self) -> Role {
        Role::Query
    }

    fn needs_labels(&self) -> bool {
        true
    }

    fn aim(
        &self,
        queries: &Queries,
        gallery: &EmbeddingSet,
        rules: &Rules,
        _rng: &mut dyn RngCore,
    ) -> Result<Box<dyn Aim>> {
        Ok(Box::new(ApproachAim::new(&self.targets(queries, gallery, rules.conformance)?, gallery)?))
    }
}

/// A batch of B queries, each with one gallery item to approach.
#[derive(Debug)]
pub struct ApproachAim {
    /// (B, D)
    targets: Tensor,
}

impl ApproachAim {
    /// Aims query i at the gallery row `targets[i]`.
    ///
    /// # Errors
    /// If a target is no gallery row.
    pub fn new(targets: &[usize], gallery: &EmbeddingSet) -> Result<Self> {
        Ok(Self { targets: targets::embeddings(targets, gallery)? })
    }
}

impl Aim for ApproachAim {
    /// Mean over queries e of ‖e − target + 1e-6‖.
    fn loss(&self, _step: usize, embeddings: &Tensor) -> Result<Tensor> {
        Ok(distance::pairwise_distance(embeddings, &self.targets)?.mean_all()?)
    }

    fn losses(&self, _step: usize, embeddings: &Tensor) -> Result<Vec<f64>> {
        values_f64(&distance::pairwise_distance(embeddings, &self.targets)?)
    }

    /// R@1 in percent, 0 or 100.
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        Ok(vec![super::recall(GreedyMisranking.name(), reached)?])
    }
}
