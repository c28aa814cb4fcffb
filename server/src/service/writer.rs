//! The writer thread: all changes in one order, many to a commit.
//!
//! It takes what waits, up to a bound, commits it in one transaction with one fsync, brings it to the index in the same order,
//! and only then answers. So an answer means: on disk, and searchable.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use holdfast_index::ItemId;

use super::catalog::{Catalog, Change, ItemRow, Outcome};
use super::error::{Fault, OpenError, ServiceError};
use super::generation::Generation;
use super::pictures::Pictures;
use crate::metrics::Metrics;

const THREAD: &str = "writer";

/// Changes that may wait; beyond it clients are asked to come back.
const MAX_QUEUE: usize = 4096;
/// Changes in one commit: it bounds how long the first waits for the last.
const MAX_GROUP: usize = 256;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Owns the writer thread; stops and joins it when dropped.
pub(super) struct Writer {
    queue: Mutex<Option<SyncSender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    failed: Arc<AtomicBool>,
}

/// A change on its way.
pub(super) struct Receipt {
    reply: Receiver<Result<Outcome, Fault>>,
}

struct Request {
    change: Change,
    /// Whose net made the vector.
    generation: Arc<Generation>,
    reply: SyncSender<Result<Outcome, Fault>>,
}

impl Writer {
    pub(super) fn start(
        catalog: Arc<Catalog>,
        pictures: Arc<Pictures>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let (queue, requests) = sync_channel(MAX_QUEUE);
        let failed = Arc::new(AtomicBool::new(false));
        let worker = Worker { requests, catalog, pictures, metrics, failed: Arc::clone(&failed) };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(move || worker.run());
        let thread = thread.map_err(|source| OpenError::Thread { thread: THREAD, source })?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)), failed })
    }

    /// Queues a change. Never waits.
    ///
    /// # Errors
    /// If the queue is full, or the writer was stopped.
    pub(super) fn submit(&self, change: Change, generation: Arc<Generation>) -> Result<Receipt, ServiceError> {
        let (reply, receiver) = sync_channel(1);
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or(ServiceError::NotReady)?;
        queue.try_send(Request { change, generation, reply }).map_err(|error| match error {
            TrySendError::Full(_) => ServiceError::Overloaded { retry_after: RETRY_AFTER },
            TrySendError::Disconnected(_) => Fault::ThreadGone { thread: THREAD }.into(),
        })?;
        Ok(Receipt { reply: receiver })
    }

    /// Whether the latest commit has failed, or the thread has panicked.
    pub(super) fn has_failed(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        self.failed.load(Ordering::Relaxed) || thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Commits what waits, then ends the thread. Idempotent.
    pub(super) fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer had panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Receipt {
    /// Waits until the change is on disk and searchable, or has failed.
    pub(super) fn wait(self) -> Result<Outcome, Fault> {
        self.reply.recv().unwrap_or(Err(Fault::ThreadGone { thread: THREAD }))
    }
}

/// What the thread works with.
struct Worker {
    requests: Receiver<Request>,
    catalog: Arc<Catalog>,
    pictures: Arc<Pictures>,
    metrics: Arc<Metrics>,
    failed: Arc<AtomicBool>,
}

/// A request without its change.
struct Client {
    generation: Arc<Generation>,
    reply: SyncSender<Result<Outcome, Fault>>,
}

impl Worker {
    fn run(self) {
        while let Ok(first) = self.requests.recv() {
            let mut group = vec![first];
            group.extend(self.requests.try_iter().take(MAX_GROUP - 1));
            self.commit(group);
        }
    }

    fn commit(&self, group: Vec<Request>) {
        let started = Instant::now();
        let (changes, clients): (Vec<Change>, Vec<Client>) = group.into_iter().map(Request::split).unzip();
        let committed = match self.catalog.commit(&changes) {
            Ok(committed) => committed,
            Err(error) => {
                self.failed.store(true, Ordering::Relaxed);
                let full = error.is_full();
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, changes = changes.len(), "a commit failed; nothing of it was stored");
                let fault = || if full { Fault::CommitDiskFull } else { Fault::Commit };
                return clients.into_iter().for_each(|client| client.answer(Err(fault())));
            }
        };
        self.failed.store(false, Ordering::Relaxed);
        let last = clients.last().map(|client| Arc::clone(&client.generation));
        let answers: Vec<_> = changes.into_iter().zip(committed.outcomes).zip(clients).map(apply).collect();
        self.metrics.commit_duration_seconds.observe(started.elapsed().as_secs_f64());
        for (client, result) in answers {
            client.answer(result);
        }
        if let Some(generation) = last {
            generation.changed();
        }
        self.tidy(&committed.unused);
    }

    fn tidy(&self, unused: &BTreeSet<super::digest::Digest>) {
        unused.iter().for_each(|picture| self.pictures.remove_if_unused(picture));
    }
}

/// Brings one committed change to searches.
fn apply(((change, outcome), client): ((Change, Outcome), Client)) -> (Client, Result<Outcome, Fault>) {
    let number = match &outcome {
        Outcome::Stored(ItemRow { number, .. }) | Outcome::Deleted { number } => *number,
        Outcome::DeletedMany(numbers) => {
            let applied = numbers.iter().flatten().try_for_each(|&number| client.generation.remove(ItemId(number)));
            return (client, applied.map(|()| outcome));
        }
        Outcome::Missing => return (client, Ok(outcome)),
    };
    let applied = client.generation.apply(ItemId(number), change);
    (client, applied.map(|()| outcome))
}

impl Request {
    fn split(self) -> (Change, Client) {
        (self.change, Client { generation: self.generation, reply: self.reply })
    }
}

impl Client {
    fn answer(self, result: Result<Outcome, Fault>) {
        // A client that no longer waits has its change all the same.
        let _ = self.reply.send(result);
    }
}
