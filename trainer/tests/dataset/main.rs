//! Data sets from files: what is read, how it is split, and what is said about files that cannot be used.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod batches;
mod folder;
mod idx;

use std::path::Path;

use holdfast_model::InputShape;
use holdfast_trainer::config::DataConfig;
use holdfast_trainer::dataset::{self, DatasetError, Splits};

const COLOUR: InputShape = InputShape { channels: 3, height: 8, width: 8 };

fn load(path: &Path, input: InputShape) -> Result<Splits, DatasetError> {
    let data = DataConfig { path: Some(path.into()), ..DataConfig::default() };
    dataset::load(&data, input, &|_, _| {})
}

fn complaint(path: &Path, input: InputShape) -> String {
    load(path, input).unwrap_err().to_string()
}
