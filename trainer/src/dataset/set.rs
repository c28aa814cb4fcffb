//! Labelled pictures, kept in memory or read from their files whenever they are needed.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use holdfast_model::InputShape;
use holdfast_model::checkpoint::DatasetFingerprint;
use holdfast_model::pixels::{DecodeLimits, decode, to_pixels};
use image::{DynamicImage, GrayImage, RgbImage};
use rand::RngCore;
use rayon::prelude::*;

use super::{DatasetError, Framing, Window, hexadecimal_sha256};
use crate::error;

/// Pictures of one shape with their classes. A copy shares the pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// What people call it: "fashion-mnist", "toy shop", a folder's name.
    pub name: String,
    /// The shape of one picture as a net takes it.
    pub input: InputShape,
    /// Which part of a picture that is.
    pub framing: Framing,
    /// Where the pixels are.
    pub pixels: Pixels,
    /// One class index for each picture.
    pub labels: Vec<u32>,
    /// The classes' names; labels index it.
    pub classes: Vec<String>,
    /// The file of each picture, for those who want it larger; empty for data that has no file a picture.
    pub files: Vec<PathBuf>,
    /// The pictures, by ascending index, that search and are not searched, where the data tells the two apart; empty
    /// where it does not.
    pub queries: Vec<usize>,
}

/// Where the pixels of a data set are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// In memory: N·C·H·W intensities of the [resized](Framing::resized) shape, 255 for 1; picture by picture, channel by
    /// channel, row by row.
    Kept(Arc<Vec<u8>>),
    /// In the data set's files, which are decoded again for each use.
    InFiles {
        /// What a picture may cost to decode.
        limits: DecodeLimits,
        /// SHA-256 of each file.
        checksums: Arc<Vec<[u8; 32]>>,
    },
}

