//! A picture of any size and colour type → 8-bit grey or RGB samples of the size a net takes, as Pillow does it.
//!
//! The order is Pillow's: colours first, size second. Both steps round to 8 bits.

use std::borrow::Cow;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, GrayImage, Rgb, RgbImage, RgbaImage};

/// Grey samples (H·W), row by row: `picture.convert("L").resize((width, height), BILINEAR)` of Pillow.
///
/// All sides must be at least 1.
pub(crate) fn grey_samples(picture: &DynamicImage, width: u32, height: u32) -> Vec<u8> {
    let grey = grey(picture);
    resize(grey.as_raw(), grey.dimensions(), PixelType::U8, (width, height))
}

/// RGB samples (H·W·3), row by row, interleaved: `picture.convert("RGB").resize((width, height), BILINEAR)` of Pillow.
///
/// All sides must be at least 1.
pub(crate) fn rgb_samples(picture: &DynamicImage, width: u32, height: u32) -> Vec<u8> {
    let rgb = rgb(picture);
    resize(rgb.as_raw(), rgb.dimensions(), PixelType::U8x3, (width, height))
}

/// Triangle filter, widened by the scale when shrinking (antialias), aspect ratio ignored.
fn resize(
    samples: &[u8],
    (from_width, from_height): (u32, u32),
    kind: PixelType,
    (width, height): (u32, u32),
) -> Vec<u8> {
    let source = ImageRef::new(from_width, from_height, samples, kind)
        .expect("a picture has as many samples as its size says. This is a bug.");
    let mut resized = Image::new(width, height, kind);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new()
        .resize(&source, &mut resized, &options)
        .expect("source and result have the same pixel type. This is a bug.");
    resized.into_vec()
}

fn rgb(picture: &DynamicImage) -> Cow<'_, RgbImage> {
    match picture {
        DynamicImage::ImageRgb8(rgb) => Cow::Borrowed(rgb),
        other if other.color().has_alpha() => Cow::Owned(on_white(&other.to_rgba8())),
        other => Cow::Owned(other.to_rgb8()),
    }
}

fn grey(picture: &DynamicImage) -> Cow<'_, GrayImage> {
    if let DynamicImage::ImageLuma8(grey) = picture {
        return Cow::Borrowed(grey);
    }
    let rgb = rgb(picture);
    let samples = rgb.pixels().map(luma).collect();
    let grey = GrayImage::from_raw(rgb.width(), rgb.height(), samples);
    Cow::Owned(grey.expect("one grey sample was made for each pixel. This is a bug."))
}

/// ITU-R 601 luma in 16-bit fixed point. The weights sum to 65536, so a grey pixel keeps its value.
///
/// Source: `L24` in Pillow's `src/libImaging/Convert.c`. The `image` crate's own luma is ITU-R 709, which differs by
/// up to 33 of 255.
fn luma(&Rgb([red, green, blue]): &Rgb<u8>) -> u8 {
    let weighted = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    u8::try_from((weighted + 0x8000) >> 16).expect("a weighted mean of bytes is a byte. This is a bug.")
}

fn on_white(picture: &RgbaImage) -> RgbImage {
    let blend = |sample: u8, alpha: u8| {
        let (sample, alpha) = (u32::from(sample), u32::from(alpha));
        let blended = (sample * alpha + 255 * (255 - alpha) + 127) / 255;
        u8::try_from(blended).expect("a weighted mean of bytes is a byte. This is a bug.")
    };
    let mut opaque = RgbImage::new(picture.width(), picture.height());
    for (&image::Rgba([red, green, blue, alpha]), pixel) in picture.pixels().zip(opaque.pixels_mut()) {
        *pixel = Rgb([blend(red, alpha), blend(green, alpha), blend(blue, alpha)]);
    }
    opaque
}
