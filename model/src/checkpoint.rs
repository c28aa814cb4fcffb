//! A trained net as a folder: weights, what they are, how good they are, and a page for people.
//!
//! | file | holds |
//! |---|---|
//! | `weights.safetensors` | parameters as f32 under PyTorch's names |
//! | `manifest.json` | [`Manifest`]: net, configuration, data, metrics, checksum |
//! | `report.json` | the evaluation report, or `null` |
//! | `README.md` | the model card |
//!
//! plus attachments such as curves or what a training run needs to go on, whose checksums the manifest lists too. The
//! folder is replaced whole, so it is never half old and half new; nothing is trusted on the way back.

mod error;
mod weights;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use error::CheckpointError;

use crate::atomic;
use crate::card::model_card;
use crate::{Embedder, EmbeddingNet, InputShape, Parameters, Result};

/// The version of the folder's layout that this program writes and reads.
pub const FORMAT: u32 = 1;

const WEIGHTS: &str = "weights.safetensors";
const MANIFEST: &str = "manifest.json";
const REPORT: &str = "report.json";
const CARD: &str = "README.md";
/// Manifests and reports are kilobytes; whatever is longer is not one.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// Which data a net was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFingerprint {
    /// What people call it: "fashion-mnist".
    pub name: String,
    /// Checksum over pixels and labels, 64 hexadecimal digits.
    pub sha256: String,
    /// Training pictures.
    pub pictures: usize,
    /// Training classes.
    pub classes: usize,
}

/// Everything about a net except its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Name in the backbone registry.
    pub backbone: String,
    /// Pictures it takes.
    pub input: InputShape,
    /// Length of an embedding.
    pub embedding_dim: usize,
    /// The whole training configuration.
    pub config: Value,
    /// Seed of the training run.
    pub seed: u64,
    /// Optimizer steps taken.
    pub steps: u64,
    /// How it was trained to resist: "vanilla", `HM[S,gLGA]&ICS`.
    pub defense: String,
    /// What it was trained on.
    pub dataset: DatasetFingerprint,
    /// Headline numbers by name, all finite.
    pub metrics: BTreeMap<String, f64>,
    /// What whoever uses the net must know: a collapse while it was trained, for instance. One sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When it was saved.
    pub created: jiff::Timestamp,
    /// Shape of every parameter.
    pub parameters: BTreeMap<String, Vec<usize>>,
    /// Checksum of `weights.safetensors`, 64 hexadecimal digits.
    pub weights_sha256: String,
    /// Checksum of each attachment by its file name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attachments: BTreeMap<String, String>,
}

/// What [`save`] writes. The fields missing from [`Manifest`] are derived from the net.
#[derive(Clone, Copy)]
pub struct NewCheckpoint<'a> {
    /// The net.
    pub net: &'a EmbeddingNet,
    /// See [`Manifest::config`].
    pub config: &'a Value,
    /// See [`Manifest::seed`].
    pub seed: u64,
    /// See [`Manifest::steps`].
    pub steps: u64,
    /// See [`Manifest::defense`].
    pub defense: &'a str,
    /// See [`Manifest::dataset`].
    pub dataset: &'a DatasetFingerprint,
    /// See [`Manifest::metrics`].
    pub metrics: &'a BTreeMap<String, f64>,
    /// See [`Manifest::warnings`].
    pub warnings: &'a [String],
    /// See [`Manifest::created`].
    pub created: jiff::Timestamp,
    /// The evaluation report, if there was an evaluation.
    pub report: Option<&'a Value>,
    /// Further files: plain name and bytes.
    pub attachments: &'a [(&'a str, &'a [u8])],
}

/// What [`load`] found, verified.
pub struct Checkpoint {
    /// What it is.
    pub manifest: Manifest,
    /// The net.
    pub net: EmbeddingNet,
    /// The evaluation report, if there was an evaluation.
    pub report: Option<Value>,
}

