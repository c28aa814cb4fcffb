//! Painting a product: parts from back to front, printed, shaded and edged.

use tiny_skia::{Path, Stroke};

use super::canvas::{Canvas, linear};
use super::light::Light;
use super::palette::{Palette, Rgb};
use super::product::{Ink, Product};
use super::texture::Texture;
use super::view::View;

/// How a class looks, apart from its outline.
pub(super) struct Look {
    pub(super) palette: &'static Palette,
    pub(super) texture: Texture,
}

/// The outlines of all parts in canvas pixels, back to front.
pub(super) fn silhouette(product: &Product, view: &View) -> Vec<Path> {
    product.parts.iter().map(|part| view.project(&part.path())).collect()
}

/// Paints the product. `silhouette` comes from [`silhouette`] with the same product and view; `phase` shifts the print.
pub(super) fn paint(canvas: &mut Canvas, scene: &Scene<'_>, phase: (f32, f32)) {
    for (part, path) in scene.product.parts.iter().zip(scene.silhouette) {
        let (colour, alpha) = part.ink.colour(scene.look.palette);
        canvas.fill(path, colour.with_alpha(alpha), None);
        if part.ink == Ink::Shine {
            continue;
        }
        if part.ink == Ink::Body {
            print(canvas, scene, path, phase);
        }
        shade(canvas, path, scene.light);
        edge(canvas, path, colour);
    }
}

/// What [`paint`] paints, and by which light.
pub(super) struct Scene<'a> {
    pub(super) product: &'static Product,
    pub(super) look: &'a Look,
    pub(super) silhouette: &'a [Path],
    pub(super) view: &'a View,
    pub(super) light: &'a Light,
}

/// Prints the texture on one part; it moves with the product, not with the picture.
fn print(canvas: &mut Canvas, scene: &Scene<'_>, path: &Path, phase: (f32, f32)) {
    let marks = scene.look.texture.marks(phase);
    if marks.is_empty() {
        return;
    }
    let inside = canvas.mask(path);
    for mark in marks {
        let colour = scene.look.palette.trim.with_alpha(mark.alpha);
        canvas.fill(&scene.view.project(&mark.path), colour, Some(&inside));
    }
}

/// Light on one side of a part, shade on the other: what makes a flat outline look round.
fn shade(canvas: &mut Canvas, path: &Path, light: &Light) {
    let bounds = path.bounds();
    let (x, y) = ((bounds.left() + bounds.right()) / 2.0, (bounds.top() + bounds.bottom()) / 2.0);
    let (rx, ry) = (bounds.width() / 2.0 * light.towards[0], bounds.height() / 2.0 * light.towards[1]);
    let stops = [
        (0.0, Rgb::WHITE.with_alpha(0.26)),
        (0.45, Rgb::WHITE.with_alpha(0.0)),
        (0.55, Rgb::BLACK.with_alpha(0.0)),
        (1.0, Rgb::BLACK.with_alpha(0.3)),
    ];
    canvas.fill(path, linear((x + rx, y + ry), (x - rx, y - ry), &stops), None);
}

/// A thin darker contour, so that a part reads against one of its own colour.
fn edge(canvas: &mut Canvas, path: &Path, colour: Rgb) {
    let stroke = Stroke { width: 1.3, ..Stroke::default() };
    if let Some(contour) = path.stroke(&stroke, 1.0) {
        canvas.fill(&contour, colour.mix(Rgb::BLACK, 0.55).with_alpha(0.6), None);
    }
}
