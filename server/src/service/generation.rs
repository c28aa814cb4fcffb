//! A generation: one net bound for life to the index of all items under that net.
//!
//! A query takes one generation and stays with it, so the vectors that it compares always come from the same net. Another net
//! means another generation beside this one, and then a swap of one pointer.

use std::sync::Arc;

use holdfast_index::{Hit, ItemId, SearchOptions, VectorIndex};
use holdfast_model::checkpoint::Manifest;
use holdfast_model::{Embedder, EmbeddingNet};
use rand::RngCore;

use super::batcher::Batcher;
use super::catalog::Change;
use super::digest::Digest;
use super::directory::{Directory, Listing};
use super::error::{Fault, ServiceError};
use super::keeper::{Keeper, measure};
use super::prepare::Prepared;
use super::view::{HitView, Search, Stages};
use crate::metrics::{Metrics, Stage};

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

    /// The unit vector of a prepared picture, with the stages it took.
    pub(super) fn embed(&self, prepared: Prepared) -> Result<(Vec<f32>, Stages), ServiceError> {
        let mut stages = Stages::default();
        stages.push(Stage::Decode, prepared.decode);
        stages.push(Stage::Preprocess, prepared.preprocess);
        let embedding = self.batcher.submit(prepared.pixels)?.wait()?;
        stages.push(Stage::Queue, embedding.queued);
        stages.push(Stage::Embed, embedding.embedded);
        self.check_embedding(&embedding.vector)?;
        Ok((embedding.vector, stages))
    }

    /// Refuses what the net should not have given: NaN above all.
    pub(super) fn check_embedding(&self, vector: &[f32]) -> Result<(), Fault> {
        self.index.check(vector).map_err(Fault::Embedded)
    }

    /// The nearest items to a unit vector.
    pub(super) fn nearest(&self, query: &[f32], search: &Search) -> Result<Vec<HitView>, ServiceError> {
        let options = SearchOptions { exact: search.exact, ef: search.ef, filter: None };
        let hits = self.index.search(query, search.limit, &options).map_err(|error| ServiceError::refused(&error))?;
        Ok(hits.into_iter().filter_map(|hit| self.view(hit, search.include_vector)).collect())
    }

    /// Brings a committed change to searches.
    pub(super) fn apply(&self, number: ItemId, change: Change) -> Result<(), Fault> {
        match change {
            Change::Put(new) => {
                // Listed first: a hit without a listing would be dropped.
                self.directory.insert(number, Listing { id: new.id, metadata: new.metadata });
                self.index.upsert(number, &new.vector).map_err(Fault::Embedded)
            }
            Change::Delete(_) => {
                let removed = self.index.remove(number);
                self.directory.remove(number);
                removed.map(drop).map_err(Fault::Embedded)
            }
        }
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

    fn view(&self, hit: Hit, include_vector: bool) -> Option<HitView> {
        // An item that was deleted since the index found it is no hit.
        let listing = self.directory.get(hit.id)?;
        Some(HitView {
            id: listing.id.clone(),
            distance: hit.distance,
            score: 1.0 - hit.distance * hit.distance / 2.0,
            metadata: listing.metadata.clone(),
            vector: if include_vector { self.index.vector(hit.id) } else { None },
        })
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generation({}, {} items, dim {})", self.id, self.index.len(), self.embedder.dim())
    }
}
