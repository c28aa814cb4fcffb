//! From arguments to pictures: what all commands that read data have in common.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use holdfast_model::InputShape;
use holdfast_trainer::config::{DataConfig, TrainConfig};
use holdfast_trainer::dataset::{self, Splits};

use crate::progress::Loading;

/// Unreadable pictures that are named one by one; the others are only counted.
const NAMED: usize = 5;

/// Which pictures.
#[derive(Args, Debug)]
pub struct DataArguments {
    /// Folder with the pictures: Fashion-MNIST's four idx files, or one folder a class with pictures in it. Without it,
    /// the data of the configuration; without that, the procedural toy shop.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,

    /// Configuration file of a training run, whose [data] table is used.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl DataArguments {
    /// The data asked for: that of `--config`, or else `fallback`; moved to `--data`.
    ///
    /// # Errors
    /// If the configuration file cannot be read or makes no sense.
    pub fn resolve(&self, fallback: DataConfig) -> anyhow::Result<DataConfig> {
        let mut data = match &self.config {
            Some(file) => {
                let config = read_config(file, &[])?;
                config.validate()?;
                config.data
            }
            None => fallback,
        };
        if let Some(path) = &self.data {
            point_at(&mut data, path);
        }
        Ok(data)
    }
}

/// Reads a configuration file, with overrides; not yet validated.
///
/// # Errors
/// If the file cannot be read, or does not describe a training run.
pub fn read_config(file: &Path, overrides: &[(&str, &str)]) -> anyhow::Result<TrainConfig> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read the configuration {}", file.display()))?;
    TrainConfig::from_toml(&text, overrides).with_context(|| format!("in the configuration {}", file.display()))
}

/// Moves a data configuration to another folder, whose format is then told from its content.
pub fn point_at(data: &mut DataConfig, path: &Path) {
    data.path = Some(path.to_path_buf());
    data.format = DataConfig::default().format;
}

/// Loads pictures with a progress bar and says what was loaded and what was left out.
///
/// # Errors
/// As [`dataset::load`].
pub fn load(data: &DataConfig, input: InputShape) -> anyhow::Result<Splits> {
    let loading = Loading::new();
    let splits = dataset::load(data, input, &|done, all| loading.observe(done, all)).context("loading the pictures")?;
    loading.finish(&splits);
    for note in &splits.notes {
        eprintln!("note: {note}");
    }
    if !splits.skipped.is_empty() {
        eprintln!("{} pictures could not be used and are left out:", splits.skipped.len());
        for picture in splits.skipped.iter().take(NAMED) {
            eprintln!("  {}: {}", picture.path.display(), picture.reason);
        }
        if splits.skipped.len() > NAMED {
            eprintln!("  … and {} more", splits.skipped.len() - NAMED);
        }
    }
    Ok(splits)
}
