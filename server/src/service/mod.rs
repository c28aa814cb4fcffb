//! The service: what `http` may call, and what knows nothing of HTTP. All methods block.
//!
//! | module | question |
//! |---|---|
//! | `view`, `metadata` | What do callers give and get? |
//! | `filter` | Which items match conditions on their metadata? |
//! | `error` | What can go wrong, and who can do something about it? |
//! | `catalog` | Which items are there? The durable truth. |
//! | `pictures`, `digest` | Where are the picture files? |
//! | `writer`, `put`, `room` | How does a change become durable and searchable, as long as there is room? |
//! | `snapshot` | How does all of it become one file, and come back? |
//! | `generation`, `build` | Which net and which index belong together, and how do they come to be? |
//! | `rules` | Which ids and vectors are legal? |
//! | `prepare`, `batcher` | How does a picture become a vector? |
//! | `search`, `browse` | How are items found, by nearness or by a filter? |
//! | `directory` | Whose number is this, and which numbers match a filter? |
//! | `keeper` | Who tidies the index? |
//! | `recall` | How much of the exact answer do searches find? |
//! | `monitor`, `replay`, `canary` | How does the live generation hold up under attack? |
//!
//! A write goes: decode → embed → picture on disk → commit → index → answer. A search goes: decode → embed → index → names.

mod batcher;
mod browse;
mod build;
pub mod canary;
mod catalog;
mod digest;
mod directory;
mod error;
pub mod filter;
mod generation;
mod keeper;
mod metadata;
pub mod monitor;
mod pictures;
mod prepare;
mod put;
mod recall;
pub mod replay;
mod room;
mod rules;
mod search;
pub mod snapshot;
mod view;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use holdfast_model::pixels::DecodeLimits;
use rayon::prelude::*;

pub use catalog::CatalogError;
pub use error::{Fault, OpenError, ServiceError};
pub use generation::{EmbeddingSnapshot, Generation};
pub use metadata::{Metadata, MetadataValue};
pub use pictures::PicturesError;
pub use view::{
    Embedded, HitView, ItemView, NewItem, Page, Place, Readiness, Search, SearchBy, SearchReply, Stages, StoredPicture,
};

use batcher::Ticket;
use build::Builder;
use catalog::{Catalog, Change, ItemRow, Outcome};
use directory::Directory;
use pictures::Pictures;
use prepare::prepare;
use recall::Recall;
use replay::Replay;
use room::Room;
use rules::check_id;
use snapshot::Snapshots;
use writer::Writer;

use crate::config::{MonitorConfig, ServeConfig};
use crate::metrics::Metrics;

/// The gallery and the searches in it. Shared by all threads; stops its own when dropped.
pub struct Service {
    catalog: Arc<Catalog>,
    pictures: Arc<Pictures>,
    generation: ArcSwap<Generation>,
    writer: Writer,
    room: Room,
    snapshots: Snapshots,
    replay: Arc<Replay>,
    recall: Recall,
    metrics: Arc<Metrics>,
    limits: DecodeLimits,
    max_batch: usize,
    stopping: AtomicBool,
}

impl Service {
    /// Verifies the checkpoint, opens the data folder, and builds the generation that serves.
    ///
    /// Takes as long as embedding the pictures that this net has not seen; progress is logged.
    ///
    /// # Errors
    /// If the checkpoint cannot be loaded, the data folder cannot be used, or another server uses it.
    pub fn open(config: &ServeConfig, metrics: Arc<Metrics>) -> Result<Arc<Self>, OpenError> {
        // First, because it touches nothing and fails most often.
        let checkpoint = build::load(config)?;
        make_folder(&config.data_dir)?;
        let catalog = Arc::new(Catalog::open(&config.data_dir)?);
        let pictures = Arc::new(Pictures::open(&config.data_dir.join("pictures"), Arc::clone(&catalog))?);
        let snapshots = Snapshots::open(&config.data_dir.join("snapshots"))?;
        let directory = Arc::new(Directory::default());
        let builder =
            Builder { config, catalog: &catalog, pictures: &pictures, directory: &directory, metrics: &metrics };
        let generation = builder.build(checkpoint, 1)?;
        tracing::info!(generation = generation.id, items = generation.index.len(), "serving");
        let writer = Writer::start(Arc::clone(&catalog), Arc::clone(&pictures), Arc::clone(&metrics))?;
        Ok(Arc::new(Self {
            catalog,
            pictures,
            generation: ArcSwap::from_pointee(generation),
            writer,
            room: Room::new(&config.data_dir, config.store.min_free_bytes),
            snapshots,
            replay: Arc::new(new_replay(&config.monitor)),
            recall: Recall::start(config.search.recall_sample, Arc::clone(&metrics))?,
            metrics,
            limits: config.pictures,
            max_batch: config.embed.max_batch,
            stopping: AtomicBool::new(false),
        }))
    }

