//! Smaller versions of stored pictures.

use std::io::Cursor;

use holdfast_model::pixels::{self, DecodeLimits};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat};

use super::error::ApiError;

/// The sides, in pixels, that a client may ask for.
pub(super) const SIZES: std::ops::RangeInclusive<u32> = 16..=1024;

/// Above this side, JPEG artefacts are smaller than what PNG costs.
const PNG_SIDE: u32 = 128;
const JPEG_QUALITY: u8 = 85;

/// A picture file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PictureFile {
    /// Its media type.
    pub(super) content_type: String,
    /// Its content.
    pub(super) bytes: Vec<u8>,
}

/// The picture with its longer side at most `size`, as PNG if small or transparent, else as JPEG.
///
/// A picture that is small enough is returned as it is: nothing is enlarged.
///
/// # Errors
/// If `size` is out of range, or the stored picture can no longer be decoded.
pub(super) fn thumbnail(stored: PictureFile, size: u32, limits: &DecodeLimits) -> Result<PictureFile, ApiError> {
    if !SIZES.contains(&size) {
        let (low, high) = (SIZES.start(), SIZES.end());
        return Err(ApiError::invalid(format!("size must be between {low} and {high} pixels, got {size}")));
    }
    let picture = pixels::decode(&stored.bytes, limits).map_err(|error| ApiError::StoredPicture(error.to_string()))?;
    if picture.width().max(picture.height()) <= size {
        return Ok(stored);
    }
    encode(&picture.resize(size, size, FilterType::Triangle))
}

fn encode(picture: &DynamicImage) -> Result<PictureFile, ApiError> {
    let mut bytes = Cursor::new(Vec::new());
    let as_png = picture.color().has_alpha() || picture.width().max(picture.height()) <= PNG_SIDE;
    let written = if as_png {
        picture.write_to(&mut bytes, ImageFormat::Png)
    } else {
        let rgb = DynamicImage::ImageRgb8(picture.to_rgb8());
        rgb.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))
    };
    written.map_err(|error| ApiError::StoredPicture(error.to_string()))?;
    let content_type = if as_png { "image/png" } else { "image/jpeg" }.to_owned();
    Ok(PictureFile { content_type, bytes: bytes.into_inner() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> PictureFile {
        encode_as_png(&DynamicImage::new_rgb8(width, height))
    }

    fn encode_as_png(picture: &DynamicImage) -> PictureFile {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        PictureFile { content_type: "image/png".to_owned(), bytes: bytes.into_inner() }
    }

    fn sides(file: &PictureFile) -> (u32, u32) {
        let picture = image::load_from_memory(&file.bytes).unwrap();
        (picture.width(), picture.height())
    }

    #[test]
    fn a_thumbnail_fits_the_size_and_keeps_the_aspect_ratio() {
        let small = thumbnail(png(400, 200), 64, &DecodeLimits::default()).unwrap();
        assert_eq!((sides(&small), small.content_type.as_str()), ((64, 32), "image/png"));

        let large = thumbnail(png(800, 400), 400, &DecodeLimits::default()).unwrap();
        assert_eq!((sides(&large), large.content_type.as_str()), ((400, 200), "image/jpeg"));
    }

    #[test]
    fn transparency_survives() {
        let glass = encode_as_png(&DynamicImage::new_rgba8(800, 800));
        assert_eq!(thumbnail(glass, 400, &DecodeLimits::default()).unwrap().content_type, "image/png");
    }

    #[test]
    fn nothing_is_enlarged() {
        let stored = png(28, 28);
        assert_eq!(thumbnail(stored.clone(), 64, &DecodeLimits::default()).unwrap(), stored);
    }

    #[test]
    fn sizes_are_bounded() {
        for size in [0, 15, 1025] {
            assert!(thumbnail(png(28, 28), size, &DecodeLimits::default()).is_err());
        }
    }
}
