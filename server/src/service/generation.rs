//! A generation: one net bound for life to the index of all items under that net.
//!
//! A query takes one generation and stays with it, so the vectors that it compares always come from the same net. Another net
//! means another generation beside this one, and then a swap of one pointer.

use std::sync::Arc;

use holdfast_index::{ItemId, VectorIndex};
use holdfast_model::checkpoint::Manifest;
use holdfast_model::{Embedder, EmbeddingNet};
use rand::RngCore;

use super::batcher::Batcher;
use super::catalog::Change;
use super::digest::Digest;
use super::directory::{Directory, Listing};
use super::error::Fault;
use super::keeper::{Keeper, measure};
use crate::metrics::Metrics;

/// A net, the index of all items under it, and the threads that work for both.
pub struct Generation {
    /// The first 12 digits of the weights' checksum, and a number that tells generations of the same weights apart.
    pub id: String,
    /// The net.
    pub embedder: Arc<EmbeddingNet>,
    /// What the net is.
    pub manifest: Manifest,
    /// The vectors of all items under the net.
    pub index: Arc<dyn VectorIndex>,
    pub(super) model: Digest,
    pub(super) directory: Arc<Directory>,
    pub(super) batcher: Batcher,
    pub(super) keeper: Keeper,
    /// Up to this share of all items, those that match a filter are compared one by one.
    pub(super) scan_share: f64,
    pub(super) metrics: Arc<Metrics>,
}

/// Items of a generation with their vectors, in the order in which they were first stored.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingSnapshot {
    /// Ids.
    pub ids: Vec<String>,
    /// The class of each item: the `label` of its metadata, if it has one.
    pub labels: Vec<Option<String>>,
    /// Unit vectors.
    pub vectors: Vec<Vec<f32>>,
}

impl Generation {
    /// All items, or `max` of them drawn with `rng` if there are more.
    pub fn snapshot(&self, max: usize, rng: &mut dyn RngCore) -> EmbeddingSnapshot {
        let mut numbers = self.directory.numbers();
        if numbers.len() > max {
            let mut drawn = rand::seq::index::sample(rng, numbers.len(), max).into_vec();
            drawn.sort_unstable();
            numbers = drawn.into_iter().map(|at| numbers[at]).collect();
        }
        let mut snapshot = EmbeddingSnapshot { ids: Vec::new(), labels: Vec::new(), vectors: Vec::new() };
        for number in numbers {
            // An item that is deleted meanwhile, or has no vector under this net, is left out.
            let (Some(listing), Some(vector)) = (self.directory.get(number), self.index.vector(number)) else {
                continue;
            };
            snapshot.ids.push(listing.id.clone());
            snapshot.labels.push(listing.metadata.label().map(str::to_owned));
            snapshot.vectors.push(vector);
        }
        snapshot
    }

    /// Refuses what the net should not have given: NaN above all.
    pub(super) fn check_embedding(&self, vector: &[f32]) -> Result<(), Fault> {
        self.index.check(vector).map_err(Fault::Embedded)
    }

    /// Brings a committed change to searches.
    pub(super) fn apply(&self, number: ItemId, change: Change) -> Result<(), Fault> {
        match change {
            Change::Put(new) => {
                // Listed first: a hit without a listing would be dropped.
                self.directory.insert(number, Listing { id: new.id, metadata: new.metadata });
                self.index.upsert(number, &new.vector).map_err(Fault::Embedded)
            }
            Change::Delete(_) | Change::DeleteMany { .. } => self.remove(number),
        }
    }

    /// Takes a deleted item out of searches.
    pub(super) fn remove(&self, number: ItemId) -> Result<(), Fault> {
        let removed = self.index.remove(number);
        self.directory.remove(number);
        removed.map(drop).map_err(Fault::Embedded)
    }

    /// Tells the threads and gauges of this generation that changes were applied.
    pub(super) fn changed(&self) {
        self.keeper.ring();
        measure(self.index.as_ref(), &self.metrics);
    }

    /// Ends the threads. Searches by id and vector still work.
    pub(super) fn stop(&self) {
        self.batcher.stop();
        self.keeper.stop();
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generation({}, {} items, dim {})", self.id, self.index.len(), self.embedder.dim())
    }
}
