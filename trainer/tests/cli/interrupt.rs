//! Ctrl-C.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use candle_core::{DType, Device};
use holdfast_model::checkpoint;
use tempfile::TempDir;

use crate::{fail, nets, program};

#[test]
fn ctrl_c_leaves_a_valid_checkpoint() {
    let out = TempDir::new().unwrap();
    let net = out.path().join("net");
    let config = nets().path("config.toml");
    let arguments = ["train", "--config", &config, "--set", "steps=100000", "--set", "log_every=1", "--out"];
    let mut child = program().args(arguments).arg(&net).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line.starts_with("step 1/")));

    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    // The pipe stays open until the end, so that the program can go on telling.
    let rest: Vec<String> = told.collect();

    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest:?}");
    let loaded = checkpoint::load(&net, &Device::Cpu, DType::F32).unwrap();
    assert!((1..100_000).contains(&loaded.manifest.steps));
    assert!(loaded.report.is_none());
    let unmeasured = fail(&["compare", &net.display().to_string()]);
    assert!(unmeasured.contains("was not evaluated"), "{unmeasured}");
}
