//! Pictures to store and to search by: products that a net can tell apart even before it is trained, by their colours.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Class names; each has a colour and a shape.
pub const CLASSES: [&str; 6] = ["apple", "leek", "plum", "lemon", "milk", "coal"];

const SIDE: u32 = 64;
const GROUND: [u8; 3] = [236, 232, 222];

/// One of countless pictures of a class: a blob in its colour, elsewhere and of another size each time.
///
/// # Panics
/// If there is no such class.
pub fn picture(class: &str, number: u32) -> RgbImage {
    let index = CLASSES.iter().position(|name| *name == class).expect("a class from CLASSES");
    let colour = [[200, 40, 40], [60, 150, 60], [110, 50, 140], [240, 210, 40], [250, 250, 252], [30, 30, 34]][index];
    let (centre_x, centre_y) = (22 + number * 7 % 21, 22 + number * 5 % 21);
    let radius = 11 + number * 3 % 9;
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let (dx, dy) = (x.abs_diff(centre_x), y.abs_diff(centre_y));
        let inside = if index % 2 == 0 { dx * dx + dy * dy < radius * radius } else { dx.max(dy) < radius };
        let texture = ((x * 31 + y * 17 + number * 13) % 24) as u8;
        let base = if inside { colour } else { GROUND };
        Rgb(base.map(|channel: u8| channel.saturating_sub(texture)))
    })
}

/// The same as a PNG file.
pub fn png(class: &str, number: u32) -> Vec<u8> {
    encode(picture(class, number), ImageFormat::Png)
}

/// The same as a JPEG file.
pub fn jpeg(class: &str, number: u32) -> Vec<u8> {
    encode(picture(class, number), ImageFormat::Jpeg)
}

fn encode(picture: RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture).write_to(&mut bytes, format).expect("memory takes every picture");
    bytes.into_inner()
}

/// Writes `folder/<class>/<number>.png` for each class and number.
///
/// # Panics
/// If the disk refuses.
pub fn write_folder(folder: &Path, numbers: std::ops::Range<u32>) {
    for class in CLASSES {
        std::fs::create_dir_all(folder.join(class)).expect("the folder can be made");
        for number in numbers.clone() {
            let path = folder.join(class).join(format!("{number}.png"));
            std::fs::write(path, png(class, number)).expect("the picture can be written");
        }
    }
}

/// A PNG file that ends behind its header, which promises `width` × `height` pixels.
pub fn png_header(width: u32, height: u32) -> Vec<u8> {
    let [w, h] = [width.to_be_bytes(), height.to_be_bytes()];
    let eight_bit_rgb = [8, 2, 0, 0, 0];
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &[&w[..], &h, &eight_bit_rgb].concat())].concat()
}

/// A PNG file of a few bytes with every chunk that it needs, whose header promises `width` × `height` pixels.
pub fn png_bomb(width: u32, height: u32) -> Vec<u8> {
    let no_pixels = [0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]; // an empty zlib stream
    [png_header(width, height), chunk(b"IDAT", &no_pixels), chunk(b"IEND", b"")].concat()
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a chunk for a test is short").to_be_bytes();
    let checked = [kind, content].concat();
    [&length[..], &checked, &crc32(&checked).to_be_bytes()].concat()
}

/// The checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
