//! Bytes ↔ pixels in [0, 1]: the only image decoder, with its limits, and the way back to a picture.
//!
//! A net sees (B, C, H, W) intensities in [0, 1], so that the budget of an attack means the same for every net; mean and
//! standard deviation live inside the backbone.

mod decode;
mod error;

use candle_core::{DType, Device, Tensor};
use image::{DynamicImage, GrayImage, RgbImage};

pub use decode::{DecodeLimits, decode};
pub use error::{PixelsError, Rejection};

use crate::resize::{grey_samples, rgb_samples};
use crate::{InputShape, Result};

/// A picture as the net takes it: C·H·W intensities in [0, 1], channel by channel, row by row.
///
/// Resized bilinearly with antialias, aspect ratio ignored, equal to Pillow's to 2/255. One channel is ITU-R 601 luma,
/// three are red, green, blue; transparency shows white; 16 bits become 8.
///
/// # Errors
/// If the picture is empty, or `input` has other than 1 or 3 channels.
pub fn to_pixels(picture: &DynamicImage, input: InputShape) -> Result<Vec<f32>, PixelsError> {
    let (width, height) = (picture.width(), picture.height());
    if width == 0 || height == 0 {
        return Err(PixelsError::Empty { width, height });
    }
    let side = |side: usize| u32::try_from(side).expect("a net's input has sides below 2³². This is a bug.");
    let (to_width, to_height) = (side(input.width), side(input.height));
    let samples = match input.channels {
        1 => grey_samples(picture, to_width, to_height),
        3 => rgb_samples(picture, to_width, to_height),
        channels => return Err(PixelsError::Channels { channels }),
    };
    let channel = |offset| samples.iter().skip(offset).step_by(input.channels);
    Ok((0..input.channels).flat_map(channel).map(|&sample| f32::from(sample) / 255.0).collect())
}

/// Pictures of one size as a batch (B, C, H, W).
///
/// # Errors
/// If there is no picture, one has other than C·H·W values, or the device is out of memory.
pub fn batch(pixels: &[Vec<f32>], input: InputShape, device: &Device, dtype: DType) -> Result<Tensor> {
    if pixels.is_empty() {
        return Err(PixelsError::NoPictures.into());
    }
    let wrong = pixels.iter().position(|values| values.len() != input.len());
    if let Some(index) = wrong {
        return Err(PixelsError::Length { index, values: pixels[index].len(), input }.into());
    }
    let shape = (pixels.len(), input.channels, input.height, input.width);
    let batch = Tensor::from_vec(pixels.concat(), shape, device)?;
    Ok(batch.to_dtype(dtype)?)
}

/// One row of a batch, (C, H, W), as a picture of 8 bits; values outside [0, 1] are clamped.
///
/// # Errors
/// If the tensor is not (C, H, W) with C = 1 or 3, or holds a value that is not finite.
pub fn to_picture(pixels: &Tensor) -> Result<DynamicImage> {
    let shape = || PixelsError::Shape { shape: pixels.dims().to_vec() };
    let &[channels @ (1 | 3), height, width] = pixels.dims() else { return Err(shape().into()) };
    let (Ok(width), Ok(height)) = (u32::try_from(width), u32::try_from(height)) else { return Err(shape().into()) };

    let values = pixels.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    if let Some(position) = values.iter().position(|value| !value.is_finite()) {
        return Err(PixelsError::NotFinite { position, value: values[position] }.into());
    }
    let plane = values.len() / channels;
    let interleaved = (0..plane).flat_map(|at| (0..channels).map(move |channel| channel * plane + at));
    // `as` saturates, so this clamps, too.
    let samples = interleaved.map(|position| (values[position] * 255.0).round() as u8).collect();
    let picture = match channels {
        1 => GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8),
        _ => RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8),
    };
    Ok(picture.expect("the tensor has C·H·W values. This is a bug."))
}
