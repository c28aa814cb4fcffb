//! Every way in which a folder is not what it was when it was saved is an error that names the file and the rule.

use std::fs;

use proptest::prelude::*;
use serde_json::json;

use crate::desk::{Desk, mentions};

#[test]
fn a_missing_folder_or_file_is_named() {
    let desk = Desk::new();
    mentions(&desk.refusal(), &["there is no checkpoint folder", "net"]);

    for file in ["manifest.json", "report.json", "weights.safetensors"] {
        let desk = Desk::new().saved();
        fs::remove_file(desk.folder().join(file)).unwrap();

        mentions(&desk.refusal(), &["lacks the file", file]);
    }
}

#[test]
fn a_flipped_byte_anywhere_in_the_weights_breaks_the_checksum() {
    let desk = Desk::new().saved();
    let (path, bytes) = (desk.folder().join("weights.safetensors"), desk.weights());

    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, flipped).unwrap();

        mentions(&desk.refusal(), &["weights.safetensors", "sha256 checksum", "the manifest says"]);
    }
}

#[test]
fn truncated_and_overlong_weights_are_refused() {
    let desk = Desk::new().saved();
    let (path, bytes) = (desk.folder().join("weights.safetensors"), desk.weights());

    for length in [0, 7, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        mentions(&desk.refusal(), &[&format!("({length} bytes)"), "cut short"]);
    }
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    mentions(&desk.refusal(), &["weights.safetensors", "1073741824 bytes", "at most"]);
}

#[test]
fn a_manifest_has_exactly_the_known_fields() {
    let with_extra = Desk::new().saved();
    with_extra.edit_manifest(|manifest| manifest["colour"] = "blue".into());
    let without_seed = Desk::new().saved();
    without_seed.edit_manifest(|manifest| drop(manifest.as_object_mut().unwrap().remove("seed")));
    let no_json = Desk::new().saved();
    fs::write(no_json.folder().join("manifest.json"), "format = 1").unwrap();

    for (desk, rule) in
        [(with_extra, "unknown field `colour`"), (without_seed, "missing field `seed`"), (no_json, "expected")]
    {
        let error = desk.load().map(drop).unwrap_err();
        mentions(&error.to_string(), &["manifest.json"]);
        let holdfast_model::Error::Checkpoint(error) = error else { panic!("{error}") };
        mentions(&std::error::Error::source(&error).unwrap().to_string(), &[rule]);
    }
}

#[test]
fn another_format_is_refused_whatever_its_fields() {
    let desk = Desk::new().saved();
    desk.edit_manifest(|manifest| *manifest = json!({ "format": 2, "nets": [] }));

    mentions(&desk.refusal(), &["manifest.json", "format 2", "reads format 1"]);
}

#[test]
fn weights_and_manifest_must_list_the_same_parameters() {
    let desk = Desk::new().saved();
    desk.edit_manifest(|manifest| manifest["parameters"]["fc3.weight"] = json!([1]));
    mentions(&desk.refusal(), &["weights.safetensors", "lacks the parameter \"fc3.weight\""]);

    let desk = Desk::new().saved();
    desk.edit_manifest(|manifest| drop(manifest["parameters"].as_object_mut().unwrap().remove("fc2.bias")));
    mentions(&desk.refusal(), &["weights.safetensors", "holds the parameter \"fc2.bias\""]);

    let desk = Desk::new().saved();
    desk.edit_manifest(|manifest| manifest["parameters"]["fc1.weight"] = json!([49, 3]));
    mentions(&desk.refusal(), &["\"fc1.weight\"", "[3, 49]", "[49, 3]"]);
}

#[test]
fn forged_weights_with_the_right_checksum_are_refused_all_the_same() {
    let desk = Desk::new().saved();
    let honest = desk.weights();

    let mut long_header = honest.clone();
    long_header[..8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
    desk.forge_weights(&long_header);
    mentions(&desk.refusal(), &["weights.safetensors", "header", "1048576"]);

    let mut not_finite = honest.clone();
    let last = not_finite.len() - 4;
    not_finite[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    desk.forge_weights(&not_finite);
    mentions(&desk.refusal(), &["weights.safetensors", "NaN", "must be finite"]);

    desk.forge_weights(&String::from_utf8_lossy(&honest).replace("F32", "I32").into_bytes()[..]);
    mentions(&desk.refusal(), &["weights.safetensors"]);

    desk.forge_weights(b"no safetensors");
    mentions(&desk.refusal(), &["weights.safetensors", "header"]);
}

#[test]
fn a_net_that_cannot_be_built_or_contradicts_the_manifest_is_refused() {
    for (field, value, parts) in [
        ("backbone", json!("vgg99"), ["manifest.json", "cannot build"]),
        ("embedding_dim", json!(512), ["embedding dimension is 512", "make it 2"]),
        ("input", json!({ "channels": 3, "height": 28, "width": 28 }), ["input is 3, 28, 28", "make it 1, 28, 28"]),
    ] {
        let desk = Desk::new().saved();
        desk.edit_manifest(|manifest| manifest[field] = value);

        mentions(&desk.refusal(), &parts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_damaged_manifest_never_panics(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let desk = Desk::new().saved();
        let path = desk.folder().join("manifest.json");
        let mut bytes = fs::read(&path).unwrap();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        fs::write(&path, bytes).unwrap();

        // A changed word inside the configuration is still a manifest.
        drop(desk.load());
    }
}
