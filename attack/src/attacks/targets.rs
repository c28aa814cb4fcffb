//! Drawing and checking targets: gallery rows, the same number for each query.

use candle_core::{Device, Tensor};
use holdfast_model::EmbeddingSet;
use rand::{Rng, RngCore, seq::index};

use crate::{Error, Queries, Result};

/// `count` gallery rows for each query, uniform over all `items`, with replacement.
pub(super) fn uniform(queries: &Queries, count: usize, items: usize, rng: &mut dyn RngCore) -> Vec<Vec<usize>> {
    let mut draw = || (0..count).map(|_| rng.random_range(0..items)).collect();
    (0..queries.len()).map(|_| draw()).collect()
}

/// How targets are taken from the pool of near neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replacement {
    With,
    Without,
}

/// `count` gallery rows for each query from its nearest 1 %, its own row left out.
///
/// # Errors
/// If the pool is empty, or smaller than `count` without replacement.
pub(super) fn from_nearest_percent(
    attack: &'static str,
    queries: &Queries,
    count: usize,
    replacement: Replacement,
    rng: &mut dyn RngCore,
) -> Result<Vec<Vec<usize>>> {
    let items = queries.gallery_len();
    let pool = items / 100;
    let needed = if replacement == Replacement::With { 1 } else { count };
    if pool < needed {
        return Err(Error::GalleryTooSmall { attack, needed, items, pool });
    }
    let targets = (0..queries.len()).map(|query| {
        let nearest = queries.nearest(query, pool);
        let draws: Vec<usize> = match replacement {
            Replacement::With => (0..count).map(|_| rng.random_range(0..nearest.len())).collect(),
            Replacement::Without => index::sample(rng, nearest.len(), count).into_vec(),
        };
        draws.into_iter().map(|draw| nearest[draw]).collect()
    });
    Ok(targets.collect())
}

/// Checks targets that came from outside; returns their number a query.
///
/// # Errors
/// If there are none, or queries differ in their number, or one is no gallery row.
pub(super) fn check(targets: &[Vec<usize>], items: usize) -> Result<usize> {
    let width = targets.first().map_or(0, Vec::len);
    if width == 0 {
        return Err(Error::Empty { what: "target" });
    }
    for (query, row) in targets.iter().enumerate() {
        if row.len() != width || row.iter().any(|&target| target >= items) {
            return Err(Error::Targets { query, targets: row.clone(), items });
        }
    }
    Ok(width)
}

/// Refuses a batch of another size than the one that the targets were chosen for.
///
/// # Errors
/// If it has.
pub(super) fn fit(targets: usize, pictures: usize) -> Result<()> {
    if targets == pictures { Ok(()) } else { Err(Error::Batch { targets, pictures }) }
}

/// Targets as a (B, K) index tensor.
///
/// # Errors
/// As [`check`].
pub(super) fn tensor(targets: &[Vec<usize>], items: usize, device: &Device) -> Result<Tensor> {
    let width = check(targets, items)?;
    let flat: Vec<u32> = targets.iter().flatten().map(|&target| target as u32).collect();
    Ok(Tensor::from_vec(flat, (targets.len(), width), device)?)
}

/// The gallery rows that queries have as their one target: (B, D).
///
/// # Errors
/// As [`check`].
pub(super) fn embeddings(targets: &[usize], gallery: &EmbeddingSet) -> Result<Tensor> {
    let rows: Vec<Vec<usize>> = targets.iter().map(|&target| vec![target]).collect();
    let indices = tensor(&rows, gallery.len(), gallery.embeddings.device())?.flatten_all()?;
    Ok(gallery.embeddings.index_select(&indices, 0)?)
}

/// Refuses a gallery that has nothing to be mistaken for: every first hit would be right, and look like robustness.
///
/// # Errors
/// If all labels are the same.
pub(super) fn require_classes(attack: &'static str, labels: &[u32]) -> Result<()> {
    if labels.iter().all(|label| Some(label) == labels.first()) {
        return Err(Error::OneClass { attack, items: labels.len() });
    }
    Ok(())
}
