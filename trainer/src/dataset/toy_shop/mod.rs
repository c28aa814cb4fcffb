//! The toy shop: a procedural data set for people without data.
//!
//! A class is a product × palette × texture, "a striped tomato mug". A picture shows it from some side (rotation, scale,
//! shift, shear, tilt), in some light (direction, brightness, colour, vignette), on some backdrop with a shadow, now and
//! then with something in front, seen by a noisy sensor. Drawn with [tiny_skia], 64 × 64 RGB.
//!
//! A picture depends on (seed, class, number) alone, so that a shop with more classes or more pictures contains the
//! smaller one.

mod backdrop;
mod canvas;
mod clothes;
mod clutter;
mod kitchen;
mod leisure;
mod light;
mod living;
mod outline;
mod paint;
mod palette;
mod product;
mod texture;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_model::pixels::to_pixels;
use image::{DynamicImage, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::assemble::{Class, Ordered, Sides, interleave, split};
use super::{Dataset, DatasetError, Pixels, Request, Splits, to_bytes};

use canvas::Canvas;
use light::Light;
use paint::{Look, Scene};
use palette::PALETTES;
use product::{PRODUCTS, Product};
use texture::TEXTURES;
use view::{Setting, View};

/// How many classes the shop can offer.
pub const MAX_CLASSES: usize = PRODUCTS.len() * PALETTES.len() * TEXTURES.len();

/// Draws a whole shop as a data set: the first `train_share` of the classes train, the others test.
///
/// Nets that take other pictures than 64 × 64 RGB get them resized or grey.
///
/// # Errors
/// If there are more classes than [`MAX_CLASSES`], or fewer than 2 on one side.
pub(super) fn load(request: &Request<'_>) -> Result<Splits, DatasetError> {
    let shop = &request.data.toy_shop;
    if shop.classes > MAX_CLASSES {
        return Err(DatasetError::TooManyClasses { classes: shop.classes, most: MAX_CLASSES });
    }
    let (all, shape) = (shop.classes * shop.pictures_per_class, request.framing.resized(request.input));
    let done = AtomicUsize::new(0);
    let draw = |class: usize, number: usize| -> Result<Vec<u8>, DatasetError> {
        let pixels = to_pixels(&DynamicImage::ImageRgb8(picture(shop.seed, class, number)), shape)?;
        (request.observe)(done.fetch_add(1, Ordering::Relaxed) + 1, all);
        Ok(to_bytes(&pixels))
    };
    let class = |class: usize| -> Result<Class<Vec<u8>>, DatasetError> {
        let pictures = (0..shop.pictures_per_class).map(|number| draw(class, number)).collect::<Result<_, _>>();
        Ok(Class { name: class_name(class), pictures: pictures? })
    };
    let classes = (0..shop.classes).into_par_iter().map(class).collect::<Result<Vec<_>, _>>()?;
    let Sides { train, test } = split("the toy shop", classes, request.data.train_share)?;
    let dataset = |classes| {
        let Ordered { classes, labels, pictures } = interleave(classes);
        let all_of_each = Dataset::kept("toy shop", request.input, Vec::new(), labels, classes);
        Dataset { framing: request.framing, pixels: Pixels::Kept(Arc::new(pictures.concat())), ..all_of_each }
    };
    Ok(Splits { train: dataset(train), test: dataset(test), skipped: Vec::new(), notes: Vec::new() })
}

/// A class's name, such as `mug-tomato-striped`.
///
/// Classes go round the products: the first 16 are 16 different products, and both halves of a shop of 32 or more
/// classes hold every product.
///
/// # Panics
/// If there is no such class: `class` must be below [`MAX_CLASSES`].
#[must_use]
pub fn class_name(class: usize) -> String {
    let (product, look) = class_of(class);
    format!("{}-{}-{}", product.name, look.palette.name, look.texture.name())
}

/// Draws one picture, 64 × 64.
///
/// # Panics
/// If there is no such class: `class` must be below [`MAX_CLASSES`].
#[must_use]
pub fn picture(seed: u64, class: usize, number: usize) -> RgbImage {
    let (product, look) = class_of(class);
    let rng = &mut stream(seed, class, number);
    let setting = if rng.random_bool(0.6) { Setting::Standing } else { Setting::Lying };
    let view = View::random(setting, product.underside(), rng);
    let light = Light::random(rng);
    let silhouette = paint::silhouette(product, &view);
    let phase = (rng.random_range(0.0..1.0), rng.random_range(0.0..1.0));

    let mut canvas = Canvas::new();
    backdrop::paint(&mut canvas, setting, &view, rng);
    backdrop::shadow(&mut canvas, setting, &silhouette, &view, &light);
    let scene = Scene { product, look: &look, silhouette: &silhouette, view: &view, light: &light };
    paint::paint(&mut canvas, &scene, phase);
    clutter::paint(&mut canvas, &view, rng);
    light.take(&canvas, rng)
}

/// The randomness of one picture: the seed is the key, class and number are the stream.
fn stream(seed: u64, class: usize, number: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((class as u64) << 32) | number as u64);
    rng
}

/// The product, palette and texture of a class.
fn class_of(class: usize) -> (&'static Product, Look) {
    assert!(class < MAX_CLASSES, "the toy shop has {MAX_CLASSES} classes, got class {class}");
    let looks = PALETTES.len() * TEXTURES.len();
    let (round, product) = (class / PRODUCTS.len(), class % PRODUCTS.len());
    // 19 and the 54 looks have no common divisor, so a product meets each look once; 7 starts each product elsewhere.
    let look = (round * 19 + product * 7) % looks;
    let (palette, texture) = (&PALETTES[look % PALETTES.len()], TEXTURES[look / PALETTES.len()]);
    (PRODUCTS[product], Look { palette, texture })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_class_has_its_own_name() {
        let names: BTreeSet<_> = (0..MAX_CLASSES).map(class_name).collect();

        assert_eq!(names.len(), MAX_CLASSES);
    }

    #[test]
    fn every_product_can_be_painted() {
        for class in 0..PRODUCTS.len() {
            assert_eq!(picture(1, class, 0).dimensions(), (64, 64), "{}", class_name(class));
        }
    }
}