/// Writes a checkpoint folder, atomically and durably, and returns its manifest.
///
/// An existing checkpoint at `folder` is replaced whole: files added to it are deleted.
///
/// # Errors
/// If a weight or metric is not finite, the disk refuses, or `folder` holds something that is no checkpoint.
pub fn save(folder: &Path, checkpoint: &NewCheckpoint) -> Result<Manifest> {
    require_replaceable(folder)?;
    require_finite_metrics(checkpoint.metrics)?;
    let weights = weights::to_bytes(checkpoint.net.parameters(), &folder.join(WEIGHTS))?;
    let manifest = describe(checkpoint, &weights);

    let manifest_json = pretty_json(&manifest);
    let report_json = pretty_json(&checkpoint.report);
    let card = model_card(&manifest, checkpoint.report);
    let mut files: Vec<(&str, &[u8])> = vec![
        (WEIGHTS, &weights),
        (MANIFEST, manifest_json.as_bytes()),
        (REPORT, report_json.as_bytes()),
        (CARD, card.as_bytes()),
    ];
    for &(name, bytes) in checkpoint.attachments {
        if Path::new(name).file_name() != Some(name.as_ref()) || files.iter().any(|&(taken, _)| taken == name) {
            return Err(CheckpointError::AttachmentName { name: name.into() }.into());
        }
        files.push((name, bytes));
    }
    let refused = |source| CheckpointError::Write { path: folder.into(), source };
    atomic::write_folder(folder, &files).map_err(refused)?;
    Ok(manifest)
}

/// Reads a checkpoint folder, with parameters of type `dtype` on `device`.
///
/// Checked on the way: lengths before reading, the manifest's format and fields, the checksum of the weights, names,
/// shapes and types against the manifest, all values finite, and the net against the manifest.
///
/// # Errors
/// Any [`CheckpointError`] about reading; each names the file and the rule.
pub fn load(folder: &Path, device: &Device, dtype: DType) -> Result<Checkpoint> {
    let manifest = manifest(folder)?;
    let report = parse(&folder.join(REPORT), &read(&folder.join(REPORT), MAX_JSON_BYTES)?)?;

    let path = folder.join(WEIGHTS);
    let bytes = read(&path, weights::max_file_bytes(&manifest.parameters))?;
    require_checksum(&path, &bytes, &manifest.weights_sha256)?;
    let parameters = Parameters::new(weights::from_bytes(&bytes, &manifest.parameters, &path)?);
    let net = build_net(&manifest, parameters.to(device, dtype)?, &folder.join(MANIFEST))?;
    Ok(Checkpoint { manifest, net, report })
}

/// Reads what a checkpoint folder says about itself, and nothing else.
///
/// # Errors
/// If there is no folder, or its manifest is missing, of another format, or no manifest.
pub fn manifest(folder: &Path) -> Result<Manifest> {
    if !folder.is_dir() {
        return Err(CheckpointError::NoFolder { path: folder.into() }.into());
    }
    Ok(read_manifest(&folder.join(MANIFEST))?)
}

/// Reads an attachment of a checkpoint whose manifest is known, and verifies its checksum.
///
/// # Errors
/// If the checkpoint has no such attachment, it is longer than `max_bytes`, or it is not the one that was saved.
pub fn attachment(folder: &Path, manifest: &Manifest, name: &str, max_bytes: u64) -> Result<Vec<u8>> {
    let path = folder.join(name);
    let Some(expected) = manifest.attachments.get(name) else {
        return Err(CheckpointError::NoFile { path }.into());
    };
    let bytes = read(&path, max_bytes)?;
    require_checksum(&path, &bytes, expected)?;
    Ok(bytes)
}

fn require_checksum(path: &Path, bytes: &[u8], expected: &str) -> Result<(), CheckpointError> {
    let found = hexadecimal_sha256(bytes);
    if found == expected {
        return Ok(());
    }
    Err(CheckpointError::Checksum { path: path.into(), bytes: bytes.len(), expected: expected.into(), found })
}

