//! Groups of channels that do not see each other: an ordinary convolution each.

use crate::host::Real;
use rayon::prelude::*;

/// The channels of one group: (…, channels) → (…, channels / groups).
pub(super) fn take<T: Real>(all: &[T], channels: usize, groups: usize, group: usize) -> Vec<T> {
    let part = channels / groups;
    let rows = all.par_chunks_exact(channels).with_min_len(64);
    rows.flat_map_iter(|row| row[group * part..(group + 1) * part].iter().copied()).collect()
}

/// The groups' channels side by side again: the inverse of [`take`] for all groups.
pub(super) fn join<T: Real>(parts: &[Vec<T>], channels: usize) -> Vec<T> {
    let part = channels / parts.len();
    let mut all = vec![T::zero(); parts.iter().map(Vec::len).sum()];
    all.par_chunks_exact_mut(channels).enumerate().with_min_len(64).for_each(|(row, all)| {
        for (all, from) in all.chunks_exact_mut(part).zip(parts) {
            all.copy_from_slice(&from[row * part..][..part]);
        }
    });
    all
}
