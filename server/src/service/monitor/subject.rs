//! What one window attacks: the live generation, held whole, and its items as gallery.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candle_core::Tensor;
use holdfast_model::{Embedder, EmbeddingSet};
use rand::RngCore;

use super::error::WindowError;
use super::measure::UNLABELLED;
use crate::service::{EmbeddingSnapshot, Generation, Search, SearchBy};

/// QA- draws its targets from a query's nearest 1 %, so a smaller gallery has no target for it.
const SMALLEST_GALLERY: usize = 100;

/// The generation under attack and the items that targets are drawn from.
pub(super) struct Subject {
    pub generation: Arc<Generation>,
    /// Items of the live index: all, or a sample.
    pub gallery: EmbeddingSet,
    /// The number of each class name in the gallery's labels.
    pub classes: BTreeMap<String, u32>,
}

impl Subject {
    /// Takes at most `largest_gallery` items of the generation, drawn with `rng` where there are more.
    pub fn new(
        generation: Arc<Generation>,
        largest_gallery: usize,
        rng: &mut dyn RngCore,
    ) -> Result<Self, WindowError> {
        let snapshot = generation.snapshot(largest_gallery, rng);
        let items = snapshot.vectors.len();
        if items < SMALLEST_GALLERY {
            let detail = format!("waiting for gallery: {items} items, the attacks need at least {SMALLEST_GALLERY}");
            return Err(WindowError::Waiting(detail));
        }
        let classes = number_classes(&snapshot);
        let gallery = gallery(&snapshot, &classes, generation.embedder.as_ref())?;
        Ok(Self { generation, gallery, classes })
    }

    /// Searches the live index by an embedding, on the path of every user's query, and compares the first hit's label.
    pub fn first_hit_is(&self, embedding: &[f32], label: &str) -> Result<bool, WindowError> {
        let by = SearchBy::Vector(embedding.to_vec());
        let search = Search { by, limit: 1, exact: false, ef: None, include_vector: false, filter: None };
        let hits = self.generation.nearest(embedding, &search)?;
        Ok(hits.first().is_some_and(|hit| hit.metadata.label() == Some(label)))
    }
}

/// Numbers the class names of a gallery in their order.
fn number_classes(snapshot: &EmbeddingSnapshot) -> BTreeMap<String, u32> {
    let names: BTreeSet<&String> = snapshot.labels.iter().flatten().collect();
    names.into_iter().cloned().zip(0..UNLABELLED).collect()
}

fn gallery(
    snapshot: &EmbeddingSnapshot,
    classes: &BTreeMap<String, u32>,
    embedder: &dyn Embedder,
) -> Result<EmbeddingSet, WindowError> {
    let shape = (snapshot.vectors.len(), embedder.dim());
    let embeddings =
        Tensor::from_vec(snapshot.vectors.concat(), shape, embedder.device())?.to_dtype(embedder.dtype())?;
    let number = |label: &Option<String>| label.as_ref().map_or(UNLABELLED, |name| classes[name]);
    let labels = snapshot.labels.iter().map(number).collect();
    Ok(EmbeddingSet::new(embeddings, Some(labels))?)
}
