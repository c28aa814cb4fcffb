//! The keeper thread: does the slow work that changes leave in an index, beside the traffic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use holdfast_index::VectorIndex;

use super::error::OpenError;
use crate::metrics::Metrics;

const THREAD: &str = "index-keeper";

/// Owns the thread that maintains one index; stops and joins it when dropped.
pub(super) struct Keeper {
    bell: Mutex<Option<SyncSender<()>>>,
    stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Starts the thread, which looks at the index at once.
    pub(super) fn start(index: Arc<dyn VectorIndex>, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        let (bell, rings) = sync_channel(1);
        let stopping = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopping);
        let work = move || run(index.as_ref(), &metrics, &rings, &told);
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(work);
        let thread = thread.map_err(|source| OpenError::Thread { thread: THREAD, source })?;
        Ok(Self { bell: Mutex::new(Some(bell)), stopping, thread: Mutex::new(Some(thread)) })
    }

    /// Says that the index has changed. Never waits.
    pub(super) fn ring(&self) {
        if let Some(bell) = self.bell.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            // A full channel means that the thread will look anyway.
            let _ = bell.try_send(());
        }
    }

    /// Ends the thread, which takes a fraction of a second. Idempotent.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.bell.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the index keeper had panicked");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(index: &dyn VectorIndex, metrics: &Metrics, rings: &Receiver<()>, stopping: &AtomicBool) {
    let proceed = || !stopping.load(Ordering::Relaxed);
    loop {
        if proceed() && index.needs_maintenance() {
            let done = catch_unwind(AssertUnwindSafe(|| index.maintain(&proceed)));
            if done.is_err() {
                // The index answers rightly without it, only slower as it grows.
                tracing::error!("maintaining the index failed; it is left as it is until the next start");
                return;
            }
            measure(index, metrics);
        }
        if rings.recv().is_err() {
            return;
        }
    }
}

/// Sets the gauges of an index.
pub(super) fn measure(index: &dyn VectorIndex, metrics: &Metrics) {
    let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    metrics.index_items.set(gauge(index.len()));
    metrics.index_tombstones.set(gauge(index.tombstones()));
    metrics.index_memory_bytes.set(gauge(index.memory_bytes()));
}

#[cfg(test)]
mod tests {
    use holdfast_index::{Hit, ItemId, Result, SearchOptions};

    use super::*;

    /// An index whose maintenance never ends by itself.
    struct Endless {
        entered: SyncSender<()>,
        left: SyncSender<()>,
    }

    impl VectorIndex for Endless {
        fn upsert(&self, _: ItemId, _: &[f32]) -> Result<()> {
            Ok(())
        }

        fn remove(&self, _: ItemId) -> Result<bool> {
            Ok(false)
        }

        fn search(&self, _: &[f32], _: usize, _: &SearchOptions<'_>) -> Result<Vec<Hit>> {
            Ok(Vec::new())
        }

        fn nearest_among(&self, _: &[f32], _: usize, _: &[ItemId]) -> Result<Vec<Hit>> {
            Ok(Vec::new())
        }

        fn check(&self, _: &[f32]) -> Result<()> {
            Ok(())
        }

        fn vector(&self, _: ItemId) -> Option<Vec<f32>> {
            None
        }

        fn len(&self) -> usize {
            7
        }

        fn tombstones(&self) -> usize {
            0
        }

        fn memory_bytes(&self) -> usize {
            0
        }

        fn needs_maintenance(&self) -> bool {
            true
        }

        fn maintain(&self, proceed: &(dyn Fn() -> bool + Sync)) {
            self.entered.send(()).unwrap();
            while proceed() {
                thread::yield_now();
            }
            self.left.send(()).unwrap();
        }
    }

    #[test]
    fn a_keeper_is_stopped_in_the_middle_of_its_work() {
        let ((entered, has_entered), (left, has_left)) = (sync_channel(9), sync_channel(9));
        let metrics = Arc::new(Metrics::new());
        let keeper = Keeper::start(Arc::new(Endless { entered, left }), Arc::clone(&metrics)).unwrap();
        has_entered.recv().unwrap();

        keeper.ring();
        keeper.stop();

        assert_eq!(has_left.try_iter().count(), 1);
        assert_eq!(metrics.index_items.get(), 7);
    }

    #[test]
    fn a_keeper_works_again_when_it_is_rung_for() {
        let config = holdfast_index::IndexConfig { exact_below: 0, ..holdfast_index::IndexConfig::new(1) };
        let index: Arc<dyn VectorIndex> = holdfast_index::build("hnsw", &config).unwrap().into();
        let keeper = Keeper::start(Arc::clone(&index), Arc::default()).unwrap();

        for id in 0..3 {
            index.upsert(ItemId(id), &[1.0]).unwrap();
            keeper.ring();
            while index.needs_maintenance() {
                thread::yield_now();
            }
        }
    }
}
