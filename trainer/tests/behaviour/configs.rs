//! The experiments in `configs/train/`, as a user finds them.

use std::fs;
use std::path::Path;

use holdfast_trainer::config::TrainConfig;

/// The name and the text of every file.
fn files() -> Vec<(String, String)> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/train")).unwrap();
    let mut files: Vec<(String, String)> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn every_file_is_an_experiment_that_can_be_run() {
    let files = files();
    assert!(files.len() >= 8, "{files:?}");
    for (name, text) in files {
        let config = TrainConfig::from_toml(&text, &[]).unwrap_or_else(|error| panic!("{name}: {error}"));
        config.validate().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn the_files_of_the_papers_hold_its_schedules() {
    let published = [
        ("fashion.toml", "HM[S,gLGA]&ICS", 3752, 128, 1e-3, 1e-7),
        ("cub.toml", "HM[S,gLGA]&ICS", 7875, 56, 1e-5, 4e-4),
        ("cars.toml", "HM[S,gLGA]&ICS", 10800, 56, 1e-5, 4e-4),
        ("sop.toml", "HM[S,gLGA]&ICS(lambda=0.05)", 79800, 56, 1e-5, 4e-4),
    ];
    let files = files();
    for (file, defense, steps, pairs, learning_rate, weight_decay) in published {
        let (_, text) = files.iter().find(|(name, _)| name == file).unwrap();
        let config = TrainConfig::from_toml(text, &[]).unwrap();

        assert_eq!(config.defense.build().name(), defense, "{file}");
        assert_eq!((config.steps, config.pairs), (steps, pairs), "{file}");
        assert_eq!((config.learning_rate, config.weight_decay), (learning_rate, weight_decay), "{file}");
    }
}

#[test]
fn one_override_selects_another_row_of_the_table() {
    for (_, text) in files() {
        for row in ["N/A[R]", "EST[R]", "ACT[R]", "AMD[R]", "HM[S,M]", "HM[S,gLGA]&ICS(lambda=0.05)", "CA-TRIDE"] {
            let config = TrainConfig::from_toml(&text, &[("defense", row)]).unwrap();

            config.validate().unwrap();
            assert_eq!(config.defense.build().name(), row);
        }
    }
}
