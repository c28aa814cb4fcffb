//! A net that has collapsed is never passed over in silence.

use std::fs;
use std::path::Path;
use std::process::Output;

use candle_core::{DType, Device};
use holdfast_model::checkpoint::{self, Manifest};
use tempfile::TempDir;

use crate::{nets, run};

/// A learning rate thirty times too high, and enough pictures to see what it does.
fn train(out: &str, on_collapse: &str) -> Output {
    let (config, policy) = (nets().path("config.toml"), format!("on_collapse={on_collapse}"));
    let set = [
        "steps=6",
        "probe_every=2",
        "evaluation.attacks=ES",
        "learning_rate=0.03",
        "defense.source=softhard",
        "pairs=8",
        "data.toy_shop.pictures_per_class=30",
    ];
    let arguments = ["train", "--device", "cpu", "--config", &config, "--out", out, "--set", &policy];
    run(&[&arguments[..], &set].concat())
}

fn told(output: &Output) -> String {
    [&output.stderr[..], &output.stdout].map(String::from_utf8_lossy).concat()
}

fn manifest(net: &str) -> Manifest {
    checkpoint::load(Path::new(net), &Device::Cpu, DType::F32).unwrap().manifest
}

#[test]
fn a_collapsed_net_says_so_in_its_manifest_its_card_and_the_exit_code() {
    let folder = TempDir::new().unwrap();
    let net = folder.path().join("net").display().to_string();

    let output = train(&net, "warn");

    let told = told(&output);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("The net has collapsed"), "{told}");
    let manifest = manifest(&net);
    assert_eq!(manifest.steps, 6);
    assert!(manifest.warnings.iter().any(|warning| warning.contains("has collapsed")), "{:?}", manifest.warnings);
    let card = fs::read_to_string(Path::new(&net).join("README.md")).unwrap();
    assert!(card.contains("> **Warning:** The net has collapsed"), "{card}");
}

#[test]
fn a_run_may_stop_at_a_collapse_with_the_last_sound_net() {
    let folder = TempDir::new().unwrap();
    let net = folder.path().join("net").display().to_string();

    let output = train(&net, "stop");

    let told = told(&output);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("training ends"), "{told}");
    let manifest = manifest(&net);
    assert!(manifest.steps < 6, "{}", manifest.steps);
    assert!(manifest.warnings.iter().any(|warning| warning.contains("training ended")), "{:?}", manifest.warnings);
}

#[test]
fn a_run_may_go_back_and_on_with_an_easier_attack() {
    let folder = TempDir::new().unwrap();
    let net = folder.path().join("net").display().to_string();

    // Two steps of the attack can be halved once; this learning rate collapses with one step too.
    let output = train(&net, "lower_hardness");

    let told = told(&output);
    assert!(told.contains("on with 1 steps of the inner attack"), "{told}");
    assert!(told.contains("no inner attack can be made easier"), "{told}");
    assert_eq!(output.status.code(), Some(3), "{told}");
    let warnings = manifest(&net).warnings;
    assert!(warnings.iter().any(|warning| warning.contains("Training went back to step")), "{warnings:?}");
}
