//! Where queries stand in the gallery: the distance of each to each item.

use candle_core::{DType, Tensor};
use holdfast_model::distance::distance_matrix;

use holdfast_ops::DistanceLoss;
use rayon::prelude::*;

use crate::Result;

/// Distances of B queries to N gallery items.
#[derive(Debug, Clone, PartialEq)]
pub struct Distances {
    /// Row-major (B, N).
    values: Vec<f64>,
    items: usize,
}

impl Distances {
    /// Measures queries (B, D) against a gallery (N, D).
    ///
    /// # Errors
    /// If the rows have different lengths.
    pub fn measure(queries: &Tensor, gallery: &Tensor) -> Result<Self> {
        let distances = distance_matrix(&queries.detach(), &gallery.detach())?;
        let (_, items) = distances.dims2()?;
        Ok(Self { values: distances.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?, items })
    }

    /// One query's distances, in the order of the gallery.
    #[must_use]
    pub fn row(&self, query: usize) -> &[f64] {
        &self.values[query * self.items..][..self.items]
    }

    /// What a loss makes of each query's distances.
    pub(crate) fn terms(&self, loss: &impl DistanceLoss) -> Vec<f64> {
        let term = |(query, distances): (usize, &[f64])| loss.term(query, distances, &mut vec![0.0; self.items]);
        self.values.par_chunks(self.items).enumerate().map(term).collect()
    }

    /// B, the number of queries.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.values.len() / self.items
    }

    /// N, the number of gallery items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items
    }
}

/// The index of the smallest distance among `items`, the first of equal ones.
pub(crate) fn nearest(distances: &[f64], items: impl Iterator<Item = usize>) -> Option<usize> {
    items.min_by(|&left, &right| distances[left].total_cmp(&distances[right]))
}

/// The number of `items` strictly nearer than `bound`.
pub(crate) fn nearer(distances: &[f64], bound: f64) -> usize {
    distances.iter().filter(|&&distance| distance < bound).count()
}