impl Dataset {
    /// Pictures in memory, N·C·H·W bytes, all of each shown to the net, without files.
    #[must_use]
    pub fn kept(name: &str, input: InputShape, pixels: Vec<u8>, labels: Vec<u32>, classes: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            input,
            framing: Framing::Whole,
            pixels: Pixels::Kept(Arc::new(pixels)),
            labels,
            classes,
            files: Vec::new(),
            queries: Vec::new(),
        }
    }

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

    /// One picture's bytes as a test shows it to the net: C·H·W.
    ///
    /// # Errors
    /// If its file cannot be read or decoded.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn picture(&self, index: usize) -> Result<Vec<u8>, DatasetError> {
        self.through(self.framing.centre(self.input), index)
    }

    /// One picture's bytes as training shows it to the net: through a random window, if the framing has any.
    ///
    /// # Errors
    /// If its file cannot be read or decoded.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn augmented(&self, index: usize, rng: &mut dyn RngCore) -> Result<Vec<u8>, DatasetError> {
        self.through(self.framing.random(self.input, rng), index)
    }

    fn through(&self, window: Window, index: usize) -> Result<Vec<u8>, DatasetError> {
        let resized = self.framing.resized(self.input);
        let picture = match &self.pixels {
            Pixels::Kept(pixels) => Cow::Borrowed(&pixels[index * resized.len()..(index + 1) * resized.len()]),
            Pixels::InFiles { limits, .. } => Cow::Owned(decode_file(&self.files[index], resized, limits)?),
        };
        Ok(if self.framing == Framing::Whole {
            picture.into_owned()
        } else {
            window.cut(&picture, resized, self.input)
        })
    }

    /// Pictures as a test shows them, as a tensor (n, C, H, W); a byte b becomes exactly b / 255 in `dtype`.
    ///
    /// # Errors
    /// If a file cannot be read or decoded, or the device refuses.
    ///
    /// # Panics
    /// If there is no such picture.
    pub fn gather(&self, indices: &[usize], device: &Device, dtype: DType) -> error::Result<Tensor> {
        let pictures: Vec<Vec<u8>> = indices.par_iter().map(|&index| self.picture(index)).collect::<Result<_, _>>()?;
        tensor(&pictures.concat(), self.input, device, dtype)
    }

    /// One picture as an image: grey for one channel, RGB for three.
    ///
    /// # Errors
    /// If its file cannot be read or decoded.
    ///
    /// # Panics
    /// If there is no such picture, or pictures have other than 1 or 3 channels.
    pub fn image(&self, index: usize) -> Result<DynamicImage, DatasetError> {
        let (picture, plane) = (self.picture(index)?, self.input.height * self.input.width);
        let (width, height) = (self.input.width as u32, self.input.height as u32);
        let channels = self.input.channels;
        let samples =
            (0..plane).flat_map(|at| (0..channels).map(move |channel| channel * plane + at)).map(|at| picture[at]);
        let image = match channels {
            1 => GrayImage::from_raw(width, height, samples.collect()).map(DynamicImage::ImageLuma8),
            _ => RgbImage::from_raw(width, height, samples.collect()).map(DynamicImage::ImageRgb8),
        };
        Ok(image.expect("pictures have 1 or 3 channels. This is a bug."))
    }

    /// The first `count` pictures, or all if there are fewer; the classes stay.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        let pixels = match &self.pixels {
            Pixels::Kept(pixels) => {
                let bytes = count * self.framing.resized(self.input).len();
                Pixels::Kept(Arc::new(pixels[..bytes].to_vec()))
            }
            Pixels::InFiles { limits, checksums } => {
                Pixels::InFiles { limits: *limits, checksums: Arc::new(checksums[..count].to_vec()) }
            }
        };
        Self {
            name: self.name.clone(),
            input: self.input,
            framing: self.framing,
            pixels,
            labels: self.labels[..count].to_vec(),
            classes: self.classes.clone(),
            files: self.files.iter().take(count).cloned().collect(),
            queries: self.queries.iter().copied().filter(|&query| query < count).collect(),
        }
    }

    /// What this data set is, for manifests: equal exactly if shape, classes, labels and pixels are (or, for pictures that
    /// are read when needed, the bytes of their files).
    #[must_use]
    pub fn fingerprint(&self) -> DatasetFingerprint {
        let InputShape { channels, height, width } = self.framing.resized(self.input);
        let header = format!("{channels} {height} {width} {} {}", self.len(), self.classes.join("\n"));
        let labels: Vec<u8> = self.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        let pixels = match &self.pixels {
            Pixels::Kept(pixels) => pixels.as_slice(),
            Pixels::InFiles { checksums, .. } => checksums.as_flattened(),
        };
        DatasetFingerprint {
            name: self.name.clone(),
            sha256: hexadecimal_sha256(&[header.as_bytes(), &labels, pixels]),
            pictures: self.len(),
            classes: self.classes.len(),
        }
    }
}

/// Bytes of whole pictures as a tensor (n, C, H, W); a byte b becomes exactly b / 255 in `dtype`.
pub(crate) fn tensor(bytes: &[u8], input: InputShape, device: &Device, dtype: DType) -> error::Result<Tensor> {
    let InputShape { channels, height, width } = input;
    let shape = (bytes.len() / input.len(), channels, height, width);
    // Dividing here is exact; candle would multiply by the rounded inverse of 255.
    let tensor = match dtype {
        DType::F64 => Tensor::from_vec(bytes.iter().map(|&byte| f64::from(byte) / 255.0).collect(), shape, device)?,
        _ => {
            let values: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
            Tensor::from_vec(values, shape, device)?.to_dtype(dtype)?
        }
    };
    Ok(tensor)
}

/// A picture file as C·H·W bytes of this shape.
pub(super) fn decode_file(path: &Path, shape: InputShape, limits: &DecodeLimits) -> Result<Vec<u8>, DatasetError> {
    let bytes = fs::read(path).map_err(|source| DatasetError::Read { path: path.into(), source })?;
    let pixels = decode(&bytes, limits).and_then(|picture| to_pixels(&picture, shape));
    let pixels = pixels.map_err(|source| DatasetError::Picture { path: path.into(), source })?;
    Ok(super::to_bytes(&pixels))
}
