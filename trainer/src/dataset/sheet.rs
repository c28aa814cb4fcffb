//! Contact sheets: many pictures on one, to look at a data set at a glance.

use image::{Rgb, RgbImage, imageops};

/// Puts pictures of one size on a sheet, row by row, `columns` a row, with a thin light margin.
#[must_use]
pub fn contact_sheet(pictures: &[RgbImage], columns: usize) -> RgbImage {
    const MARGIN: u32 = 4;
    let (width, height) = pictures.iter().fold((1, 1), |(w, h), p| (w.max(p.width()), h.max(p.height())));
    let columns = columns.clamp(1, pictures.len().max(1));
    let rows = pictures.len().div_ceil(columns).max(1);
    let size = (columns as u32 * (width + MARGIN) + MARGIN, rows as u32 * (height + MARGIN) + MARGIN);
    let mut sheet = RgbImage::from_pixel(size.0, size.1, Rgb([246, 244, 240]));
    for (i, picture) in pictures.iter().enumerate() {
        let (row, column) = ((i / columns) as u32, (i % columns) as u32);
        let at = (MARGIN + column * (width + MARGIN), MARGIN + row * (height + MARGIN));
        imageops::replace(&mut sheet, picture, i64::from(at.0), i64::from(at.1));
    }
    sheet
}
