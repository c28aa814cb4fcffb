//! How a generation comes to be: a checkpoint, and every item of the catalog embedded by it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::DType;
use holdfast_index::{ItemId, VectorIndex};
use holdfast_model::checkpoint::{self, Checkpoint};
use holdfast_model::device::device;
use holdfast_model::{Embedder, EmbeddingNet};
use rayon::prelude::*;

use super::batcher::{self, Batcher};
use super::catalog::Catalog;
use super::digest::Digest;
use super::directory::{Directory, Listing};
use super::error::{Fault, OpenError, ServiceError};
use super::generation::Generation;
use super::keeper::{Keeper, measure};
use super::pictures::Pictures;
use super::prepare::prepare;
use crate::config::ServeConfig;
use crate::metrics::Metrics;

/// Pictures embedded between two commits.
const PICTURES_PER_STEP: usize = 256;
const BETWEEN_REPORTS: Duration = Duration::from_secs(5);

/// What generations are built from.
pub(super) struct Builder<'b> {
    pub(super) config: &'b ServeConfig,
    pub(super) catalog: &'b Catalog,
    pub(super) pictures: &'b Pictures,
    pub(super) directory: &'b Arc<Directory>,
    pub(super) metrics: &'b Arc<Metrics>,
}

/// An item without a stored vector under the net.
struct Missing {
    number: ItemId,
    picture: Digest,
}

/// Loads and verifies the configured checkpoint.
pub(super) fn load(config: &ServeConfig) -> Result<Checkpoint, OpenError> {
    let checkpoint =
        device(&config.device).and_then(|device| checkpoint::load(&config.checkpoint, &device, DType::F32));
    checkpoint.map_err(|source| OpenError::Checkpoint { path: config.checkpoint.clone(), source })
}

impl Builder<'_> {
    /// A generation over every item of the catalog. Embeds the pictures whose vectors under this net are not known yet.
    pub(super) fn build(&self, checkpoint: Checkpoint, number: usize) -> Result<Generation, OpenError> {
        let Checkpoint { manifest, net, .. } = checkpoint;
        let model: Digest =
            manifest.weights_sha256.parse().expect("a loaded checkpoint matched its checksum. This is a bug.");
        let options = self.config.index.for_dim(net.dim());
        let index: Arc<dyn VectorIndex> = holdfast_index::build(&self.config.index.engine, &options)?.into();

        let missing = self.load_known(index.as_ref(), &model)?;
        self.embed_missing(&net, index.as_ref(), &model, &missing)?;

        let embedder = Arc::new(net);
        let metrics = self.metrics;
        let batcher = Batcher::start(Arc::clone(&embedder) as _, &self.config.embed, Arc::clone(metrics))?;
        let keeper = Keeper::start(Arc::clone(&index), Arc::clone(metrics))?;
        let id = format!("{}-{number}", &manifest.weights_sha256[..12]);
        let labels = [&name_of(&self.config.checkpoint), &id, &manifest.backbone, &manifest.weights_sha256];
        metrics.model_info.with_label_values(&labels.map(String::as_str)).set(1);
        measure(index.as_ref(), metrics);
        let (directory, metrics) = (Arc::clone(self.directory), Arc::clone(metrics));
        let scan_share = self.config.search.scan_share;
        Ok(Generation { id, embedder, manifest, index, model, directory, batcher, keeper, scan_share, metrics })
    }

    /// Lists every item and indexes those whose vector is known; returns the others.
    fn load_known(&self, index: &dyn VectorIndex, model: &Digest) -> Result<Vec<Missing>, OpenError> {
        let mut missing = Vec::new();
        self.catalog.for_each_item(|id, row| {
            let (number, picture) = (ItemId(row.number), row.picture.sha256);
            let known = self.catalog.embedding(&picture, model)?;
            // The index refuses a vector that was damaged on disk: embed it again.
            if known.is_none_or(|vector| index.upsert(number, &vector).is_err()) {
                missing.push(Missing { number, picture });
            }
            self.directory.insert(number, Listing { id: id.to_owned(), metadata: row.metadata });
            Ok::<_, OpenError>(())
        })?;
        // In the order of numbers, which is that of insertion, the result does not depend on names.
        missing.sort_unstable_by_key(|missing| missing.number);
        Ok(missing)
    }

    fn embed_missing(
        &self,
        net: &EmbeddingNet,
        index: &dyn VectorIndex,
        model: &Digest,
        missing: &[Missing],
    ) -> Result<(), OpenError> {
        let mut reported = Instant::now();
        for (step, some) in missing.chunks(PICTURES_PER_STEP).enumerate() {
            if step == 0 || reported.elapsed() > BETWEEN_REPORTS {
                reported = Instant::now();
                let (done, total) = (step * PICTURES_PER_STEP, missing.len());
                tracing::info!(done, total, "embedding stored pictures with the new net");
            }
            let prepared: Vec<_> = some.par_iter().filter_map(|missing| self.pixels(net, missing)).collect();
            let mut vectors = Vec::with_capacity(prepared.len());
            for batch in prepared.chunks(self.config.embed.max_batch) {
                let (missing, pixels): (Vec<&Missing>, Vec<Vec<f32>>) = batch.iter().cloned().unzip();
                let embedded = batcher::embed(net, &pixels);
                let embedded = embedded
                    .map_err(|source| OpenError::Checkpoint { path: self.config.checkpoint.clone(), source })?;
                for (missing, vector) in missing.into_iter().zip(embedded) {
                    index.upsert(missing.number, &vector)?;
                    vectors.push((missing.picture, vector));
                }
            }
            self.catalog.remember(model, &vectors)?;
        }
        Ok(())
    }

    /// A stored picture as the net takes it. One that is lost or damaged costs its item, which is logged, not the start.
    fn pixels<'m>(&self, net: &EmbeddingNet, missing: &'m Missing) -> Option<(&'m Missing, Vec<f32>)> {
        let prepared = self.pictures.read(&missing.picture).map_err(ServiceError::from).and_then(|bytes| {
            let bytes = bytes.ok_or(Fault::PictureLost { sha256: missing.picture.to_string() })?;
            prepare(&bytes, net.input(), &self.config.pictures, self.metrics)
        });
        match prepared {
            Ok(prepared) => Some((missing, prepared.pixels)),
            Err(error) => {
                let id = self.directory.get(missing.number).map_or_else(String::new, |listing| listing.id.clone());
                let error = &error as &dyn std::error::Error;
                tracing::error!(id, error, "an item cannot be embedded and will not be found");
                None
            }
        }
    }
}

/// The folder's name: what people call the model.
fn name_of(folder: &Path) -> String {
    folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}
