//! Backdrops: what is behind and under the product, and the shadow it throws there.

use rand::{Rng, RngCore};
use tiny_skia::{Path, PathBuilder, Transform};

use super::canvas::{CANVAS, Canvas, block, linear, radial};
use super::light::Light;
use super::outline::{finish, oval, stroked};
use super::palette::Rgb;
use super::view::{Setting, View};

/// Paints wall and table, or ground, over the whole canvas.
pub(super) fn paint(canvas: &mut Canvas, setting: Setting, view: &View, rng: &mut dyn RngCore) {
    match setting {
        Setting::Standing => room(canvas, view.foot().1, rng),
        Setting::Lying => ground(canvas, rng),
    }
}

/// Throws the product's shadow: soft copies of its silhouette away from the light, and darkness where it stands.
pub(super) fn shadow(canvas: &mut Canvas, setting: Setting, silhouette: &[Path], view: &View, light: &Light) {
    let reach = view.half() * if setting == Setting::Standing { 0.06 } else { 0.11 };
    for softness in [0.5_f32, 1.0, 1.5, 2.0] {
        let (dx, dy) = (-light.towards[0] * reach * softness, -light.towards[1] * reach * softness);
        for path in silhouette {
            if let Some(path) = path.clone().transform(Transform::from_translate(dx, dy)) {
                canvas.fill(&path, Rgb::BLACK.with_alpha(0.07), None);
            }
        }
    }
    if setting == Setting::Standing {
        let (x, y) = view.foot();
        let centre = (x - light.towards[0] * view.half() * 0.2, y);
        let radii = (view.half() * 1.05, view.half() * 0.2);
        let stops =
            [(0.0, Rgb::BLACK.with_alpha(0.5)), (0.5, Rgb::BLACK.with_alpha(0.24)), (1.0, Rgb::BLACK.with_alpha(0.0))];
        canvas.fill(&oval(centre.0, centre.1, radii.0, radii.1), radial(centre, radii, &stops), None);
    }
}

/// A colour for walls, cloths and boards: any hue, seldom loud.
fn paint_colour(rng: &mut dyn RngCore) -> Rgb {
    let saturation = 0.06 + rng.random_range(0.0_f32..0.62).powi(2);
    Rgb::hsl(rng.random_range(0.0..1.0), saturation, rng.random_range(0.42..0.93))
}

fn wood_colour(rng: &mut dyn RngCore) -> Rgb {
    Rgb::hsl(rng.random_range(0.05..0.11), rng.random_range(0.25..0.5), rng.random_range(0.35..0.72))
}

/// A wall and a table whose edge runs behind the product's foot.
fn room(canvas: &mut Canvas, foot: f32, rng: &mut dyn RngCore) {
    let wall = paint_colour(rng);
    let end = (rng.random_range(-40.0..CANVAS), CANVAS);
    canvas.cover(linear(
        (CANVAS / 2.0, 0.0),
        end,
        &[(0.0, wall.with_alpha(1.0)), (1.0, wall.mix(Rgb::BLACK, 0.25).with_alpha(1.0))],
    ));
    match rng.random_range(0..5) {
        0 => tiles(canvas, wall.mix(Rgb::BLACK, 0.22), rng),
        1 => wallpaper(canvas, wall.mix(paint_colour(rng), 0.55), rng),
        2 => lights(canvas, rng),
        _ => {}
    }
    let table = if rng.random_bool(0.5) { wood_colour(rng) } else { paint_colour(rng) };
    let edge = (foot - rng.random_range(0.04..0.24) * CANVAS).min(CANVAS - 6.0);
    let lean = rng.random_range(-0.07..0.07) * CANVAS;
    top(canvas, table, edge, lean);
    if rng.random_bool(0.4) {
        grain(canvas, table.mix(Rgb::BLACK, 0.28), edge, lean, rng);
    }
}

/// The table's top from its far edge down, lighter towards the viewer.
fn top(canvas: &mut Canvas, table: Rgb, edge: f32, lean: f32) {
    let (left, right) = (edge - lean, edge + lean);
    let shape = quad([(0.0, left), (CANVAS, right), (CANVAS, CANVAS + 1.0), (0.0, CANVAS + 1.0)]);
    let stops =
        [(0.0, table.mix(Rgb::BLACK, 0.18).with_alpha(1.0)), (1.0, table.mix(Rgb::WHITE, 0.12).with_alpha(1.0))];
    canvas.fill(&shape, linear((0.0, edge), (0.0, CANVAS + 1.0), &stops), None);
    let rim = quad([(0.0, left), (CANVAS, right), (CANVAS, right + 1.6), (0.0, left + 1.6)]);
    canvas.fill(&rim, Rgb::WHITE.with_alpha(0.35), None);
}