    /// Stores items, or replaces those with the same ids; a result for each, in order.
    ///
    /// An item whose result is `Ok` is on disk and searchable. One that fails does not touch the others.
    pub fn put(&self, items: Vec<NewItem>) -> Vec<Result<ItemView, ServiceError>> {
        let mut results = Vec::with_capacity(items.len());
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            results.extend(self.put_batch(items.by_ref().take(self.max_batch).collect()));
        }
        results
    }

    /// An item.
    ///
    /// # Errors
    /// If the id breaks the rules, or there is no such item.
    pub fn get(&self, id: &str) -> Result<ItemView, ServiceError> {
        Ok(self.row(id)?.into_view(id.to_owned()))
    }

    /// The picture of an item, as it came in.
    ///
    /// # Errors
    /// If there is no such item, or its file was lost or damaged.
    pub fn picture(&self, id: &str) -> Result<StoredPicture, ServiceError> {
        // An update may remove the picture between the two looks; then the row has changed, too.
        loop {
            let picture = self.row(id)?.picture;
            if let Some(bytes) = self.pictures.read(&picture.sha256)? {
                return Ok(StoredPicture { content_type: picture.content_type, bytes });
            }
            if self.row(id)?.picture.sha256 == picture.sha256 {
                return Err(Fault::PictureLost { sha256: picture.sha256.to_string() }.into());
            }
        }
    }

    /// Deletes an item; when this returns it is gone from disk and no longer found.
    ///
    /// # Errors
    /// If there is no such item, or too many changes wait.
    pub fn delete(&self, id: &str) -> Result<(), ServiceError> {
        check_id(id)?;
        let receipt = self.writer.submit(Change::Delete(id.to_owned()), self.generation())?;
        match receipt.wait()? {
            Outcome::Deleted { .. } => Ok(()),
            Outcome::Missing => Err(ServiceError::not_found(id)),
            Outcome::Stored(_) | Outcome::DeletedMany(_) => Err(Fault::WrongOutcome.into()),
        }
    }

    /// Pictures as unit vectors; nothing is stored.
    ///
    /// # Errors
    /// If one of the pictures cannot be read, or too many wait.
    pub fn embed(&self, pictures: Vec<Vec<u8>>) -> Result<Embedded, ServiceError> {
        let generation = self.generation();
        let mut vectors = Vec::with_capacity(pictures.len());
        let mut pictures = pictures.into_iter().peekable();
        while pictures.peek().is_some() {
            let batch = pictures.by_ref().take(self.max_batch).collect();
            vectors.extend(self.embed_batch(batch, &generation)?);
        }
        Ok(Embedded { generation: generation.id.clone(), vectors })
    }

    /// The generation that serves now. Whoever holds it keeps it alive.
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Recent query pictures.
    pub fn replay(&self) -> &Arc<Replay> {
        &self.replay
    }

    /// Whether the service can do its work.
    pub fn readiness(&self) -> Readiness {
        match (self.stopping.load(Ordering::Relaxed), self.writer.has_failed()) {
            (true, _) => Readiness::Stopping,
            (false, true) => Readiness::WritesFail,
            (false, false) => Readiness::Ready,
        }
    }

    /// Commits what waits and ends all threads. Later writes and pictures get [`ServiceError::NotReady`]. Idempotent.
    pub fn shutdown(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.writer.stop();
        self.recall.stop();
        self.generation().stop();
    }

    fn embed_batch(&self, pictures: Vec<Vec<u8>>, generation: &Generation) -> Result<Vec<Vec<f32>>, ServiceError> {
        let input = generation.manifest.input;
        let pictures = pictures.into_par_iter();
        let prepared = pictures.map(|bytes| prepare(&bytes, input, &self.limits, &self.metrics));
        // All are queued before the first is waited for, so that they share a forward pass.
        let tickets = prepared.map(|prepared| generation.batcher.submit(prepared?.pixels));
        let tickets: Vec<Ticket> = tickets.collect::<Result<_, _>>()?;
        let vectors = tickets.into_iter().map(|ticket| {
            let vector = ticket.wait()?.vector;
            generation.check_embedding(&vector)?;
            Ok(vector)
        });
        vectors.collect()
    }

    fn row(&self, id: &str) -> Result<ItemRow, ServiceError> {
        check_id(id)?;
        self.catalog.item(id)?.ok_or_else(|| ServiceError::not_found(id))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn make_folder(path: &Path) -> Result<(), OpenError> {
    std::fs::create_dir_all(path).map_err(|source| OpenError::Folder { path: path.to_owned(), source })
}

/// A monitor that is off remembers no queries.
fn new_replay(config: &MonitorConfig) -> Replay {
    let capacity = if config.enabled { config.reservoir } else { 0 };
    Replay::new(capacity, Duration::from_secs(config.reservoir_seconds), config.seed)
}
