//! What a saved folder holds, what it replaces, and what is not saved.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use holdfast_model::checkpoint::{Manifest, NewCheckpoint, attachment, load, save};
use holdfast_model::testing::assert_tensors_close;
use holdfast_model::{Embedder, EmbeddingNet, Parameters};

use crate::desk::{Desk, mentions};

#[test]
fn what_was_saved_comes_back() {
    let desk = Desk::new();
    let manifest = save(&desk.folder(), &desk.checkpoint()).unwrap();

    let loaded = desk.load().unwrap();

    assert_eq!(loaded.manifest, manifest);
    assert_eq!(loaded.report, Some(desk.report.clone()));
    assert_eq!((manifest.backbone.as_str(), manifest.embedding_dim), ("c2f2", 2));
    assert_eq!(manifest.parameters["fc1.weight"], [3, 49]);
    let pairs = loaded.net.parameters().iter().zip(desk.net.parameters().iter());
    for ((name, got), (want_name, want)) in pairs {
        assert_eq!(name, want_name);
        assert_tensors_close(name, got, want, 0.0);
    }
}

#[test]
fn weights_load_as_double_precision_too() {
    let desk = Desk::new().saved();

    let net = load(&desk.folder(), &Device::Cpu, DType::F64).unwrap().net;

    assert_eq!(net.dtype(), DType::F64);
    for (name, tensor) in net.parameters().iter() {
        assert_tensors_close(
            name,
            &tensor.to_dtype(DType::F32).unwrap(),
            desk.net.parameters().get(name).unwrap(),
            0.0,
        );
    }
}

#[test]
fn the_weights_are_a_plain_safetensors_file_under_pytorchs_names() {
    let desk = Desk::new().saved();

    let tensors = candle_core::safetensors::load(desk.folder().join("weights.safetensors"), &Device::Cpu).unwrap();

    assert_eq!(tensors.len(), 8);
    assert_eq!(
        (tensors["conv1.weight"].dims(), tensors["conv1.weight"].dtype()),
        ([1, 1, 5, 5].as_slice(), DType::F32)
    );
}

#[test]
fn a_net_that_was_not_evaluated_has_no_report() {
    let desk = Desk::new();
    save(&desk.folder(), &NewCheckpoint { report: None, ..desk.checkpoint() }).unwrap();

    assert_eq!(desk.load().unwrap().report, None);
    assert!(desk.folder().join("report.json").exists(), "the four files are always there");
}

#[test]
fn attachments_and_the_model_card_lie_beside_the_weights() {
    let desk = Desk::new();
    let attachments: &[(&str, &[u8])] = &[("curves.svg", b"<svg/>")];

    save(&desk.folder(), &NewCheckpoint { attachments, ..desk.checkpoint() }).unwrap();

    assert_eq!(fs::read(desk.folder().join("curves.svg")).unwrap(), b"<svg/>");
    mentions(&fs::read_to_string(desk.folder().join("README.md")).unwrap(), &["c2f2 trained on toy-shop", "80.250"]);
}

#[test]
fn attachments_are_verified_when_they_are_read() {
    let desk = Desk::new();
    let attachments: &[(&str, &[u8])] = &[("log.jsonl", b"{}")];
    let manifest = save(&desk.folder(), &NewCheckpoint { attachments, ..desk.checkpoint() }).unwrap();
    let read = |name, limit| attachment(&desk.folder(), &manifest, name, limit);

    assert_eq!(read("log.jsonl", 2).unwrap(), b"{}");
    mentions(&read("log.jsonl", 1).unwrap_err().to_string(), &["log.jsonl", "2 bytes"]);
    mentions(&read("other", 9).unwrap_err().to_string(), &["lacks the file", "other"]);
    fs::write(desk.folder().join("log.jsonl"), "[]").unwrap();
    mentions(&read("log.jsonl", 9).unwrap_err().to_string(), &["log.jsonl", "sha256"]);
}

#[test]
fn attachments_stay_inside_the_folder_and_off_its_files() {
    let desk = Desk::new();
    for name in ["../outside", "a/b", "", "..", "manifest.json"] {
        let attachments: &[(&str, &[u8])] = &[(name, b"x")];

        let error = save(&desk.folder(), &NewCheckpoint { attachments, ..desk.checkpoint() }).unwrap_err();

        mentions(&error.to_string(), &[&format!("\"{name}\"")]);
        assert!(!desk.folder().exists());
    }
}

#[test]
fn saving_again_replaces_the_folder_whole() {
    let desk = Desk::new();
    let attachments: &[(&str, &[u8])] = &[("curves.svg", b"<svg/>")];
    save(&desk.folder(), &NewCheckpoint { attachments, ..desk.checkpoint() }).unwrap();

    save(&desk.folder(), &NewCheckpoint { steps: 600, ..desk.checkpoint() }).unwrap();

    assert_eq!(desk.load().unwrap().manifest.steps, 600);
    assert!(!desk.folder().join("curves.svg").exists());
    assert_eq!(fs::read_dir(desk.root.path()).unwrap().count(), 1, "no temporary folder is left");
}

#[test]
fn saving_never_deletes_what_is_no_checkpoint() {
    let desk = Desk::new();
    fs::create_dir(desk.folder()).unwrap();
    save(&desk.folder(), &desk.checkpoint()).expect("an empty folder is fine");
    fs::create_dir(desk.folder().join("pictures")).unwrap();

    let with_folder = save(&desk.folder(), &desk.checkpoint()).unwrap_err();
    fs::write(desk.root.path().join("thesis.tex"), "years of work").unwrap();
    fs::remove_dir_all(desk.folder()).unwrap();
    let with_file = save(desk.root.path(), &desk.checkpoint()).unwrap_err();

    mentions(&with_folder.to_string(), &["the folder pictures", "not a checkpoint"]);
    mentions(&with_file.to_string(), &["no manifest.json", "not a checkpoint"]);
    assert!(desk.root.path().join("thesis.tex").exists());
}

#[test]
fn numbers_that_are_not_finite_are_not_saved() {
    let mut desk = Desk::new();
    desk.metrics.insert("r@2".into(), f64::NAN);
    mentions(&save(&desk.folder(), &desk.checkpoint()).unwrap_err().to_string(), &["\"r@2\" is NaN"]);

    let mut desk = Desk::new();
    let mut tensors: BTreeMap<_, _> =
        desk.net.parameters().iter().map(|(name, t)| (name.to_string(), t.clone())).collect();
    tensors.insert("fc2.bias".into(), Tensor::new(&[0.0, f32::INFINITY], &Device::Cpu).unwrap());
    desk.net = EmbeddingNet::new("c2f2", Parameters::new(tensors)).unwrap();
    mentions(
        &save(&desk.folder(), &desk.checkpoint()).unwrap_err().to_string(),
        &["\"fc2.bias\"", "inf at flat position 1"],
    );
    assert!(!desk.folder().exists());
}

#[test]
fn a_reader_beside_a_writer_sees_only_whole_checkpoints() {
    let desk = Desk::new().saved();
    let folder: &Path = &desk.folder();
    let manifest_of = |folder: &Path| -> Manifest {
        serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap()
    };

    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for steps in 0..20 {
                save(folder, &NewCheckpoint { steps, ..desk.checkpoint() }).unwrap();
            }
        });
        while !writer.is_finished() {
            manifest_of(folder);
        }
    });

    assert_eq!(manifest_of(folder).steps, 19);
}
