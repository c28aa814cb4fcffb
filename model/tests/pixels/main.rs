//! Decoding with limits, and pixels as a net takes them.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod decoding;
mod values;

use holdfast_model::InputShape;
use image::{DynamicImage, Rgb, RgbImage};

/// A picture with something different everywhere.
fn photo(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| Rgb([(x * 7 + y * y) as u8, (x * x / 3 + y * 11) as u8, (x * y) as u8]);
    RgbImage::from_fn(width, height, pixel).into()
}

fn shape(channels: usize, height: usize, width: usize) -> InputShape {
    InputShape { channels, height, width }
}
