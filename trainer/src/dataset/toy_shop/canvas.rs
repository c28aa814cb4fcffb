//! The canvas: an antialiased drawing surface, larger than the finished picture, with a few ways to fill a path.

use tiny_skia::{
    Color, FillRule, GradientStop, LinearGradient, Mask, Paint, Path, PathBuilder, Pixmap, Point, RadialGradient, Rect,
    Shader, SpreadMode, Transform,
};

/// Canvas pixels on a side: products are drawn larger than they are sold, and averaged down, which smooths textures.
pub(super) const CANVAS: f32 = 128.0;

/// A square drawing surface of [`CANVAS`] pixels on a side.
pub(super) struct Canvas {
    pub(super) pixmap: Pixmap,
}

impl Canvas {
    pub(super) fn new() -> Self {
        let side = CANVAS as u32;
        Self { pixmap: Pixmap::new(side, side).expect("the side is positive. This is a bug.") }
    }

    /// Fills a path with a colour or gradient, and only where `within` lets it through.
    pub(super) fn fill(&mut self, path: &Path, shader: impl Into<Ground>, within: Option<&Mask>) {
        let paint = Paint { shader: shader.into().0, ..Paint::default() };
        self.pixmap.fill_path(path, &paint, FillRule::Winding, Transform::identity(), within);
    }

    /// Fills everything.
    pub(super) fn cover(&mut self, shader: impl Into<Ground>) {
        self.fill(&block(0.0, 0.0, CANVAS, CANVAS), shader, None);
    }

    /// A mask that lets through what lies inside the path.
    pub(super) fn mask(&self, path: &Path) -> Mask {
        let mut mask =
            Mask::new(self.pixmap.width(), self.pixmap.height()).expect("the side is positive. This is a bug.");
        mask.fill_path(path, FillRule::Winding, true, Transform::identity());
        mask
    }
}

/// What a path is filled with: a colour or a gradient.
pub(super) struct Ground(Shader<'static>);

impl From<Color> for Ground {
    fn from(colour: Color) -> Self {
        Self(Shader::SolidColor(colour))
    }
}

/// A gradient from one point to another, with its ends extended.
pub(super) fn linear(from: (f32, f32), to: (f32, f32), stops: &[(f32, Color)]) -> Ground {
    let shader = LinearGradient::new(point(from), point(to), gradient(stops), SpreadMode::Pad, Transform::identity());
    Ground(shader.unwrap_or(Shader::SolidColor(stops[0].1)))
}

/// A gradient from a centre out to an ellipse with the given radii.
pub(super) fn radial(centre: (f32, f32), radii: (f32, f32), stops: &[(f32, Color)]) -> Ground {
    // A unit circle, stretched: tiny-skia has circles only.
    let stretch = Transform::from_row(radii.0, 0.0, 0.0, radii.1, centre.0, centre.1);
    let origin = Point::zero();
    let shader = RadialGradient::new(origin, 0.0, origin, 1.0, gradient(stops), SpreadMode::Pad, stretch);
    Ground(shader.unwrap_or(Shader::SolidColor(stops[0].1)))
}

/// A rectangle as a path.
pub(super) fn block(left: f32, top: f32, right: f32, bottom: f32) -> Path {
    PathBuilder::from_rect(
        Rect::from_ltrb(left, top, right, bottom).expect("blocks have a positive size. This is a bug."),
    )
}

fn point((x, y): (f32, f32)) -> Point {
    Point::from_xy(x, y)
}

fn gradient(stops: &[(f32, Color)]) -> Vec<GradientStop> {
    stops.iter().map(|&(position, colour)| GradientStop::new(position, colour)).collect()
}
