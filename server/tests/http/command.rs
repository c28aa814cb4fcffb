//! The command line: configurations that are wrong, and what is printed.

use std::path::Path;
use std::process::{Command, Output};

fn holdfast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfast")).args(arguments).env("RUST_BACKTRACE", "1").output().unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = holdfast(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with("error: ") && !error.contains("panicked") && !error.contains("   0: "), "{error}");
    error
}

fn config(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_valid_configuration_is_called_valid() {
    let file = config("checkpoint = \"runs/a\"\n");
    let output = holdfast(&["config", "check", "--config", name(file.path())]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("is valid"), "{output:?}");
}

#[test]
fn all_problems_of_a_configuration_are_told_at_once() {
    let file = config("[monitor]\nsteps = 0\n[search]\nmax_limit = 0\n");
    let error = refused(&["config", "check", "--config", name(file.path())]);
    for problem in ["checkpoint is not set", "monitor.steps", "search.max_limit"] {
        assert!(error.contains(problem), "{problem} is not in: {error}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let file = config("data_dri = \"x\"\n");
    let error = refused(&["serve", "--config", name(file.path())]);
    assert!(error.contains(":1:1: unknown field `data_dri`"), "{error}");
}

#[test]
fn a_missing_configuration_is_named() {
    let error = refused(&["serve", "--config", "/no/such/file.toml"]);
    assert!(error.contains("/no/such/file.toml"), "{error}");
    assert_eq!(error.matches("No such file").count(), 1, "{error}");
}

#[test]
fn an_address_that_others_can_reach_needs_the_word_insecure() {
    let file = config("checkpoint = \"runs/a\"\n");
    let arguments = ["config", "check", "--config", name(file.path()), "--bind", "0.0.0.0:8080"];
    assert!(refused(&arguments).contains("--insecure"));
    assert!(holdfast(&[&arguments[..], &["--insecure"]].concat()).status.success());
}

#[test]
fn a_checkpoint_that_is_missing_is_named() {
    let (file, data) = (config("bind = \"127.0.0.1:0\"\n"), tempfile::tempdir().unwrap());
    let missing = data.path().join("no-checkpoint");
    let arguments =
        ["serve", "--config", name(file.path()), "--checkpoint", name(&missing), "--data-dir", name(data.path())];
    assert!(refused(&arguments).contains("no-checkpoint"));
}

#[test]
fn the_openapi_document_is_printed() {
    let output = holdfast(&["openapi"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["info"]["title"], "Holdfast");
}
