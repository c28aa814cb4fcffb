//! Data sets from files: what is read, how it is split, and what is said about files that cannot be used.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod batches;
mod cars;
mod cub;
mod folder;
mod formats;
mod grocery;
mod idx;
mod manifest;
mod mat;
mod online_products;

use std::fs;
use std::path::Path;

use holdfast_model::InputShape;
use holdfast_trainer::config::DataConfig;
use holdfast_trainer::dataset::{self, Dataset, DatasetError, Splits};
use image::{Rgb, RgbImage};

const COLOUR: InputShape = InputShape { channels: 3, height: 8, width: 8 };

fn load(path: &Path, input: InputShape) -> Result<Splits, DatasetError> {
    let data = DataConfig { path: Some(path.into()), ..DataConfig::default() };
    dataset::load(&data, input, &|_, _| {})
}

fn complaint(path: &Path, input: InputShape) -> String {
    load(path, input).unwrap_err().to_string()
}

/// Writes a small picture in the format of its name, with the folders above it.
fn photograph(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(12, 9, Rgb([120, 80, 40])).save(path).unwrap();
}

/// The file name and the class of each picture, sorted.
fn contents(dataset: &Dataset) -> Vec<(String, &str)> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let class = |&label: &u32| dataset.classes[label as usize].as_str();
    let mut contents: Vec<_> =
        dataset.files.iter().map(|path| name(path)).zip(dataset.labels.iter().map(class)).collect();
    contents.sort_unstable();
    contents
}
