//! Drawing and checking targets: gallery rows, the same number for each query.

use candle_core::{Device, Tensor};
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

/// Targets as a (B, K) index tensor.
///
/// # Errors
/// If there are none, or queries differ in their number, or one is no gallery row.
pub(super) fn tensor(targets: &[Vec<usize>], items: usize, device: &Device) -> Result<Tensor> {
    let width = targets.first().map_or(0, Vec::len);
    if width == 0 {
        return Err(Error::Empty { what: "target" });
    }
    for (query, row) in targets.iter().enumerate() {
        if row.len() != width || row.iter().any(|&target| target >= items) {
            return Err(Error::Targets { query, targets: row.clone(), items });
        }
    }
    let flat: Vec<u32> = targets.iter().flatten().map(|&target| target as u32).collect();
    Ok(Tensor::from_vec(flat, (targets.len(), width), device)?)
}
