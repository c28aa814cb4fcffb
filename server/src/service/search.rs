//! Searching: from what was asked to the items that are nearest.

use std::sync::Arc;
use std::time::Instant;

use holdfast_index::{Hit, ItemId, SearchOptions};
use rayon::prelude::*;
use roaring::RoaringTreemap;

use super::Service;
use super::batcher::Ticket;
use super::error::ServiceError;
use super::generation::Generation;
use super::prepare::{Prepared, prepare};
use super::rules::normalised;
use super::view::{HitView, Search, SearchBy, SearchReply, Stages};
use crate::metrics::Stage;

/// How often a search starts again because items that it had found changed before it could answer.
const MAX_ATTEMPTS: usize = 4;

/// The vector to search with, or the place where it will be.
enum Query {
    Known(Vec<f32>),
    Awaited(Ticket, Stages),
}

impl Service {
    /// The nearest items to a picture, an item or a vector.
    ///
    /// # Errors
    /// If the picture cannot be read, there is no such item, the vector has the wrong dimension, is zero or not finite, the
    /// limit is 0, or too many pictures wait.
    pub fn search(&self, search: &Search) -> Result<SearchReply, ServiceError> {
        let generation = self.generation();
        self.finish(self.start(search, &generation)?, search, &generation)
    }

    /// Several searches in one generation, whose pictures share forward passes; an answer for each, in order.
    pub fn search_batch(&self, searches: &[Search]) -> Vec<Result<SearchReply, ServiceError>> {
        let generation = self.generation();
        let answer = |searches: &[Search]| -> Vec<Result<SearchReply, ServiceError>> {
            // All are queued before the first is waited for.
            let queries: Vec<_> = searches.par_iter().map(|search| self.start(search, &generation)).collect();
            let queries = queries.into_iter().zip(searches);
            queries.map(|(query, search)| self.finish(query?, search, &generation)).collect()
        };
        searches.chunks(self.max_batch).flat_map(answer).collect()
    }

    /// All that comes before the wait for the net.
    fn start(&self, search: &Search, generation: &Generation) -> Result<Query, ServiceError> {
        match &search.by {
            SearchBy::Picture(bytes) => {
                let prepared = prepare(bytes, generation.manifest.input, &self.limits, &self.metrics)?;
                self.replay.offer(&prepared.pixels);
                generation.submit(prepared)
            }
            SearchBy::Id(id) => Ok(Query::Known(self.vector_of(id, generation)?)),
            SearchBy::Vector(vector) => Ok(Query::Known(normalised(vector)?)),
        }
    }

    fn finish(&self, query: Query, search: &Search, generation: &Arc<Generation>) -> Result<SearchReply, ServiceError> {
        let (query, mut stages) = match query {
            Query::Known(vector) => (vector, Stages::default()),
            Query::Awaited(ticket, stages) => generation.embedded(ticket, stages)?,
        };
        let started = Instant::now();
        let hits = generation.nearest(&query, search)?;
        let elapsed = started.elapsed();
        self.metrics.observe_stage(Stage::Search, elapsed);
        stages.push(Stage::Search, elapsed);
        self.recall.offer(generation, &query, search, &hits);
        Ok(SearchReply { generation: generation.id.clone(), hits, stages })
    }

    fn vector_of(&self, id: &str, generation: &Generation) -> Result<Vec<f32>, ServiceError> {
        let number = ItemId(self.row(id)?.number);
        generation.index.vector(number).ok_or_else(|| ServiceError::Conflict {
            detail: format!("item \"{id}\" has no vector under the current net; store it again"),
        })
    }
}

impl Generation {
    /// Queues a picture for the net.
    fn submit(&self, prepared: Prepared) -> Result<Query, ServiceError> {
        let mut stages = Stages::default();
        stages.push(Stage::Decode, prepared.decode);
        stages.push(Stage::Preprocess, prepared.preprocess);
        Ok(Query::Awaited(self.batcher.submit(prepared.pixels)?, stages))
    }

    /// Waits for the net.
    fn embedded(&self, ticket: Ticket, mut stages: Stages) -> Result<(Vec<f32>, Stages), ServiceError> {
        let embedding = ticket.wait()?;
        stages.push(Stage::Queue, embedding.queued);
        stages.push(Stage::Embed, embedding.embedded);
        self.check_embedding(&embedding.vector)?;
        Ok((embedding.vector, stages))
    }

    /// The nearest items to a unit vector among those that match.
    ///
    /// Fewer than asked for only if there are no more. Each hit matches by the metadata that it carries.
    pub(super) fn nearest(&self, query: &[f32], search: &Search) -> Result<Vec<HitView>, ServiceError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let found = self.candidates(query, search)?;
            let count = found.len();
            let hits: Vec<HitView> = found.into_iter().filter_map(|hit| self.view(hit, search)).collect();
            // An item that was deleted or changed since it was found left a gap, which another one may fill.
            if hits.len() == count || attempts == MAX_ATTEMPTS {
                return Ok(hits);
            }
        }
    }

    fn candidates(&self, query: &[f32], search: &Search) -> Result<Vec<Hit>, ServiceError> {
        let hits = match &search.filter {
            None => self.index.search(query, search.limit, &search.options()),
            Some(filter) => self.nearest_of(&self.directory.matching(Some(filter)), query, search),
        };
        hits.map_err(|error| ServiceError::refused(&error))
    }

    /// The nearest of some items. A walk over the graph passes many items that do not match for each one that does, so where
    /// few match it is faster to look at each of them, and exact.
    fn nearest_of(
        &self,
        matching: &RoaringTreemap,
        query: &[f32],
        search: &Search,
    ) -> Result<Vec<Hit>, holdfast_index::Error> {
        let count = usize::try_from(matching.len()).unwrap_or(usize::MAX);
        let total = self.index.len();
        if count == total && search.limit <= count {
            return self.index.search(query, search.limit, &search.options());
        }
        let wanted = search.limit.min(count);
        if wanted > 0 && !search.exact && count as f64 > self.scan_share * total as f64 {
            let matches = |id: ItemId| matching.contains(id.0);
            let options = SearchOptions { filter: Some(&matches), ..search.options() };
            let hits = self.index.search(query, wanted, &options)?;
            if hits.len() == wanted {
                return Ok(hits);
            }
        }
        let items: Vec<ItemId> = matching.iter().map(ItemId).collect();
        self.index.nearest_among(query, search.limit, &items)
    }

    fn view(&self, hit: Hit, search: &Search) -> Option<HitView> {
        let listing = self.directory.get(hit.id)?;
        if search.filter.as_ref().is_some_and(|filter| !filter.matches(&listing.metadata)) {
            return None;
        }
        Some(HitView {
            id: listing.id.clone(),
            distance: hit.distance,
            score: 1.0 - hit.distance * hit.distance / 2.0,
            metadata: listing.metadata.clone(),
            vector: if search.include_vector { self.index.vector(hit.id) } else { None },
        })
    }
}

impl Search {
    fn options(&self) -> SearchOptions<'static> {
        SearchOptions { exact: self.exact, ef: self.ef, filter: None }
    }
}