fn describe(checkpoint: &NewCheckpoint, weights: &[u8]) -> Manifest {
    let net = checkpoint.net;
    Manifest {
        format: FORMAT,
        backbone: net.backbone_name().into(),
        input: net.input(),
        embedding_dim: net.dim(),
        config: checkpoint.config.clone(),
        seed: checkpoint.seed,
        steps: checkpoint.steps,
        defense: checkpoint.defense.into(),
        dataset: checkpoint.dataset.clone(),
        metrics: checkpoint.metrics.clone(),
        warnings: checkpoint.warnings.to_vec(),
        created: checkpoint.created,
        parameters: net.parameters().iter().map(|(name, tensor)| (name.into(), tensor.dims().to_vec())).collect(),
        weights_sha256: hexadecimal_sha256(weights),
        attachments: checkpoint
            .attachments
            .iter()
            .map(|&(name, file)| (name.into(), hexadecimal_sha256(file)))
            .collect(),
    }
}

/// Saving deletes what is there, so a mistyped path must not cost anybody their pictures.
fn require_replaceable(folder: &Path) -> Result<(), CheckpointError> {
    let refused = |source| CheckpointError::Read { path: folder.into(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.and_then(Iterator::collect::<std::io::Result<Vec<_>>>).map_err(refused)?,
    };
    let alien = |found| Err(CheckpointError::NotReplaceable { path: folder.into(), found });
    for entry in &entries {
        if entry.file_type().map_err(refused)?.is_dir() {
            return alien(format!("the folder {}", entry.file_name().display()));
        }
    }
    if !entries.is_empty() && !entries.iter().any(|entry| entry.file_name() == MANIFEST) {
        return alien(format!("files but no {MANIFEST}"));
    }
    Ok(())
}

fn require_finite_metrics(metrics: &BTreeMap<String, f64>) -> Result<(), CheckpointError> {
    let Some((name, &value)) = metrics.iter().find(|(_, value)| !value.is_finite()) else { return Ok(()) };
    Err(CheckpointError::MetricNotFinite { name: name.clone(), value })
}

fn read_manifest(path: &Path) -> Result<Manifest, CheckpointError> {
    let json: Value = parse(path, &read(path, MAX_JSON_BYTES)?)?;
    // The format comes first: a later one may have other fields.
    if let Some(found) = json.get("format").and_then(Value::as_u64).filter(|&format| format != u64::from(FORMAT)) {
        return Err(CheckpointError::Format { path: path.into(), found, known: FORMAT });
    }
    serde_json::from_value(json).map_err(|source| CheckpointError::Json { path: path.into(), source })
}

fn build_net(manifest: &Manifest, parameters: Parameters, path: &Path) -> Result<EmbeddingNet> {
    let net = EmbeddingNet::new(&manifest.backbone, parameters)
        .and_then(|net| net.packed())
        .map_err(|source| CheckpointError::Net { path: path.into(), source: Box::new(source) })?;
    let contradiction =
        |what, stated, actual| CheckpointError::Contradiction { path: path.into(), what, stated, actual };
    let usual = net.input();
    let net = net
        .with_input(manifest.input)
        .map_err(|_| contradiction("input", manifest.input.to_string(), usual.to_string()))?;
    if net.dim() != manifest.embedding_dim {
        let (stated, actual) = (manifest.embedding_dim.to_string(), net.dim().to_string());
        return Err(contradiction("embedding dimension", stated, actual).into());
    }
    Ok(net)
}

fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, CheckpointError> {
    let refused = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => CheckpointError::NoFile { path: path.into() },
        _ => CheckpointError::Read { path: path.into(), source },
    };
    let file = File::open(path).map_err(refused)?;
    let bytes = file.metadata().map_err(refused)?.len();
    if bytes > max_bytes {
        return Err(CheckpointError::TooLong { path: path.into(), bytes, max_bytes });
    }
    let mut content = Vec::new();
    // The file may grow while it is read.
    file.take(max_bytes).read_to_end(&mut content).map_err(refused)?;
    Ok(content)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, CheckpointError> {
    serde_json::from_slice(bytes).map_err(|source| CheckpointError::Json { path: path.into(), source })
}

fn pretty_json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).expect("manifests and reports have string keys. This is a bug.");
    text + "\n"
}

pub(crate) fn hexadecimal_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail. This is a bug.");
        text
    })
}
