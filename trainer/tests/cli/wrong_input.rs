//! Wrong input: exit code 2 and one message that says what to do.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{fail, nets};

fn copied(checkpoint: &str) -> TempDir {
    let copy = TempDir::new().unwrap();
    for entry in fs::read_dir(checkpoint).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[test]
fn a_wrong_configuration_is_told_with_its_file() {
    let (config, broken, out) = (nets().path("config.toml"), nets().path("broken.toml"), nets().path("never"));
    fs::write(&broken, "stepz = 3").unwrap();
    let train =
        |config: &str, extra: &[&str]| fail(&[&["train", "--config", config, "--out", &out][..], extra].concat());

    let unknown_key = train(&broken, &[]);
    assert!(unknown_key.contains("broken.toml") && unknown_key.contains("`stepz`"), "{unknown_key}");
    let unknown_override = train(&config, &["--set", "defense.colour=red"]);
    assert!(unknown_override.contains("colour"), "{unknown_override}");
    let problems = train(&config, &["--set", "steps=0", "pairs=0"]);
    assert!(problems.contains("steps") && problems.contains("pairs"), "{problems}");
    assert!(train("nowhere.toml", &[]).contains("nowhere.toml"));
    assert!(train(&config, &["--set", "steps"]).contains("KEY=VALUE"));
    assert!(train(&config, &["--device", "abacus"]).contains("abacus"));
    assert!(!Path::new(&out).exists());
}

#[test]
fn missing_data_is_told_with_its_place() {
    let (config, out) = (nets().path("config.toml"), nets().path("never"));

    let message = fail(&["train", "--config", &config, "--out", &out, "--data", "/nowhere/at/all"]);

    assert!(message.contains("/nowhere/at/all") && message.contains("does not exist"), "{message}");
}

#[test]
fn training_refuses_a_folder_of_other_files_before_it_begins() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
    let out = folder.path().display().to_string();

    let message = fail(&["train", "--config", &nets().path("config.toml"), "--out", &out]);

    assert!(message.contains(&out) && !message.contains("step 1/"), "{message}");
    assert!(folder.path().join("thesis.txt").exists());
}

#[test]
fn a_checkpoint_that_is_missing_or_damaged_is_never_measured() {
    let missing = fail(&["evaluate", "--checkpoint", "/nowhere/net"]);
    assert!(missing.contains("/nowhere/net"), "{missing}");

    let copy = copied(&nets().path("robust"));
    let weights = copy.path().join("weights.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let flipped = fail(&["evaluate", "--checkpoint", &copy.path().display().to_string()]);
    assert!(flipped.contains("weights.safetensors") && flipped.contains("sha256"), "{flipped}");
}

#[test]
fn weights_that_are_not_numbers_are_named_although_their_checksum_is_right() {
    let copy = copied(&nets().path("robust"));
    let (weights, manifest) = (copy.path().join("weights.safetensors"), copy.path().join("manifest.json"));
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&weights, &bytes).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&manifest).unwrap()).unwrap();
    let sum = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json["weights_sha256"] = sum.into();
    fs::write(&manifest, json.to_string()).unwrap();

    let message = fail(&["evaluate", "--checkpoint", &copy.path().display().to_string()]);

    assert!(message.contains("NaN") && message.contains("weights must be finite"), "{message}");
}

#[test]
fn a_gallery_too_small_for_an_attack_says_how_large_it_must_be() {
    let message = fail(&["evaluate", "--checkpoint", &nets().path("robust"), "--attacks", "SPQA-"]);

    assert!(message.contains("SPQA-") && message.contains("at least 600 items"), "{message}");
}

#[test]
fn options_that_make_no_sense_list_the_choices() {
    let robust = nets().path("robust");
    let evaluate = |option: &[&str]| fail(&[&["evaluate", "--checkpoint", &robust][..], option].concat());

    assert!(evaluate(&["--attacks", "XYZ"]).contains("QA+"));
    assert!(evaluate(&["--profile", "rob32"]).contains("rob28"));
    assert!(evaluate(&["--profile", "nowhere/mine.toml"]).contains("nowhere/mine.toml"));
    assert!(evaluate(&["--conformance", "loose"]).contains("`corrected`"));
    assert!(evaluate(&["--limit", "none"]).contains("--limit"));
    let both = evaluate(&["--limit", "0", "--attacks", "XYZ"]);
    assert!(both.contains("2 problem(s)") && both.contains("queries") && both.contains("XYZ"), "{both}");
    assert!(evaluate(&["--out", "/nowhere/report.json"]).contains("no folder /nowhere"));
    assert!(fail(&["compare", "/nowhere/report.json"]).contains("/nowhere/report.json"));
    assert!(fail(&["export", "--out", &robust]).contains("not empty"));
    let (greedy, config) = (nets().path("greedy"), nets().path("config.toml"));
    assert!(fail(&["export", "--config", &config, "--out", &greedy, "--gallery", "99999"]).contains("there are only"));
}
