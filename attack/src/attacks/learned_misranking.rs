//! Learning to misrank, LTM: a query is perturbed until a picture of another class is nearer than all of its own.

use candle_core::{Tensor, WithDType};
use holdfast_model::EmbeddingSet;
use holdfast_ops::{DistanceLoss, Points, distance_loss};
use rand::RngCore;

use super::{Aim, Outcome, RankingAttack, Reached, Role, targets};
use crate::{Conformance, Distances, Error, Queries, Result, Rules};

/// LTM: the farthest item of another class is pulled in front of the nearest item of the query's own class.
///
/// Under [`Conformance::Reference`] the query's own row counts as an item of its class, although the loss is written to
/// leave it out: the reference's code drops the result of leaving it out, and published numbers depend on it. The first
/// update then only pulls the farthest stranger closer.
///
/// Source: arXiv 2106.03614 and its code, robrank; the attack is from arXiv 2004.04199.
#[derive(Debug)]
pub struct LearnedMisranking;

impl RankingAttack for LearnedMisranking {
    fn name(&self) -> &'static str {
        "LTM"
    }

    fn description(&self) -> &'static str {
        "a perturbed query ranks the pictures of every other class before those of its own"
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
        let missing = || Error::LabelsMissing { attack: self.name() };
        let labels = queries.labels.as_ref().ok_or_else(missing)?;
        let own = match rules.conformance {
            Conformance::Reference => vec![None; queries.len()],
            Conformance::Corrected => (0..queries.len()).map(|query| queries.own_row(query)).collect(),
        };
        Ok(Box::new(MisrankingAim::new(labels, own, gallery)?))
    }
}

/// A batch of B queries that are to be farther from their own class than from any other.
#[derive(Debug)]
pub struct MisrankingAim {
    labels: Vec<u32>,
    /// Gallery rows that are left out, one a query where there is one.
    own: Vec<Option<usize>>,
    gallery_labels: Vec<u32>,
    /// The gallery (N, D), for losses of all queries at once.
    points: Points,
    /// The same, for losses of each.
    gallery: Tensor,
}

impl MisrankingAim {
    /// Aims queries with these labels at a labelled gallery, of which query i does not count the row `own[i]`.
    ///
    /// # Errors
    /// If the gallery is unlabelled, or of one class, or there is not one row to leave out a label.
    pub fn new(labels: &[u32], own: Vec<Option<usize>>, gallery: &EmbeddingSet) -> Result<Self> {
        let attack = LearnedMisranking.name();
        let gallery_labels = gallery.labels.clone().ok_or(Error::LabelsMissing { attack })?;
        targets::require_classes(attack, &gallery_labels)?;
        targets::fit(labels.len(), own.len())?;
        let points = Points::new(&gallery.embeddings)?;
        Ok(Self { labels: labels.to_vec(), own, gallery_labels, points, gallery: gallery.embeddings.clone() })
    }
}

impl Aim for MisrankingAim {
    /// Sum over queries e of max(0, max of d(e, x) over items x of other classes − min of d(e, x) over items of e's own).
    ///
    /// A query whose class the gallery does not hold has nothing to lose: its term is 0.
    fn loss(&self, _step: usize, embeddings: &Tensor) -> Result<Tensor> {
        targets::fit(self.labels.len(), embeddings.dim(0)?)?;
        Ok(distance_loss(embeddings, &self.points, self)?)
    }

    fn losses(&self, _step: usize, embeddings: &Tensor) -> Result<Vec<f64>> {
        targets::fit(self.labels.len(), embeddings.dim(0)?)?;
        Ok(Distances::measure(embeddings, &self.gallery)?.terms(self))
    }

    /// R@1 in percent, 0 or 100.
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>> {
        Ok(vec![super::recall(LearnedMisranking.name(), reached)?])
    }
}

impl DistanceLoss for MisrankingAim {
    fn term<T: WithDType>(&self, query: usize, distances: &[T], slopes: &mut [T]) -> T {
        let (mut farthest_other, mut nearest_own): (Option<usize>, Option<usize>) = (None, None);
        for (item, (&distance, &label)) in distances.iter().zip(&self.gallery_labels).enumerate() {
            if Some(item) == self.own[query] {
                continue;
            }
            let extreme = if label == self.labels[query] { &mut nearest_own } else { &mut farthest_other };
            let passes = |best: usize| {
                if label == self.labels[query] { distance < distances[best] } else { distance > distances[best] }
            };
            if extreme.is_none_or(passes) {
                *extreme = Some(item);
            }
        }
        let (Some(farthest), Some(nearest)) = (farthest_other, nearest_own) else { return T::zero() };
        let margin = distances[farthest] - distances[nearest];
        if margin <= T::zero() {
            return T::zero();
        }
        (slopes[farthest], slopes[nearest]) = (T::one(), T::zero() - T::one());
        margin
    }
}
