//! A paused run as files beside the net's weights, to the last bit.
//!
//! `training.safetensors` holds what must not be rounded: the optimizer's moments (`first.NAME`, `second.NAME`) and the
//! numbers of the defense as f64 (`defense.NAME`). `training.json` holds the rest, a [`Record`]. The log is `log.jsonl`,
//! one JSON object a step. A checkpoint's manifest holds the checksums of all three.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use holdfast_model::EmbeddingNet;
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::optimizer::Moments;
use crate::probe::Probe;
use crate::step_log::StepLog;
use crate::train::TrainingState;

/// The file of the tensors.
pub const TENSORS: &str = "training.safetensors";
/// The file of the [`Record`].
pub const RECORD: &str = "training.json";
/// The file of the log.
pub const LOG: &str = "log.jsonl";
/// The version of these files that this program writes and reads.
const FORMAT: u32 = 1;

/// What is known of a run beside its tensors and its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of the files.
    pub format: u32,
    /// Steps made.
    pub steps: usize,
    /// The configuration as TOML: what JSON readers make of a number may be another one in its last bit.
    pub config: String,
    /// How many words of its stream the miner has drawn, in decimal: more than a JSON number holds.
    pub mining_position: String,
    /// What was seen of the net on held-out pictures.
    pub probes: Vec<Probe>,
    /// Where the run went back and on with an easier attack.
    pub softened: Vec<Softened>,
    /// Where the run ended by a collapse, after the net of this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<usize>,
}

/// A run that collapsed went back to an earlier step, and on with fewer steps of the inner attack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softened {
    /// Where the collapse was seen.
    pub collapsed_at: usize,
    /// Where the run went on from.
    pub back_to: usize,
    /// Steps of the inner attack from then on.
    pub attack_steps: usize,
}

impl Record {
    /// The record of a run in this state.
    #[must_use]
    pub fn new(state: &TrainingState, config: &TrainConfig, probes: &[Probe], softened: &[Softened]) -> Self {
        Self {
            format: FORMAT,
            steps: state.log.len(),
            config: toml::to_string(config).expect("a configuration is a TOML table. This is a bug."),
            mining_position: state.mining_position.to_string(),
            probes: probes.to_vec(),
            softened: softened.to_vec(),
            ended_at: None,
        }
    }

    /// The configuration, with overrides of single values.
    ///
    /// # Errors
    /// As [`TrainConfig::from_toml`].
    pub fn config(&self, overrides: &[(&str, &str)]) -> Result<TrainConfig> {
        TrainConfig::resolved_from_toml(&self.config, overrides)
    }

    /// Reads `training.json`.
    ///
    /// # Errors
    /// If it is no record, or of another format.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let unreadable = |detail: String| Error::UnreadableState { file: RECORD, detail };
        let record: Self = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        if record.format != FORMAT {
            return Err(unreadable(format!("its format is {}, and this program reads format {FORMAT}", record.format)));
        }
        Ok(record)
    }
}

/// The bytes of `training.safetensors`.
///
/// # Errors
/// If a tensor cannot be brought to the CPU.
pub fn tensors_to_bytes(state: &TrainingState) -> Result<Vec<u8>> {
    let mut tensors = BTreeMap::new();
    for (name, moments) in &state.moments {
        tensors.insert(format!("first.{name}"), moments.first.to_device(&Device::Cpu)?);
        tensors.insert(format!("second.{name}"), moments.second.to_device(&Device::Cpu)?);
    }
    for (name, value) in &state.defense {
        tensors.insert(format!("defense.{name}"), Tensor::new(&[*value], &Device::Cpu)?);
    }
    Ok(safetensors::serialize(tensors, None).map_err(candle_core::Error::from)?)
}

/// The bytes of `log.jsonl`.
#[must_use]
pub fn log_to_bytes(log: &[StepLog]) -> Vec<u8> {
    let line = |step| serde_json::to_string(step).expect("a step's log has string keys. This is a bug.") + "\n";
    log.iter().map(line).collect::<String>().into_bytes()
}

/// The state in the three files, for the net that lay beside them.
///
/// # Errors
/// If a file is not what its name says, or they contradict each other.
pub fn from_bytes(net: EmbeddingNet, tensors: &[u8], log: &[u8], record: &Record) -> Result<TrainingState> {
    let log = read_log(log)?;
    let unreadable = |file, detail: String| Error::UnreadableState { file, detail };
    if log.len() != record.steps {
        return Err(unreadable(LOG, format!("it has {} steps, and {RECORD} says {}", log.len(), record.steps)));
    }
    let position = record.mining_position.parse();
    let mining_position =
        position.map_err(|_| unreadable(RECORD, format!("mining_position is \"{}\"", record.mining_position)))?;
    let mut tensors = candle_core::safetensors::load_buffer(tensors, &Device::Cpu)
        .map_err(|error| unreadable(TENSORS, error.to_string()))?;
    Ok(TrainingState {
        net: Arc::new(net),
        moments: moments(&mut tensors)?,
        mining_position,
        defense: defense(&tensors)?,
        log,
    })
}

fn read_log(bytes: &[u8]) -> Result<Vec<StepLog>> {
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines
        .zip(1..)
        .map(|(line, number)| match serde_json::from_slice::<StepLog>(line) {
            Ok(step) if step.step == number => Ok(step),
            Ok(step) => {
                Err(Error::UnreadableState { file: LOG, detail: format!("line {number} is of step {}", step.step) })
            }
            Err(error) => Err(Error::UnreadableState { file: LOG, detail: format!("line {number}: {error}") }),
        })
        .collect()
}

fn moments(tensors: &mut HashMap<String, Tensor>) -> Result<BTreeMap<String, Moments>> {
    let names: Vec<String> = tensors.keys().filter_map(|key| key.strip_prefix("first.")).map(str::to_owned).collect();
    let mut moments = BTreeMap::new();
    for name in names {
        let (first, second) = (tensors.remove(&format!("first.{name}")), tensors.remove(&format!("second.{name}")));
        let (Some(first), Some(second)) = (first, second) else {
            return Err(Error::UnreadableState { file: TENSORS, detail: format!("it has no second.{name}") });
        };
        moments.insert(name, Moments { first, second });
    }
    Ok(moments)
}

fn defense(tensors: &HashMap<String, Tensor>) -> Result<Vec<(String, f64)>> {
    let numbers = tensors.iter().filter_map(|(key, tensor)| Some((key.strip_prefix("defense.")?, tensor)));
    let mut numbers: Vec<(String, f64)> = numbers
        .map(|(name, tensor)| Ok((name.to_owned(), tensor.reshape(())?.to_scalar::<f64>()?)))
        .collect::<Result<_>>()?;
    numbers.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(numbers)
}
