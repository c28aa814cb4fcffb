//! Clutter: things in front of the product that hide a corner of it.

use rand::{Rng, RngCore};
use tiny_skia::{Path, Transform};

use super::canvas::{CANVAS, Canvas};
use super::outline::{outline, stroked};
use super::palette::Rgb;
use super::view::View;

/// How often something stands in the way.
const HOW_OFTEN: f64 = 0.45;

const LEAF: &str = "M 0 0 Q 14 -20 40 -10 Q 26 12 0 0 Z";
const TAG: &str = "M 0 0 L 8 -8 L 32 -8 L 32 8 L 8 8 Z";
const BOX: &str = "M -22 0 L 20 -4 L 26 40 L -22 40 Z";

/// Now and then hides part of the product: at most about a quarter, so that it can still be told.
pub(super) fn paint(canvas: &mut Canvas, view: &View, rng: &mut dyn RngCore) {
    if !rng.random_bool(HOW_OFTEN) {
        return;
    }
    match rng.random_range(0..4) {
        0 => twig(canvas, rng),
        1 => price_tag(canvas, view, rng),
        2 => parcel(canvas, view, rng),
        _ => post(canvas, view, rng),
    }
}

/// A twig with leaves from one of the upper corners.
fn twig(canvas: &mut Canvas, rng: &mut dyn RngCore) {
    let green = Rgb::hsl(rng.random_range(0.22..0.42), rng.random_range(0.25..0.55), rng.random_range(0.25..0.45));
    let right = rng.random_bool(0.5);
    let root = (if right { CANVAS + 4.0 } else { -4.0 }, rng.random_range(0.0..0.35) * CANVAS);
    let heading = if right { 180.0 } else { 0.0 };
    for _ in 0..rng.random_range(3..6) {
        let angle = heading + rng.random_range(-55.0..55.0);
        let size = rng.random_range(0.7..1.1);
        let leaf = placed(&outline(LEAF), root, angle, size);
        canvas.fill(&leaf, green.mix(Rgb::BLACK, rng.random_range(0.0..0.3)).with_alpha(1.0), None);
        canvas.fill(
            &placed(&stroked(&outline("M 2 -1 Q 20 -8 36 -9"), 1.2), root, angle, size),
            green.mix(Rgb::WHITE, 0.3).with_alpha(0.8),
            None,
        );
    }
}

/// A paper tag with a printed line, somewhere on the product's edge.
fn price_tag(canvas: &mut Canvas, view: &View, rng: &mut dyn RngCore) {
    let at = around(view, 0.75, rng);
    let angle = rng.random_range(0.0..360.0);
    let size = view.half() / 55.0;
    canvas.fill(&placed(&outline(TAG), (at.0 + 1.5, at.1 + 2.0), angle, size), Rgb::BLACK.with_alpha(0.25), None);
    canvas.fill(&placed(&outline(TAG), at, angle, size), Rgb::hex(0xFA_F4_E6).with_alpha(1.0), None);
    canvas.fill(
        &placed(&stroked(&outline("M 12 -3 L 28 -3 M 12 3 L 22 3"), 2.2), at, angle, size),
        Rgb::hex(0xB5_3A_3A).with_alpha(1.0),
        None,
    );
}

/// A cardboard box standing in front, low in the picture.
fn parcel(canvas: &mut Canvas, view: &View, rng: &mut dyn RngCore) {
    let side = if rng.random_bool(0.5) { -1.0 } else { 1.0 };
    let foot = view.foot();
    let at = (
        foot.0 + side * view.half() * rng.random_range(0.65..0.95),
        foot.1 - view.half() * rng.random_range(0.15..0.45),
    );
    let card = Rgb::hsl(rng.random_range(0.06..0.12), 0.35, rng.random_range(0.45..0.7));
    let size = view.half() / 42.0;
    canvas.fill(&placed(&outline(BOX), at, 0.0, size), card.with_alpha(1.0), None);
    canvas.fill(
        &placed(&outline("M -4 -2 L 4 -2 L 6 40 L -4 40 Z"), at, 0.0, size),
        card.mix(Rgb::WHITE, 0.45).with_alpha(1.0),
        None,
    );
}

/// A shelf post or curtain, upright across one side.
fn post(canvas: &mut Canvas, view: &View, rng: &mut dyn RngCore) {
    let side = if rng.random_bool(0.5) { -1.0 } else { 1.0 };
    let x = view.centre().0 + side * view.half() * rng.random_range(0.55..0.8);
    let width = view.half() * rng.random_range(0.12..0.26);
    let colour = Rgb::hsl(rng.random_range(0.0..1.0), rng.random_range(0.05..0.4), rng.random_range(0.25..0.8));
    let line = stroked(&outline("M 0 -100 L 0 100"), 1.0);
    for (offset, share, tone) in [(0.0, 1.0, colour), (-0.28, 0.3, colour.mix(Rgb::WHITE, 0.3))] {
        let band =
            line.clone().transform(Transform::from_row(width * share, 0.0, 0.0, 1.0, x + offset * width, CANVAS / 2.0));
        if let Some(band) = band {
            canvas.fill(&band, tone.with_alpha(1.0), None);
        }
    }
}

/// A point on a circle of `radius` half products around the product's centre.
fn around(view: &View, radius: f32, rng: &mut dyn RngCore) -> (f32, f32) {
    let (sin, cos) = rng.random_range(0.0..std::f32::consts::TAU).sin_cos();
    let (x, y) = view.centre();
    (x + cos * radius * view.half(), y + sin * radius * view.half())
}

/// A small outline moved to `at`, turned by `degrees` and scaled.
fn placed(path: &Path, at: (f32, f32), degrees: f32, scale: f32) -> Path {
    let transform = Transform::from_rotate(degrees).post_scale(scale, scale).post_translate(at.0, at.1);
    path.clone().transform(transform).expect("clutter is placed at finite points. This is a bug.")
}
