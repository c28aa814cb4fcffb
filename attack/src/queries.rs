//! The clean batch under attack, and its standing in the gallery.

use std::sync::Arc;

use candle_core::Tensor;
use holdfast_model::EmbeddingSet;
use rayon::prelude::*;

use crate::attacks::Reached;
use crate::distances::{Distances, nearest};
use crate::tensors::ensure_finite;
use crate::{Error, Protocol, Result};

/// A batch of B clean embeddings with all that target selection and R@1 need to know of it: measured once, then shared
/// by all attacks on the batch.
#[derive(Debug, Clone)]
pub struct Queries {
    /// Unit rows (B, D).
    pub embeddings: Tensor,
    /// True labels, where known.
    pub labels: Option<Vec<u32>>,
    distances: Arc<Distances>,
    /// Each query's own row in the gallery.
    own: Vec<Option<usize>>,
}

impl Queries {
    /// Measures a batch against the gallery (N, D).
    ///
    /// # Errors
    /// If the batch is empty or not finite, or labels do not match it.
    pub fn new(embeddings: Tensor, labels: Option<&[u32]>, protocol: Protocol, gallery: &EmbeddingSet) -> Result<Self> {
        let (pictures, _) = embeddings.dims2()?;
        if let Some(labels) = labels.filter(|labels| labels.len() != pictures) {
            return Err(Error::LabelCount { pictures, labels: labels.len() });
        }
        if pictures == 0 {
            return Err(Error::Empty { what: "query" });
        }
        ensure_finite(&embeddings, "the clean embedding", 0)?;
        let distances = Arc::new(Distances::measure(&embeddings, &gallery.embeddings)?);
        let own = |query| {
            let row = distances.row(query);
            nearest(row, 0..row.len()).filter(|_| protocol == Protocol::LeaveOneOut)
        };
        let own = (0..pictures).into_par_iter().map(own).collect();
        Ok(Self { embeddings, labels: labels.map(<[u32]>::to_vec), distances, own })
    }

    /// Number of queries.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.distances.len()
    }

    /// Number of gallery items.
    #[must_use]
    pub fn gallery_len(&self) -> usize {
        self.distances.items()
    }

    /// The clean distances to all gallery items.
    #[must_use]
    pub fn distances(&self) -> &Distances {
        &self.distances
    }

    /// The gallery rows nearest to a query, at most `count`, nearest first, the query's own row left out.
    #[must_use]
    pub fn nearest(&self, query: usize, count: usize) -> Vec<usize> {
        let distances = self.distances.row(query);
        let nearer =
            |&left: &usize, &right: &usize| distances[left].total_cmp(&distances[right]).then(left.cmp(&right));
        let own = usize::from(self.own[query].is_some());
        let wanted = (count + own).min(distances.len());
        let mut rows: Vec<usize> = (0..distances.len()).collect();
        if wanted < rows.len() {
            rows.select_nth_unstable_by(wanted, nearer);
            rows.truncate(wanted);
        }
        rows.sort_unstable_by(nearer);
        rows.split_off(own.min(rows.len()))
    }

    /// The gallery rows other than the query's own.
    pub fn others(&self, query: usize) -> impl Iterator<Item = usize> + '_ {
        let own = self.own[query];
        (0..self.gallery_len()).filter(move |&item| Some(item) != own)
    }

    /// The gallery row taken to be the query itself: the nearest to its clean embedding, as in the reference, which
    /// differs from its true row only among duplicates. None for strangers.
    #[must_use]
    pub fn own_row(&self, query: usize) -> Option<usize> {
        self.own[query]
    }

    /// Where the queries stand before an attack.
    #[must_use]
    pub fn untouched(&self, gallery: &EmbeddingSet) -> Reached {
        self.standing(self.embeddings.clone(), self.embeddings.clone(), Arc::clone(&self.distances), gallery)
    }

    /// Where the queries stand once their embeddings have become `embeddings` (B, D).
    ///
    /// # Errors
    /// Only those of tensor operations.
    pub fn reached(&self, embeddings: Tensor, before_last_step: Tensor, gallery: &EmbeddingSet) -> Result<Reached> {
        let distances = Arc::new(Distances::measure(&embeddings, &gallery.embeddings)?);
        Ok(self.standing(embeddings, before_last_step, distances, gallery))
    }

    fn standing(
        &self,
        embeddings: Tensor,
        before_last_step: Tensor,
        distances: Arc<Distances>,
        gallery: &EmbeddingSet,
    ) -> Reached {
        let recall_at_1 = match (&self.labels, &gallery.labels) {
            (Some(labels), Some(gallery_labels)) => Some(self.recall_at_1(&distances, labels, gallery_labels)),
            _ => None,
        };
        Reached { embeddings, before_last_step, distances, recall_at_1 }
    }

    /// 100 where the nearest item other than the query itself has its label, else 0.
    fn recall_at_1(&self, distances: &Distances, labels: &[u32], gallery_labels: &[u32]) -> Vec<f64> {
        let hit = |query: usize| {
            let nearest = nearest(distances.row(query), self.others(query));
            nearest.is_some_and(|item| gallery_labels[item] == labels[query])
        };
        (0..self.len()).into_par_iter().map(|query| if hit(query) { 100.0 } else { 0.0 }).collect()
    }
}
