//! The clean batch under attack, and its standing in the gallery.

use candle_core::Tensor;
use holdfast_model::{EmbeddingSet, distance};

use crate::attacks::Reached;
use crate::tensors::{ensure_finite, rows_f64};
use crate::{Error, Result};

/// Whether the pictures under attack are themselves items of the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Each has its own row, as in evaluation on one set; the row is left out where a neighbour is meant.
    InGallery,
    /// They are strangers, as live queries are; every row counts.
    Outside,
}

/// A batch of B clean embeddings with all that target selection and R@1 need to know of it.
#[derive(Debug, Clone)]
pub struct Queries {
    /// Unit rows (B, D).
    pub embeddings: Tensor,
    /// True labels, where known.
    pub labels: Option<Vec<u32>>,
    membership: Membership,
    /// Distance of each query to each gallery item: B rows of N.
    distances: Vec<Vec<f64>>,
}

impl Queries {
    /// Measures a batch against the gallery (N, D).
    ///
    /// # Errors
    /// If the batch is empty or not finite, or labels do not match it.
    pub fn new(
        embeddings: Tensor,
        labels: Option<&[u32]>,
        membership: Membership,
        gallery: &EmbeddingSet,
    ) -> Result<Self> {
        let (pictures, _) = embeddings.dims2()?;
        if let Some(labels) = labels.filter(|labels| labels.len() != pictures) {
            return Err(Error::LabelCount { pictures, labels: labels.len() });
        }
        if pictures == 0 {
            return Err(Error::Empty { what: "query" });
        }
        ensure_finite(&embeddings, "the clean embedding", 0)?;
        let distances = rows_f64(&distance::distance_matrix(&embeddings, &gallery.embeddings)?)?;
        Ok(Self { embeddings, labels: labels.map(<[u32]>::to_vec), membership, distances })
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
        self.distances[0].len()
    }

    /// The gallery rows nearest to a query, at most `count`, nearest first, the query's own row left out.
    #[must_use]
    pub fn nearest(&self, query: usize, count: usize) -> Vec<usize> {
        let distances = &self.distances[query];
        let nearer =
            |&left: &usize, &right: &usize| distances[left].total_cmp(&distances[right]).then(left.cmp(&right));
        let own = usize::from(self.membership == Membership::InGallery);
        let wanted = (count + own).min(distances.len());
        let mut rows: Vec<usize> = (0..distances.len()).collect();
        if wanted < rows.len() {
            rows.select_nth_unstable_by(wanted, nearer);
            rows.truncate(wanted);
        }
        rows.sort_unstable_by(nearer);
        rows.split_off(own.min(rows.len()))
    }

    /// The gallery row taken to be the query itself: the nearest to its clean embedding, as in the reference, which
    /// differs from its true row only among duplicates. None for strangers.
    #[must_use]
    pub fn own_row(&self, query: usize) -> Option<usize> {
        let distances = &self.distances[query];
        let nearest = (0..distances.len()).min_by(|&left, &right| distances[left].total_cmp(&distances[right]));
        nearest.filter(|_| self.membership == Membership::InGallery)
    }

    /// Where the queries stand once their embeddings have become `embeddings` (B, D).
    ///
    /// # Errors
    /// Only those of tensor operations.
    pub fn reached(&self, embeddings: Tensor, before_last_step: Tensor, gallery: &EmbeddingSet) -> Result<Reached> {
        let recall_at_1 = match (&self.labels, &gallery.labels) {
            (Some(labels), Some(gallery_labels)) => {
                let distances = rows_f64(&distance::distance_matrix(&embeddings, &gallery.embeddings)?)?;
                Some(self.recall_at_1(&distances, labels, gallery_labels))
            }
            _ => None,
        };
        Ok(Reached { embeddings, before_last_step, recall_at_1 })
    }

    /// 100 where the nearest item other than the query itself has its label, else 0.
    fn recall_at_1(&self, distances: &[Vec<f64>], labels: &[u32], gallery_labels: &[u32]) -> Vec<f64> {
        let hit = |query: usize| {
            let row = &distances[query];
            let own = self.own_row(query);
            let others = (0..row.len()).filter(|&item| Some(item) != own);
            let nearest = others.min_by(|&left, &right| row[left].total_cmp(&row[right]));
            nearest.is_some_and(|item| gallery_labels[item] == labels[query])
        };
        (0..self.len()).map(|query| if hit(query) { 100.0 } else { 0.0 }).collect()
    }
}
