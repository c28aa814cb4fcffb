//! From the bytes of a picture file to what the net and the catalog want.

use std::time::{Duration, Instant};

use holdfast_model::InputShape;
use holdfast_model::pixels::{self, DecodeLimits};

use super::ServiceError;
use super::catalog::PictureRow;
use super::digest::Digest;
use crate::metrics::{Metrics, Stage};

/// A picture that was decoded and brought to the net's size.
pub(super) struct Prepared {
    pub(super) pixels: Vec<f32>, // C·H·W in [0, 1]
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) decode: Duration,
    pub(super) preprocess: Duration,
}

/// Decodes a picture file within limits and resizes it for a net. Takes milliseconds of one core.
pub(super) fn prepare(
    bytes: &[u8],
    input: InputShape,
    limits: &DecodeLimits,
    metrics: &Metrics,
) -> Result<Prepared, ServiceError> {
    let started = Instant::now();
    let picture = pixels::decode(bytes, limits)?;
    let decode = started.elapsed();
    metrics.observe_stage(Stage::Decode, decode);

    let started = Instant::now();
    let pixels = pixels::to_pixels(&picture, input)?;
    let preprocess = started.elapsed();
    metrics.observe_stage(Stage::Preprocess, preprocess);
    Ok(Prepared { pixels, width: picture.width(), height: picture.height(), decode, preprocess })
}

impl Prepared {
    /// What the catalog remembers of the picture file `bytes`.
    pub(super) fn row(&self, bytes: &[u8]) -> PictureRow {
        let format = image::guess_format(bytes).ok();
        let content_type = format.map_or("application/octet-stream", |format| format.to_mime_type());
        PictureRow {
            sha256: Digest::of(bytes),
            content_type: content_type.to_owned(),
            bytes: bytes.len() as u64,
            width: self.width,
            height: self.height,
        }
    }
}
