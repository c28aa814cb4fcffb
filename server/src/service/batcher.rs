//! The embed thread: gathers the pictures that wait into one forward pass.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use holdfast_model::{Embedder, Error, Result, pixels};

use super::error::{Fault, OpenError, ServiceError};
use crate::config::EmbedConfig;
use crate::metrics::{Metrics, Stage};

const THREAD: &str = "embed";

/// How long a client of a full queue is asked to stay away.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a picture may wait for its embedding. Beyond this the client has most likely left.
const PATIENCE: Duration = Duration::from_secs(30);

/// Owns the embed thread of one net; stops and joins it when dropped.
pub(super) struct Batcher {
    metrics: Arc<Metrics>,
    queue: Mutex<Option<SyncSender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// An embedding and what it took.
#[derive(Debug)]
pub(super) struct Embedding {
    /// As the net gave it.
    pub(super) vector: Vec<f32>,
    /// From submission to the start of the forward pass.
    pub(super) queued: Duration,
    /// The forward pass of the whole batch.
    pub(super) embedded: Duration,
}

/// A picture on its way. A ticket that is dropped withdraws its picture if it still waits.
pub(super) struct Ticket {
    reply: Receiver<std::result::Result<Embedding, Fault>>,
    _client: Arc<()>,
}

struct Request {
    pixels: Vec<f32>,
    submitted: Instant,
    /// Dead when the ticket was dropped.
    client: Weak<()>,
    reply: SyncSender<std::result::Result<Embedding, Fault>>,
}

impl Batcher {
    /// Starts the embed thread of `embedder`.
    pub(super) fn start(
        embedder: Arc<dyn Embedder>,
        config: &EmbedConfig,
        metrics: Arc<Metrics>,
    ) -> std::result::Result<Self, OpenError> {
        let (queue, requests) = sync_channel(config.max_queue);
        let worker = Worker {
            embedder,
            requests,
            max_batch: config.max_batch,
            max_wait: Duration::from_millis(config.max_wait_milliseconds),
            metrics: Arc::clone(&metrics),
        };
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(move || worker.run());
        let thread = thread.map_err(|source| OpenError::Thread { thread: THREAD, source })?;
        Ok(Self { metrics, queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Queues a picture (C·H·W values in [0, 1]). Never waits.
    ///
    /// # Errors
    /// If the queue is full, or the batcher was stopped.
    pub(super) fn submit(&self, pixels: Vec<f32>) -> std::result::Result<Ticket, ServiceError> {
        let (reply, receiver) = sync_channel(1);
        let client = Arc::new(());
        let request = Request { pixels, submitted: Instant::now(), client: Arc::downgrade(&client), reply };
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or(ServiceError::NotReady)?;
        // Counted first, or the thread could subtract before this adds.
        self.metrics.embed_queue_depth.inc();
        queue.try_send(request).map_err(|error| {
            self.metrics.embed_queue_depth.dec();
            match error {
                TrySendError::Full(_) => ServiceError::Overloaded { retry_after: RETRY_AFTER },
                TrySendError::Disconnected(_) => Fault::ThreadGone { thread: THREAD }.into(),
            }
        })?;
        Ok(Ticket { reply: receiver, _client: client })
    }

    /// Embeds what waits, then ends the thread. Idempotent.
    pub(super) fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the embed thread had panicked");
        }
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Ticket {
    /// Waits for the embedding.
    ///
    /// # Errors
    /// If the forward pass fails, or takes longer than a client waits.
    pub(super) fn wait(self) -> std::result::Result<Embedding, ServiceError> {
        match self.reply.recv_timeout(PATIENCE) {
            Ok(embedding) => Ok(embedding?),
            Err(RecvTimeoutError::Timeout) => Err(ServiceError::Overloaded { retry_after: RETRY_AFTER }),
            Err(RecvTimeoutError::Disconnected) => Err(Fault::ThreadGone { thread: THREAD }.into()),
        }
    }
}

/// What the thread works with.
struct Worker {
    embedder: Arc<dyn Embedder>,
    requests: Receiver<Request>,
    max_batch: usize,
    max_wait: Duration,
    metrics: Arc<Metrics>,
}

impl Worker {
    fn run(self) {
        while let Ok(first) = self.requests.recv() {
            let mut batch = self.gather(first);
            self.metrics.embed_queue_depth.sub(batch.len() as i64);
            batch.retain(|request| request.client.strong_count() > 0);
            if !batch.is_empty() {
                self.answer(batch);
            }
        }
    }

    /// Adds to the first request those that come within the time it may wait.
    fn gather(&self, first: Request) -> Vec<Request> {
        let deadline = Instant::now() + self.max_wait;
        let mut batch = vec![first];
        while batch.len() < self.max_batch {
            match self.requests.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(request) => batch.push(request),
                Err(_) => break,
            }
        }
        batch
    }

    fn answer(&self, mut batch: Vec<Request>) {
        let pixels: Vec<Vec<f32>> = batch.iter_mut().map(|request| std::mem::take(&mut request.pixels)).collect();
        self.metrics.embed_batch_size.observe(batch.len() as f64);
        let started = Instant::now();
        // A panic in a forward pass costs its batch, not the server.
        let embedded = catch_unwind(AssertUnwindSafe(|| embed(self.embedder.as_ref(), &pixels)));
        let elapsed = started.elapsed();
        self.metrics.observe_stage(Stage::Embed, elapsed);
        let vectors = match embedded {
            Ok(Ok(vectors)) => vectors,
            Ok(Err(error)) => return refuse(batch, &error),
            Err(panic) => return refuse(batch, &words_of(panic.as_ref())),
        };
        for (request, vector) in batch.into_iter().zip(vectors) {
            let queued = started.saturating_duration_since(request.submitted);
            self.metrics.observe_stage(Stage::Queue, queued);
            // A client that left meanwhile does not matter.
            let _ = request.reply.send(Ok(Embedding { vector, queued, embedded: elapsed }));
        }
    }
}

/// Pixels of pictures (C·H·W values each) → unit vectors, in one forward pass.
pub(super) fn embed(embedder: &dyn Embedder, pixels: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
    let pixels = pixels::batch(pixels, embedder.input(), embedder.device(), embedder.dtype())?;
    let embeddings = embedder.embed(&pixels)?.to_dtype(candle_core::DType::F32)?;
    embeddings.to_vec2().map_err(Error::from)
}

/// Tells every client of a batch that it failed; the log tells why, once.
fn refuse(batch: Vec<Request>, cause: &dyn std::fmt::Display) {
    tracing::error!(pictures = batch.len(), cause = %cause, "a forward pass failed");
    for request in batch {
        let _ = request.reply.send(Err(Fault::Embedding));
    }
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
