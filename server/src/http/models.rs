//! `/v1/generations` and `/v1/models`: what is being served.

use std::collections::BTreeMap;

use actix_web::web;
use holdfast_model::InputShape;
use holdfast_model::checkpoint::Manifest;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::AppState;

/// The generations that exist.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Generations {
    current: GenerationReply,
}

/// One net together with the index of the gallery under it.
#[derive(Debug, Serialize, ToSchema)]
struct GenerationReply {
    id: String,
    /// Searchable items.
    items: usize,
    /// Deleted or replaced items that the index still carries.
    tombstones: usize,
    /// Bytes that the index occupies, estimated.
    memory_bytes: usize,
    model: Model,
}

/// The checkpoints that the server knows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Models {
    models: Vec<Model>,
}

/// A trained net, as its manifest tells.
#[derive(Debug, Serialize, ToSchema)]
struct Model {
    /// The checksum of its weights.
    weights_sha256: String,
    backbone: String,
    input: PictureSize,
    embedding_dim: usize,
    /// How it was trained to withstand attacks.
    defense: String,
    /// Training steps.
    steps: u64,
    seed: u64,
    /// When training ended.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    dataset: TrainingData,
    /// What was measured at the end of training.
    metrics: BTreeMap<String, f64>,
}

/// The pictures that a net takes; others are resized.
#[derive(Debug, Serialize, ToSchema)]
struct PictureSize {
    channels: usize,
    height: usize,
    width: usize,
}

/// What a net was trained on.
#[derive(Debug, Serialize, ToSchema)]
struct TrainingData {
    name: String,
    sha256: String,
    pictures: usize,
    classes: usize,
}

/// The generation that answers
///
/// A search is answered by exactly one generation: one net, and the index of all items under that net.
#[utoipa::path(
    get,
    path = "/v1/generations",
    tag = "models",
    responses((status = 200, description = "The current generation", body = Generations))
)]
pub(super) async fn generations(state: web::Data<AppState>) -> web::Json<Generations> {
    let generation = state.service.generation();
    let index = &generation.index;
    web::Json(Generations {
        current: GenerationReply {
            id: generation.id.to_owned(),
            items: index.len(),
            tombstones: index.tombstones(),
            memory_bytes: index.memory_bytes(),
            model: Model::of(&generation.manifest),
        },
    })
}

/// The models that can be served
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "models",
    responses((status = 200, description = "All models", body = Models))
)]
pub(super) async fn models(state: web::Data<AppState>) -> web::Json<Models> {
    web::Json(Models { models: vec![Model::of(&state.service.generation().manifest)] })
}

impl Model {
    fn of(manifest: &Manifest) -> Self {
        let InputShape { channels, height, width } = manifest.input;
        let data = &manifest.dataset;
        Model {
            weights_sha256: manifest.weights_sha256.clone(),
            backbone: manifest.backbone.clone(),
            input: PictureSize { channels, height, width },
            embedding_dim: manifest.embedding_dim,
            defense: manifest.defense.clone(),
            steps: manifest.steps,
            seed: manifest.seed,
            created: manifest.created,
            dataset: TrainingData {
                name: data.name.clone(),
                sha256: data.sha256.clone(),
                pictures: data.pictures,
                classes: data.classes,
            },
            metrics: manifest.metrics.clone(),
        }
    }
}
