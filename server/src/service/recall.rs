//! The recall thread: how much of the exact answer do live searches find?
//!
//! One of so many searches is answered a second time, by comparing with every item. That is slow, so it happens beside the
//! traffic, and samples are dropped while the thread is busy.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::error::OpenError;
use super::generation::Generation;
use super::view::{HitView, Search, SearchBy};
use crate::metrics::Metrics;

const THREAD: &str = "recall";

/// Lengths of answers for which recall is told.
const DEPTHS: [usize; 3] = [1, 10, 100];
/// Samples that the published mean is of, for each depth.
const WINDOW: usize = 100;
/// Samples that may wait.
const MAX_QUEUE: usize = 4;
/// What two computations of the same distance may differ by.
const ROUNDING: f32 = 1e-5;

/// Owns the thread; stops and joins it when dropped.
pub(super) struct Recall {
    /// One of so many searches is looked at; of none if 0.
    every: u64,
    searches: AtomicU64,
    queue: Mutex<Option<SyncSender<Sample>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A search as it was answered.
struct Sample {
    generation: Arc<Generation>,
    query: Vec<f32>,
    search: Search,
    /// Of the hits, nearest first.
    distances: Vec<f32>,
}

impl Recall {
    /// Starts the thread, unless `every` is 0.
    pub(super) fn start(every: u64, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        let (queue, thread) = if every == 0 {
            (None, None)
        } else {
            let (queue, samples) = sync_channel(MAX_QUEUE);
            let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(move || run(&samples, &metrics));
            (Some(queue), Some(thread.map_err(|source| OpenError::Thread { thread: THREAD, source })?))
        };
        Ok(Self { every, searches: AtomicU64::new(0), queue: Mutex::new(queue), thread: Mutex::new(thread) })
    }

    /// Offers an answered search. Never waits; exact searches teach nothing.
    pub(super) fn offer(&self, generation: &Arc<Generation>, query: &[f32], search: &Search, hits: &[HitView]) {
        if self.every == 0 || search.exact || hits.is_empty() {
            return;
        }
        if !self.searches.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.every) {
            return;
        }
        let sample = Sample {
            generation: Arc::clone(generation),
            query: query.to_vec(),
            search: Search {
                // The vector is known already.
                by: SearchBy::Vector(Vec::new()),
                limit: search.limit,
                exact: true,
                ef: None,
                include_vector: false,
                filter: search.filter.clone(),
            },
            distances: hits.iter().map(|hit| hit.distance).collect(),
        };
        if let Some(queue) = self.queue.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // A full channel means that the thread is busy: the sample is dropped.
            let _ = queue.try_send(sample);
        }
    }

    /// Ends the thread once it has looked at what waits. Idempotent.
    pub(super) fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the recall thread had panicked");
        }
    }
}

impl Drop for Recall {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(samples: &Receiver<Sample>, metrics: &Metrics) {
    let mut windows: [VecDeque<f64>; DEPTHS.len()] = Default::default();
    while let Ok(Sample { generation, query, search, distances }) = samples.recv() {
        let exact = match generation.nearest(&query, &search) {
            Ok(exact) => exact,
            Err(error) => {
                tracing::warn!(%error, "the recall of a search could not be measured");
                continue;
            }
        };
        let exact: Vec<f32> = exact.iter().map(|hit| hit.distance).collect();
        for (depth, window) in DEPTHS.into_iter().zip(&mut windows) {
            let Some(recall) = recall_at(depth, &distances, &exact, search.limit) else { continue };
            window.push_back(recall);
            if window.len() > WINDOW {
                window.pop_front();
            }
            let mean = window.iter().sum::<f64>() / window.len() as f64;
            metrics.ann_recall.with_label_values(&[&depth.to_string()]).set(mean);
        }
    }
}

/// The share of the exact `depth` nearest that were found, 0 to 1; none if the search asked for fewer.
///
/// Distances are compared, not ids: of items at one distance any is right.
fn recall_at(depth: usize, found: &[f32], exact: &[f32], limit: usize) -> Option<f64> {
    let wanted = depth.min(exact.len());
    if limit < depth || wanted == 0 {
        return None;
    }
    let furthest = exact[wanted - 1] + ROUNDING;
    let right = found.iter().take(wanted).filter(|&&distance| distance <= furthest).count();
    Some(right as f64 / wanted as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_is_the_share_of_the_nearest_that_were_found() {
        let exact = [0.1, 0.2, 0.3, 0.4];
        assert_eq!(recall_at(1, &exact, &exact, 10), Some(1.0));
        assert_eq!(recall_at(1, &[0.2, 0.3], &exact, 10), Some(0.0), "the nearest was missed");
        assert_eq!(recall_at(10, &[0.1, 0.3, 0.4, 0.9], &exact, 10), Some(0.75), "there are four items");
        assert_eq!(recall_at(10, &[0.1], &exact, 10), Some(0.25), "what was not found counts");
        assert_eq!(recall_at(10, &exact, &exact, 4), None, "nobody asked for ten");
        assert_eq!(recall_at(1, &[], &[], 10), None);
    }

    #[test]
    fn of_items_at_one_distance_any_is_right() {
        assert_eq!(recall_at(1, &[0.500_000_1], &[0.5, 0.5, 0.5], 1), Some(1.0));
    }
}
