//! Numbers of the reference implementation are of use only where a test compares with them.

use crate::architecture::{sources, workspace};
use holdfast_model::testing::golden_dir;
use std::collections::BTreeSet;
use std::path::Path;

/// The names of the golden files in a folder, without their ending.
fn fixtures(folder: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let golden = files.filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    golden.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Those of the names that no test of any crate opens.
fn unused(fixtures: &BTreeSet<String>) -> Vec<String> {
    let crates = ["ops", "model", "attack", "trainer"].map(|name| workspace().join(name).join("tests"));
    // The net that all files were made with is opened by what tests of several crates share.
    let shared = workspace().join("model/src/testing.rs");
    let files = crates.iter().flat_map(|folder| sources(folder)).chain([shared]);
    let tests: String = files.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let is_unused =
        |name: &&String| !tests.contains(&format!("\"{name}\"")) && !tests.contains(&format!("/{name}.safetensors\""));
    fixtures.iter().filter(is_unused).cloned().collect()
}

#[test]
fn every_golden_file_is_compared_with() {
    let all: BTreeSet<String> =
        [golden_dir(), workspace().join("tests/golden")].iter().flat_map(|folder| fixtures(folder)).collect();

    assert!(all.len() > 20, "{all:?}");
    assert_eq!(unused(&all), Vec::<String>::new());
}

#[test]
fn a_golden_file_that_no_test_opens_is_found() {
    let name = "defense_of_nobody".to_owned();

    assert_eq!(unused(&BTreeSet::from([name.clone(), "defense_act".to_owned()])), [name]);
}
