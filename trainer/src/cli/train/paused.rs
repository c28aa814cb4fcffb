//! A run that was stopped or killed, as its checkpoint folder tells it.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use candle_core::{DType, Device};
use holdfast_model::checkpoint::{self, Checkpoint, Manifest};
use holdfast_trainer::config::TrainConfig;
use holdfast_trainer::train::TrainingState;
use holdfast_trainer::training_state::{LOG, RECORD, Record, TENSORS, from_bytes};

/// Longest `training.json` and `log.jsonl` that are read.
const MAX_TEXT_BYTES: u64 = 1 << 30;
/// Longest header of `training.safetensors`, and the defense's numbers.
const MAX_HEADER_BYTES: u64 = 4 << 20;

/// What a run goes on from.
pub struct Paused {
    pub state: TrainingState,
    pub record: Record,
    pub manifest: Manifest,
    /// Whether the net was measured: the run had ended.
    pub measured: bool,
}

/// How far the run of a checkpoint came: its record, or nothing if the checkpoint cannot be gone on from.
pub fn record(folder: &Path) -> Option<Record> {
    let manifest = checkpoint::manifest(folder).ok()?;
    let bytes = checkpoint::attachment(folder, &manifest, RECORD, MAX_TEXT_BYTES).ok()?;
    Record::from_json(&bytes).ok()
}

/// Reads and verifies everything that a run needs to go on.
///
/// # Errors
/// If there is no checkpoint, it has no training state, or a file is not the one that was saved.
pub fn load(folder: &Path, device: &Device) -> anyhow::Result<Paused> {
    let Checkpoint { manifest, net, report } = checkpoint::load(folder, device, DType::F32)?;
    ensure!(
        manifest.attachments.contains_key(RECORD),
        "{} holds a net without the state of its training, so that it cannot be gone on with; it was saved by an older \
         version, or by another program",
        folder.display()
    );
    let read = |name, max_bytes| checkpoint::attachment(folder, &manifest, name, max_bytes);
    let values: usize = manifest.parameters.values().map(|shape| shape.iter().product::<usize>()).sum();
    let tensors = read(TENSORS, (values as u64).saturating_mul(16) + MAX_HEADER_BYTES)?;
    let (record, log) = (Record::from_json(&read(RECORD, MAX_TEXT_BYTES)?)?, read(LOG, MAX_TEXT_BYTES)?);
    let state = from_bytes(net, &tensors, &log, &record)
        .with_context(|| format!("cannot go on with the run in {}", folder.display()))?;
    Ok(Paused { state, record, manifest, measured: report.is_some() })
}

/// Refuses a configuration that would give another result than the one so far, with every key that differs.
///
/// # Errors
/// If a difference matters, or fewer steps are asked for than were made.
pub fn ensure_same_course(now: &TrainConfig, paused: &Paused) -> anyhow::Result<()> {
    let conflicts = now.conflicts(&paused.record.config(&[])?);
    if !conflicts.is_empty() {
        let lines: String = conflicts.iter().map(|conflict| format!("\n  - {conflict}")).collect();
        bail!(
            "the run cannot go on with another configuration, whose result nobody could repeat; start a new one in another \
             folder, or set these keys back:{lines}"
        );
    }
    let made = paused.record.steps;
    ensure!(now.steps >= made, "the run has made {made} steps, and {} are asked for; raise steps", now.steps);
    Ok(())
}
