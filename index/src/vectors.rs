//! Where the vectors are, and which are nearest when all of them are looked at.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use hnsw_rs::prelude::{DistL2, Distance};
use rayon::prelude::*;

use crate::{Filter, Hit, ItemId};

/// Rows one thread scans before a second is worth waking (8 MiB at dimension 128).
const ROWS_PER_TASK: usize = 16_384;

/// The vectors of an index, in one block of memory without holes.
pub(crate) struct Vectors {
    dim: usize,
    rows: Vec<f32>,
    ids: Vec<ItemId>,
    slots: HashMap<ItemId, usize>,
}

impl Vectors {
    pub(crate) fn new(dim: usize) -> Self {
        Self { dim, rows: Vec::new(), ids: Vec::new(), slots: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Every item, in no particular order.
    pub(crate) fn ids(&self) -> &[ItemId] {
        &self.ids
    }

    pub(crate) fn get(&self, id: ItemId) -> Option<&[f32]> {
        self.slots.get(&id).map(|&slot| self.row(slot))
    }

    /// Inserts or replaces; false if the item had exactly this vector already.
    pub(crate) fn set(&mut self, id: ItemId, vector: &[f32]) -> bool {
        if let Some(&slot) = self.slots.get(&id) {
            let row = &mut self.rows[slot * self.dim..][..self.dim];
            let changed = row != vector;
            row.copy_from_slice(vector);
            return changed;
        }
        self.slots.insert(id, self.ids.len());
        self.ids.push(id);
        self.rows.extend_from_slice(vector);
        true
    }

    /// Removes an item, moving the last row into its place; false if there is no such item.
    pub(crate) fn remove(&mut self, id: ItemId) -> bool {
        let Some(slot) = self.slots.remove(&id) else {
            return false;
        };
        let last = self.ids.len() - 1;
        self.ids.swap_remove(slot);
        self.rows.copy_within(last * self.dim..(last + 1) * self.dim, slot * self.dim);
        self.rows.truncate(last * self.dim);
        if slot < last {
            self.slots.insert(self.ids[slot], slot);
        }
        true
    }

    /// The `k` nearest of all items that pass the filter, nearest first.
    pub(crate) fn nearest(&self, query: &[f32], k: usize, filter: Option<&Filter<'_>>) -> Vec<Hit> {
        let k = k.min(self.len());
        let scan = |start: usize, ids: &[ItemId]| {
            let mut nearest = Nearest::new(k);
            for (offset, &id) in ids.iter().enumerate() {
                if filter.is_none_or(|passes| passes(id)) {
                    nearest.offer(id, distance(query, self.row(start + offset)));
                }
            }
            nearest
        };
        // A small scan stays on this thread: the pool's threads may be busy with a forward pass.
        if self.len() <= ROWS_PER_TASK {
            return scan(0, &self.ids).into_hits();
        }
        let tasks = self.ids.par_chunks(ROWS_PER_TASK).enumerate();
        tasks.map(|(task, ids)| scan(task * ROWS_PER_TASK, ids)).reduce(|| Nearest::new(k), Nearest::merge).into_hits()
    }

    /// The `k` nearest of those of these items that are there, nearest first.
    pub(crate) fn nearest_among(&self, query: &[f32], k: usize, items: &[ItemId]) -> Vec<Hit> {
        let k = k.min(items.len());
        let scan = |items: &[ItemId]| {
            let mut nearest = Nearest::new(k);
            for &id in items {
                if let Some(vector) = self.get(id) {
                    nearest.offer(id, distance(query, vector));
                }
            }
            nearest
        };
        if items.len() <= ROWS_PER_TASK {
            return scan(items).into_hits();
        }
        items.par_chunks(ROWS_PER_TASK).map(scan).reduce(|| Nearest::new(k), Nearest::merge).into_hits()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        // A hash map entry takes its key, its value and a byte of control, at a load of at most 7/8.
        let slot_bytes = self.slots.capacity() * (size_of::<(ItemId, usize)>() + 1) * 8 / 7;
        self.rows.capacity() * size_of::<f32>() + self.ids.capacity() * size_of::<ItemId>() + slot_bytes
    }

    fn row(&self, slot: usize) -> &[f32] {
        &self.rows[slot * self.dim..][..self.dim]
    }
}

/// Euclidean distance; the same function, and so the same bits, as in the graph.
///
/// It panics on lengths that differ and on NaN, which checked vectors exclude.
pub(crate) fn distance(x: &[f32], y: &[f32]) -> f32 {
    DistL2.eval(x, y)
}

/// The `k` nearest of the items offered so far.
pub(crate) struct Nearest {
    k: usize,
    farthest_first: BinaryHeap<Candidate>,
}

impl Nearest {
    pub(crate) fn new(k: usize) -> Self {
        Self { k, farthest_first: BinaryHeap::with_capacity(k.saturating_add(1)) }
    }

    pub(crate) fn offer(&mut self, id: ItemId, distance: f32) {
        self.farthest_first.push(Candidate(Hit { id, distance }));
        if self.farthest_first.len() > self.k {
            self.farthest_first.pop();
        }
    }

    pub(crate) fn into_hits(self) -> Vec<Hit> {
        let sorted = self.farthest_first.into_sorted_vec();
        sorted.into_iter().map(|Candidate(hit)| hit).collect()
    }

    fn merge(mut self, other: Self) -> Self {
        for Candidate(hit) in other.farthest_first {
            self.offer(hit.id, hit.distance);
        }
        self
    }
}

/// A hit ordered by distance, then by id, so that equal distances have one order.
struct Candidate(Hit);

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_distance = self.0.distance.total_cmp(&other.0.distance);
        by_distance.then(self.0.id.cmp(&other.0.id))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_simd_distance_agrees_with_a_plain_sum_at_every_length() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for length in 1..100 {
            let x: Vec<f32> = (0..length).map(|_| rng.random_range(-1.0..1.0)).collect();
            let y: Vec<f32> = (0..length).map(|_| rng.random_range(-1.0..1.0)).collect();

            let squares = x.iter().zip(&y).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
            let plain = squares.sum::<f64>().sqrt();

            // Sums of at most 100 f32 squares err by at most 100 roundings of 2⁻²⁴.
            assert!((f64::from(distance(&x, &y)) - plain).abs() <= plain * 6e-6, "length {length}");
        }
    }

    #[test]
    fn a_scan_on_many_threads_finds_what_a_scan_on_one_finds() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut vectors = Vectors::new(2);
        let total = 2 * ROWS_PER_TASK + 17;
        for id in 0..total {
            let angle = rng.random_range(0.0..std::f32::consts::TAU);
            vectors.set(ItemId(id as u64), &[angle.cos(), angle.sin()]);
        }

        let found = vectors.nearest(&[1.0, 0.0], 50, None);

        let mut all = Nearest::new(50);
        for &id in vectors.ids() {
            all.offer(id, distance(&[1.0, 0.0], vectors.get(id).unwrap()));
        }
        assert_eq!(found, all.into_hits());
    }
}
