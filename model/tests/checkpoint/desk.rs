//! The world of these tests: a small net, what goes into its checkpoint, and a folder for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use holdfast_model::checkpoint::{Checkpoint, DatasetFingerprint, NewCheckpoint, load, save};
use holdfast_model::{EmbeddingNet, Parameters};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A c2f2 with few parameters, so that every byte of its file can be damaged in turn.
fn small_net() -> EmbeddingNet {
    net_of(&[
        ("conv1.weight", &[1, 1, 5, 5]),
        ("conv1.bias", &[1]),
        ("conv2.weight", &[1, 1, 5, 5]),
        ("conv2.bias", &[1]),
        ("fc1.weight", &[3, 49]),
        ("fc1.bias", &[3]),
        ("fc2.weight", &[2, 3]),
        ("fc2.bias", &[2]),
    ])
}

fn net_of(shapes: &[(&str, &[usize])]) -> EmbeddingNet {
    let tensor = |shape: &[usize]| {
        let values = (0..shape.iter().product::<usize>()).map(|at| ((at * 37 % 19) as f32 - 8.5) / 30.0).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    let tensors = shapes.iter().map(|(name, shape)| (name.to_string(), tensor(shape))).collect();
    EmbeddingNet::new("c2f2", Parameters::new(tensors)).unwrap()
}

/// A folder for checkpoints, what goes into one, and its path.
pub struct Desk {
    pub root: TempDir,
    pub net: EmbeddingNet,
    config: Value,
    dataset: DatasetFingerprint,
    pub metrics: BTreeMap<String, f64>,
    pub report: Value,
}

impl Desk {
    pub fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            net: small_net(),
            config: json!({ "steps": 300, "defense": { "name": "vanilla" } }),
            dataset: DatasetFingerprint { name: "toy-shop".into(), sha256: "ab".repeat(32), pictures: 60, classes: 6 },
            metrics: [("r@1".to_string(), 80.25)].into(),
            report: json!({ "recall_at_1": 80.25 }),
        }
    }

    pub fn folder(&self) -> PathBuf {
        self.root.path().join("net")
    }

    pub fn checkpoint(&self) -> NewCheckpoint<'_> {
        NewCheckpoint {
            net: &self.net,
            config: &self.config,
            seed: 7,
            steps: 300,
            defense: "vanilla",
            dataset: &self.dataset,
            metrics: &self.metrics,
            warnings: &[],
            created: "2025-01-02T03:04:05Z".parse().unwrap(),
            report: Some(&self.report),
            attachments: &[],
        }
    }

    pub fn saved(self) -> Self {
        save(&self.folder(), &self.checkpoint()).unwrap();
        self
    }

    pub fn load(&self) -> holdfast_model::Result<Checkpoint> {
        load(&self.folder(), &Device::Cpu, DType::F32)
    }

    /// The message of the error that loading ends in.
    pub fn refusal(&self) -> String {
        match self.load() {
            Ok(_) => panic!("the checkpoint was accepted"),
            Err(error) => error.to_string(),
        }
    }

    pub fn edit_manifest(&self, edit: impl FnOnce(&mut Value)) {
        let path = self.folder().join("manifest.json");
        let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut manifest);
        fs::write(path, manifest.to_string()).unwrap();
    }

    /// Puts other weights into the folder, with the checksum that belongs to them.
    pub fn forge_weights(&self, bytes: &[u8]) {
        fs::write(self.folder().join("weights.safetensors"), bytes).unwrap();
        let checksum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.edit_manifest(|manifest| manifest["weights_sha256"] = checksum.into());
    }

    pub fn weights(&self) -> Vec<u8> {
        fs::read(self.folder().join("weights.safetensors")).unwrap()
    }
}

/// Asserts that every part stands in the message.
pub fn mentions(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "\"{part}\" is missing from: {message}");
    }
}
