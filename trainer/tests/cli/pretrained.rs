//! Training from published weights.

use std::path::Path;

use candle_core::{DType, Device};
use holdfast_model::checkpoint;
use holdfast_model::testing::assert_tensors_close;

use crate::{fail, nets, succeed};

#[test]
fn training_starts_from_a_weight_file_beside_the_configuration_and_notes_its_checksum() {
    let (config, out) = (nets().path("config.toml"), nets().path("continued"));
    let still = ["steps=1", "learning_rate=1e-9", "weights.file=vanilla/weights.safetensors"];

    succeed(&[&["train", "--config", &config, "--out", &out, "--device", "cpu", "--set"][..], &still].concat());

    let load = |folder: &str| checkpoint::load(Path::new(folder), &Device::Cpu, DType::F32).unwrap();
    let (start, end) = (load(&nets().path("vanilla")), load(&out));
    for (name, tensor) in end.net.parameters().iter() {
        assert_tensors_close(name, tensor, start.net.parameters().get(name).unwrap(), 1e-4);
    }
    let weights = &end.manifest.config["weights"];
    assert_eq!(weights["sha256"].as_str().unwrap(), start.manifest.weights_sha256);
    assert_eq!(weights["file"].as_str().unwrap(), "vanilla/weights.safetensors");
}

#[test]
fn a_net_trains_and_is_measured_at_another_side() {
    let (config, out) = (nets().path("config.toml"), nets().path("small"));
    let small = ["backbone=squeezenet1_1", "input_side=40", "steps=1", "pairs=2", "evaluation.attacks=ES"];

    succeed(&[&["train", "--config", &config, "--out", &out, "--device", "cpu", "--set"][..], &small].concat());

    let manifest = checkpoint::load(Path::new(&out), &Device::Cpu, DType::F32).unwrap().manifest;
    assert_eq!((manifest.input.height, manifest.input.width, manifest.embedding_dim), (40, 40, 512));
}

#[test]
fn weights_that_cannot_be_used_are_refused_before_the_training() {
    let (config, out) = (nets().path("config.toml"), nets().path("never"));
    let train = |values: &[&str]| fail(&[&["train", "--config", &config, "--out", &out, "--set"][..], values].concat());

    let missing = train(&["weights.file=nowhere.safetensors"]);
    assert!(missing.contains(&nets().path("nowhere.safetensors")) && missing.contains("--shared"), "{missing}");
    let other = train(&["weights.file=vanilla/weights.safetensors", "backbone=squeezenet1_1"]);
    assert!(other.contains("are not those of squeezenet1_1: missing: features.0.weight"), "{other}");
    let sha256 = format!("weights.sha256={}", "0".repeat(64));
    let changed = train(&["weights.file=vanilla/weights.safetensors", &sha256]);
    assert!(changed.contains("sha256 checksum"), "{changed}");
    assert!(train(&["weights.file=x", "weights.hub=a/b"]).contains("weights.revision"));
    assert!(!Path::new(&out).exists());
}
