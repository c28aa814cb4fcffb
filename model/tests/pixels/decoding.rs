//! Bytes → picture: what is accepted, what is refused, and as what.

use std::io::Cursor;

use holdfast_model::pixels::{DecodeLimits, PixelsError, Rejection, decode, to_pixels};
use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use proptest::prelude::*;

use crate::{photo, shape};

const FORMATS: [ImageFormat; 5] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp];

fn limits() -> DecodeLimits {
    DecodeLimits::default()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A PNG of nothing but its header, as a bomb would begin.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    file.extend(&header);
    file.extend(crc32(&header).to_be_bytes());
    file.extend(b"\0\0\0\0IDAT");
    file.extend(crc32(b"IDAT").to_be_bytes());
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn rejection(result: Result<DynamicImage, PixelsError>) -> Option<Rejection> {
    result.unwrap_err().rejection()
}

#[test]
fn every_accepted_format_is_told_by_its_content() {
    for format in FORMATS {
        let decoded = decode(&encoded(&photo(40, 30), format), &limits()).unwrap();

        assert_eq!((decoded.width(), decoded.height()), (40, 30), "{format:?}");
    }
}

#[test]
fn a_text_file_is_no_picture() {
    let error = decode(b"id,label\n1,boots\n2,bag\n", &limits()).unwrap_err();

    assert_eq!(error.rejection(), Some(Rejection::Unsupported));
    assert!(error.to_string().contains("must be JPEG, PNG, WebP, GIF or BMP"), "{error}");
}

#[test]
fn a_format_that_is_known_but_not_accepted_is_named() {
    let error = decode(b"II*\0\x08\0\0\0", &limits()).unwrap_err();

    assert_eq!(error.rejection(), Some(Rejection::Unsupported));
    assert!(error.to_string().contains("TIFF"), "{error}");
}

#[test]
fn a_header_that_promises_a_huge_picture_is_enough_to_refuse_it() {
    let whole = png_header(40_000, 40_000);
    // The signature and the first chunk alone: 8 + 4 + 4 + 13 + 4 bytes.
    for bytes in [&whole[..], &whole[..33]] {
        let error = decode(bytes, &limits()).unwrap_err();

        assert!(matches!(error, PixelsError::TooManyPixels { width: 40_000, height: 40_000, .. }), "{error}");
        assert_eq!(error.rejection(), Some(Rejection::TooLarge));
    }
}

#[test]
fn each_limit_is_inclusive() {
    let bytes = encoded(&photo(40, 20), ImageFormat::Png);
    let exact = DecodeLimits { max_bytes: bytes.len(), max_pixels: 800, max_aspect: 2 };
    decode(&bytes, &exact).unwrap();

    let too_many_bytes = decode(&bytes, &DecodeLimits { max_bytes: bytes.len() - 1, ..exact }).unwrap_err();
    let too_many_pixels = decode(&bytes, &DecodeLimits { max_pixels: 799, ..exact }).unwrap_err();
    let too_elongated = decode(&bytes, &DecodeLimits { max_aspect: 1, ..exact }).unwrap_err();

    assert!(matches!(too_many_bytes, PixelsError::TooManyBytes { .. }));
    assert!(matches!(too_many_pixels, PixelsError::TooManyPixels { width: 40, height: 20, max_pixels: 799 }));
    assert!(matches!(too_elongated, PixelsError::TooElongated { width: 40, height: 20, max_aspect: 1 }));
    for error in [too_many_bytes, too_many_pixels, too_elongated] {
        assert_eq!(error.rejection(), Some(Rejection::TooLarge), "{error}");
    }
}

#[test]
fn a_jpeg_is_an_error_wherever_it_is_cut() {
    let bytes = encoded(&photo(64, 48), ImageFormat::Jpeg);

    for length in 3..bytes.len() {
        assert_eq!(rejection(decode(&bytes[..length], &limits())), Some(Rejection::Corrupt), "{length} bytes");
    }
}

#[test]
fn a_preview_inside_exif_does_not_hide_that_the_jpeg_is_cut() {
    let picture = encoded(&photo(64, 48), ImageFormat::Jpeg);
    let preview = encoded(&photo(8, 8), ImageFormat::Jpeg);
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1];
    bytes.extend(u16::try_from(preview.len() + 2).unwrap().to_be_bytes());
    bytes.extend(&preview);
    bytes.extend(&picture[2..]);
    decode(&bytes, &limits()).unwrap();

    let cut = decode(&bytes[..bytes.len() - 200], &limits()).unwrap_err();

    assert!(matches!(cut, PixelsError::Truncated { format: "JPEG", .. }), "{cut}");
}

#[test]
fn other_formats_cut_in_half_are_errors_too() {
    for format in FORMATS {
        let bytes = encoded(&photo(64, 48), format);

        assert_eq!(rejection(decode(&bytes[..bytes.len() / 2], &limits())), Some(Rejection::Corrupt), "{format:?}");
    }
}

#[test]
fn the_first_frame_of_a_gif_is_taken() {
    let frame = |red| image::Frame::new(RgbaImage::from_pixel(6, 4, Rgba([red, 0, 0, 255])));
    let mut bytes = Vec::new();
    image::codecs::gif::GifEncoder::new(&mut bytes).encode_frames([frame(255), frame(0)]).unwrap();

    let pixels = to_pixels(&decode(&bytes, &limits()).unwrap(), shape(3, 1, 1)).unwrap();

    assert_eq!(pixels, [1.0, 0.0, 0.0]);
}

proptest! {
    #[test]
    fn damaged_files_never_panic_and_never_break_a_limit(
        format in 0..FORMATS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut bytes = encoded(&photo(24, 18), FORMATS[format]);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let limits = DecodeLimits { max_pixels: 10_000, ..limits() };

        match decode(&bytes, &limits) {
            Ok(picture) => prop_assert!(u64::from(picture.width()) * u64::from(picture.height()) <= 10_000),
            Err(error) => prop_assert!(error.rejection().is_some()),
        }
    }
}
