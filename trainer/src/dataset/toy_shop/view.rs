//! The view: where the product is in the picture, from which side, and how far away.

use rand::{Rng, RngCore};
use tiny_skia::{Path, PathBuilder, PathSegment, Point};

use super::canvas::CANVAS;
use super::outline::finish;

/// How the product is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Upright on a table, which has an edge.
    Standing,
    /// On a flat ground, seen from above: may be turned further.
    Lying,
}

/// A projective map from the product's grid to canvas pixels.
pub(super) struct View {
    /// Rows of the 2 × 2 linear part: rotation, shear and mirror; unit scale.
    linear: [[f32; 2]; 2],
    /// How fast things shrink to the right and downwards, per half product.
    tilt: [f32; 2],
    /// Half the product's side in canvas pixels.
    half: f32,
    /// Canvas pixels of the grid's centre.
    centre: [f32; 2],
    /// The lowest point of the product, in grid units.
    underside: f32,
}

impl View {
    /// A random view that keeps most of the product inside the picture.
    ///
    /// `underside` is the product's lowest point in grid units.
    pub(super) fn random(setting: Setting, underside: f32, rng: &mut dyn RngCore) -> Self {
        let turn: f32 = match setting {
            Setting::Standing => rng.random_range(-0.16..0.16),
            Setting::Lying => rng.random_range(-0.6..0.6),
        };
        let mirror = if rng.random_bool(0.5) { -1.0 } else { 1.0 };
        let shear: f32 = rng.random_range(-0.18..0.18);
        let squeeze: f32 = rng.random_range(0.86..1.14);
        let (sin, cos) = turn.sin_cos();
        // Rotation · shear · diag(mirror · squeeze, 1 / squeeze).
        let linear = [
            [cos * squeeze * mirror, (cos * shear - sin) / squeeze],
            [sin * squeeze * mirror, (sin * shear + cos) / squeeze],
        ];
        let tilt = [rng.random_range(-0.16..0.16), rng.random_range(-0.16..0.16)];
        let half = CANVAS * rng.random_range(0.27..0.43);
        let slack = (CANVAS / 2.0 - half * 0.9).max(0.0);
        let centre = std::array::from_fn(|_| CANVAS / 2.0 + slack * rng.random_range(-0.9_f32..0.9));
        Self { linear, tilt, half, centre, underside }
    }

    /// Canvas pixels of a point of the grid.
    pub(super) fn point(&self, x: f32, y: f32) -> (f32, f32) {
        let (u, v) = (x / 50.0 - 1.0, y / 50.0 - 1.0);
        let depth = 1.0 + self.tilt[0] * u + self.tilt[1] * v;
        let along = |row: [f32; 2], centre: f32| centre + self.half * (row[0] * u + row[1] * v) / depth;
        (along(self.linear[0], self.centre[0]), along(self.linear[1], self.centre[1]))
    }

    /// A path of the grid in canvas pixels. Control points are mapped like points: exact for lines, and for curves as
    /// near as the mild tilt demands.
    pub(super) fn project(&self, path: &Path) -> Path {
        let at = |point: Point| self.point(point.x, point.y);
        let mut builder = PathBuilder::new();
        for segment in path.segments() {
            match segment {
                PathSegment::MoveTo(p) => {
                    let (x, y) = at(p);
                    builder.move_to(x, y);
                }
                PathSegment::LineTo(p) => {
                    let (x, y) = at(p);
                    builder.line_to(x, y);
                }
                PathSegment::QuadTo(a, p) => {
                    let ((ax, ay), (x, y)) = (at(a), at(p));
                    builder.quad_to(ax, ay, x, y);
                }
                PathSegment::CubicTo(a, b, p) => {
                    let ((ax, ay), (bx, by), (x, y)) = (at(a), at(b), at(p));
                    builder.cubic_to(ax, ay, bx, by, x, y);
                }
                PathSegment::Close => builder.close(),
            }
        }
        finish(builder)
    }

    /// Half the product's side in canvas pixels.
    pub(super) fn half(&self) -> f32 {
        self.half
    }

    /// Where the product touches the table, in canvas pixels.
    pub(super) fn foot(&self) -> (f32, f32) {
        self.point(50.0, self.underside)
    }

    /// The product's centre in canvas pixels.
    pub(super) fn centre(&self) -> (f32, f32) {
        (self.centre[0], self.centre[1])
    }
}