fn grain(canvas: &mut Canvas, colour: Rgb, edge: f32, lean: f32, rng: &mut dyn RngCore) {
    for _ in 0..4 {
        let y = rng.random_range(edge..CANVAS + 8.0) + lean.abs();
        let line = segment((-4.0, y - lean), (CANVAS + 4.0, y + lean), rng.random_range(0.6..1.6));
        canvas.fill(&line, colour.with_alpha(0.6), None);
    }
}

fn tiles(canvas: &mut Canvas, joint: Rgb, rng: &mut dyn RngCore) {
    let size = rng.random_range(16.0..34.0);
    let offset = rng.random_range(0.0..size);
    let mut at = offset;
    while at < CANVAS {
        canvas.fill(&segment((at, -2.0), (at, CANVAS), 1.4), joint.with_alpha(0.7), None);
        canvas.fill(&segment((-2.0, at), (CANVAS + 2.0, at), 1.4), joint.with_alpha(0.7), None);
        at += size;
    }
}

/// Broad stripes or spots of a related colour: a backdrop may carry a texture that is not the product's.
fn wallpaper(canvas: &mut Canvas, colour: Rgb, rng: &mut dyn RngCore) {
    let period = rng.random_range(13.0..30.0);
    let spots = rng.random_bool(0.5);
    let lean = rng.random_range(-0.5..0.5) * CANVAS;
    let mut x = -CANVAS + rng.random_range(0.0..period);
    let mut row = 0;
    while x < 2.0 * CANVAS {
        if spots {
            let shift = if row % 2 == 0 { 0.0 } else { period / 2.0 };
            let mut y = shift - period;
            while y < CANVAS + period {
                canvas.fill(&oval(x, y, period * 0.2, period * 0.2), colour.with_alpha(0.8), None);
                y += period;
            }
        } else {
            canvas.fill(&segment((x, -8.0), (x + lean, CANVAS + 8.0), period * 0.42), colour.with_alpha(0.7), None);
        }
        x += period;
        row += 1;
    }
}

/// Lights far out of focus.
fn lights(canvas: &mut Canvas, rng: &mut dyn RngCore) {
    for _ in 0..rng.random_range(4..9) {
        let centre = (rng.random_range(0.0..CANVAS), rng.random_range(0.0..CANVAS * 0.7));
        let radius = rng.random_range(5.0..15.0);
        let colour = Rgb::hsl(rng.random_range(0.0..1.0), 0.7, 0.8);
        let stops = [(0.0, colour.with_alpha(0.5)), (0.8, colour.with_alpha(0.4)), (1.0, colour.with_alpha(0.0))];
        canvas.fill(&oval(centre.0, centre.1, radius, radius), radial(centre, (radius, radius), &stops), None);
    }
}

/// A ground seen from above: paper, cloth, tiles or boards.
fn ground(canvas: &mut Canvas, rng: &mut dyn RngCore) {
    let colour = paint_colour(rng);
    let centre = (rng.random_range(0.2..0.8) * CANVAS, rng.random_range(0.1..0.6) * CANVAS);
    let radius = CANVAS * rng.random_range(0.8..1.3);
    let stops =
        [(0.0, colour.mix(Rgb::WHITE, 0.22).with_alpha(1.0)), (1.0, colour.mix(Rgb::BLACK, 0.16).with_alpha(1.0))];
    canvas.cover(radial(centre, (radius, radius), &stops));
    match rng.random_range(0..6) {
        0 => tiles(canvas, colour.mix(Rgb::BLACK, 0.25), rng),
        1 | 2 => wallpaper(canvas, colour.mix(paint_colour(rng), 0.45), rng),
        3 => boards(canvas, rng),
        _ => {}
    }
}

fn boards(canvas: &mut Canvas, rng: &mut dyn RngCore) {
    let wood = wood_colour(rng);
    let width = rng.random_range(18.0..40.0);
    let mut left = -rng.random_range(0.0..width);
    while left < CANVAS {
        let shade = wood.mix(Rgb::BLACK, rng.random_range(0.0..0.14));
        canvas.fill(&block(left, 0.0, left + width, CANVAS), shade.with_alpha(1.0), None);
        canvas.fill(&block(left, 0.0, left + 1.4, CANVAS), wood.mix(Rgb::BLACK, 0.45).with_alpha(1.0), None);
        left += width;
    }
}

fn segment(from: (f32, f32), to: (f32, f32), width: f32) -> Path {
    let mut builder = PathBuilder::new();
    builder.move_to(from.0, from.1);
    builder.line_to(to.0, to.1);
    stroked(&finish(builder), width)
}

fn quad(corners: [(f32, f32); 4]) -> Path {
    let mut builder = PathBuilder::new();
    builder.move_to(corners[0].0, corners[0].1);
    for corner in &corners[1..] {
        builder.line_to(corner.0, corner.1);
    }
    builder.close();
    finish(builder)
}
