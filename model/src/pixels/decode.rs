//! Bytes → picture. Every limit is checked before the work that it limits.

use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use serde::{Deserialize, Serialize};

use super::error::{PixelsError, format_name};

/// What a picture may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeLimits {
    /// Length of the file, in bytes.
    pub max_bytes: usize,
    /// Width × height, as the header tells it.
    pub max_pixels: u64,
    /// Longer side / shorter side. Resizing to a square makes noise of anything longer.
    pub max_aspect: u32,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_bytes: 20 << 20, max_pixels: 50_000_000, max_aspect: 20 }
    }
}

impl DecodeLimits {
    /// Memory a decoder may take: a 16-bit RGBA picture of the largest size, a second buffer for what some formats
    /// compose it from, and room for tables.
    fn max_memory(&self) -> u64 {
        self.max_pixels.saturating_mul(16).saturating_add(16 << 20)
    }

    fn check(&self, width: u32, height: u32) -> Result<(), PixelsError> {
        if width == 0 || height == 0 {
            return Err(PixelsError::Empty { width, height });
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(PixelsError::TooManyPixels { width, height, max_pixels: self.max_pixels });
        }
        let (longer, shorter) = (width.max(height), width.min(height));
        if u64::from(longer) > u64::from(shorter) * u64::from(self.max_aspect) {
            return Err(PixelsError::TooElongated { width, height, max_aspect: self.max_aspect });
        }
        Ok(())
    }
}

/// Decodes a JPEG, PNG, WebP, GIF (first frame) or BMP file; its content tells which.
///
/// Orientation and colour profiles in metadata are ignored. All pixels of the file are needed: a truncated file is an
/// error, never a half-grey picture.
///
/// # Errors
/// Any [`PixelsError`] whose [`rejection`](PixelsError::rejection) is not `None`.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<DynamicImage, PixelsError> {
    if bytes.len() > limits.max_bytes {
        return Err(PixelsError::TooManyBytes { bytes: bytes.len(), max_bytes: limits.max_bytes });
    }
    let format = accepted_format(bytes)?;
    if format == ImageFormat::Png
        && let Some((width, height)) = png_size(bytes)
    {
        limits.check(width, height)?;
    }
    // A bug in a decoder must cost one picture, not the thread that serves everybody.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_as(format, bytes, limits)));
    decoded.unwrap_or(Err(PixelsError::DecoderPanicked { format: format_name(format) }))
}

fn accepted_format(bytes: &[u8]) -> Result<ImageFormat, PixelsError> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, WebP};

    match image::guess_format(bytes) {
        Ok(format @ (Jpeg | Png | WebP | Gif | Bmp)) => Ok(format),
        Ok(other) => Err(PixelsError::UnknownFormat { found: format!("a {} picture", format_name(other)) }),
        Err(_) => Err(PixelsError::UnknownFormat { found: "no picture that is known".into() }),
    }
}

/// Width and height as a PNG file's first chunk tells them: the decoder wants to see the pixels' chunk before it does.
///
/// Source: PNG specification, section 11.2.1: after the signature of 8 bytes come length, "IHDR", width, height.
fn png_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    (bytes.get(12..16)? == b"IHDR").then_some(())?;
    Some((number(16)?, number(20)?))
}

fn decode_as(format: ImageFormat, bytes: &[u8], limits: &DecodeLimits) -> Result<DynamicImage, PixelsError> {
    let explain = |error| explain(error, format, bytes.len(), limits);
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.max_memory());

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(allowed);
    let decoder = reader.into_decoder().map_err(explain)?; // has read the header, and nothing more
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;

    // The JPEG decoder paints what is missing grey and calls it a success.
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        return Err(PixelsError::Truncated { format: format_name(format), bytes: bytes.len() });
    }
    DynamicImage::from_decoder(decoder).map_err(explain)
}

fn explain(error: ImageError, format: ImageFormat, bytes: usize, limits: &DecodeLimits) -> PixelsError {
    let format = format_name(format);
    match error {
        ImageError::Limits(_) => PixelsError::TooMuchMemory { format, max_bytes: limits.max_memory() },
        ImageError::Unsupported(_) => PixelsError::UnsupportedFeature { format, source: error },
        ImageError::IoError(cause) if cause.kind() == ErrorKind::UnexpectedEof => {
            PixelsError::Truncated { format, bytes }
        }
        _ => PixelsError::Corrupt { format, source: error },
    }
}

/// Whether a JPEG file holds its end-of-image marker, outside segments (a preview inside EXIF has one of its own).
///
/// Source: ITU-T T.81, annex B.1.1: a marker is 0xFF and a code; all but a few are followed by a two-byte length.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const START_OF_IMAGE: u8 = 0xD8;
    const END_OF_IMAGE: u8 = 0xD9;

    let mut at = 0;
    while let Some(&[first, code]) = bytes.get(at..at + 2) {
        at += match (first, code) {
            (0xFF, END_OF_IMAGE) => return true,
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD7 | START_OF_IMAGE) => 2, // stuffed byte, restart: no length follows
            (0xFF, 0xFF) => 1,                                       // fill byte
            (0xFF, _) => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            _ => 1, // entropy-coded data
        };
    }
    false
}
