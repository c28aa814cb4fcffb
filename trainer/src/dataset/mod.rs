//! Data sets: pictures with labels, in memory, from idx files, an image folder, or the toy shop.

mod assemble;
mod error;
mod folder;
mod idx;
mod sheet;
pub mod toy_shop;

use std::fmt::Write as _;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use holdfast_model::InputShape;
use holdfast_model::checkpoint::DatasetFingerprint;
use image::{DynamicImage, GrayImage, RgbImage};
use sha2::{Digest, Sha256};

use crate::config::{DataConfig, DataFormat};
pub use error::DatasetError;
pub use sheet::contact_sheet;

/// Told how far loading has come: pictures done, pictures in all. Called from several threads.
pub type Observe<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Pictures of one shape with their classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// What people call it: "fashion-mnist", "toy shop", a folder's name.
    pub name: String,
    /// The shape of one picture.
    pub input: InputShape,
    /// N·C·H·W intensities, 255 for 1; picture by picture, channel by channel, row by row.
    pub pixels: Vec<u8>,
    /// One class index for each picture.
    pub labels: Vec<u32>,
    /// The classes' names; labels index it.
    pub classes: Vec<String>,
    /// The file of each picture, for those who want it larger; empty for data that has no file a picture.
    pub files: Vec<PathBuf>,
}

/// A data set for training and one for judging the result.
#[derive(Clone, Debug)]
pub struct Splits {
    /// What the net learns from.
    pub train: Dataset,
    /// What it is tested on: gallery and queries.
    pub test: Dataset,
    /// Picture files that could not be used.
    pub skipped: Vec<Skipped>,
}

/// A picture file that could not be used.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Loads the data that a configuration names, in the shape that a net takes. `observe` hears of each picture, where
/// loading takes time.
///
/// # Errors
/// Any [`DatasetError`]: nothing there, nothing known, damaged files, too few classes, pictures of the wrong shape.
pub fn load(data: &DataConfig, input: InputShape, observe: Observe<'_>) -> Result<Splits, DatasetError> {
    let path = match (data.format, data.path.as_deref()) {
        (DataFormat::ToyShop, _) | (DataFormat::Auto, None) => {
            return toy_shop::load(&data.toy_shop, input, data.train_share, observe);
        }
        (_, Some(path)) if path.is_dir() => path,
        (_, Some(path)) => return Err(DatasetError::Missing { path: path.into() }),
        (_, None) => return Err(DatasetError::NoPath),
    };
    let idx = data.format == DataFormat::FashionMnist || (data.format == DataFormat::Auto && idx::is_here(path));
    if idx { idx::load(path, input) } else { folder::load(path, input, data, observe) }
}

/// The shape of the data's pictures for those who want them for their own sake, not for a net: idx pictures as they are,
/// all others 64 × 64 RGB.
///
/// # Errors
/// If the data is idx files that cannot be read.
pub fn natural_input(data: &DataConfig) -> Result<InputShape, DatasetError> {
    match (data.format, &data.path) {
        (DataFormat::FashionMnist | DataFormat::Auto, Some(path)) if idx::is_here(path) => idx::natural_input(path),
        _ => Ok(InputShape { channels: 3, height: 64, width: 64 }),
    }
}

impl Dataset {
    /// The number of pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no picture.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// One picture's bytes, C·H·W.
    ///
    /// # Panics
    /// If there is no such picture.
    #[must_use]
    pub fn picture(&self, index: usize) -> &[u8] {
        let size = self.input.len();
        &self.pixels[index * size..(index + 1) * size]
    }

    /// Pictures as a tensor (n, C, H, W); a byte b becomes exactly b / 255 in `dtype`.
    ///
    /// # Errors
    /// If the device refuses.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn gather(&self, indices: &[usize], device: &Device, dtype: DType) -> candle_core::Result<Tensor> {
        let InputShape { channels, height, width } = self.input;
        let shape = (indices.len(), channels, height, width);
        let bytes = || indices.iter().flat_map(|&index| self.picture(index)).copied();
        // Dividing here is exact; candle would multiply by the rounded inverse of 255.
        match dtype {
            DType::F64 => Tensor::from_vec(bytes().map(|byte| f64::from(byte) / 255.0).collect(), shape, device),
            _ => {
                let values: Vec<f32> = bytes().map(|byte| f32::from(byte) / 255.0).collect();
                Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
            }
        }
    }

    /// One picture as an image: grey for one channel, RGB for three.
    ///
    /// # Panics
    /// If there is no such picture, or pictures have other than 1 or 3 channels.
    #[must_use]
    pub fn image(&self, index: usize) -> DynamicImage {
        let (picture, plane) = (self.picture(index), self.input.height * self.input.width);
        let (width, height) = (self.input.width as u32, self.input.height as u32);
        let channels = self.input.channels;
        let samples =
            (0..plane).flat_map(|at| (0..channels).map(move |channel| picture[channel * plane + at])).collect();
        let image = match channels {
            1 => GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8),
            _ => RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8),
        };
        image.expect("pictures have 1 or 3 channels. This is a bug.")
    }

    /// The first `count` pictures, or all if there are fewer; the classes stay.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        Self {
            name: self.name.clone(),
            input: self.input,
            pixels: self.pixels[..count * self.input.len()].to_vec(),
            labels: self.labels[..count].to_vec(),
            classes: self.classes.clone(),
            files: self.files.iter().take(count).cloned().collect(),
        }
    }

    /// What this data set is, for manifests: equal exactly if shape, classes, labels and pixels are.
    #[must_use]
    pub fn fingerprint(&self) -> DatasetFingerprint {
        let InputShape { channels, height, width } = self.input;
        let header = format!("{channels} {height} {width} {} {}", self.len(), self.classes.join("\n"));
        let labels: Vec<u8> = self.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        DatasetFingerprint {
            name: self.name.clone(),
            sha256: hexadecimal_sha256(&[header.as_bytes(), &labels, &self.pixels]),
            pictures: self.len(),
            classes: self.classes.len(),
        }
    }
}

/// Intensities in [0, 1] as bytes. Exact for what was a byte before.
fn to_bytes(pixels: &[f32]) -> Vec<u8> {
    pixels.iter().map(|&value| (value * 255.0).round() as u8).collect()
}

/// SHA-256 over the concatenated parts.
fn hexadecimal_sha256(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail. This is a bug.");
        text
    })
}
