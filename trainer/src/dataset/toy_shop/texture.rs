//! Textures: what is printed on a product's body.

use tiny_skia::{Path, PathBuilder, Rect};

use super::outline::{finish, oval, stroked};

/// A pattern in the trim colour on the body colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texture {
    Plain,
    Striped,
    Dotted,
    Checked,
    Zigzag,
    Dipped,
}

/// Every texture, in the order in which classes use them.
pub(super) static TEXTURES: [Texture; 6] =
    [Texture::Plain, Texture::Striped, Texture::Dotted, Texture::Checked, Texture::Zigzag, Texture::Dipped];

/// How far marks reach beyond the 100 × 100 grid, so that a shifted pattern still covers it.
const MARGIN: f32 = 20.0;
const PERIOD: f32 = 15.0;

/// One layer of a texture: an outline and the opacity with which it is filled.
pub(super) struct Mark {
    pub(super) path: Path,
    pub(super) alpha: f32,
}

impl Texture {
    /// One word, part of class names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Striped => "striped",
            Self::Dotted => "dotted",
            Self::Checked => "checked",
            Self::Zigzag => "zigzag",
            Self::Dipped => "dipped",
        }
    }

    /// The marks over the whole grid, shifted by `phase` (both in [0, 1) periods): no two printed mugs are cut alike.
    pub(super) fn marks(self, phase: (f32, f32)) -> Vec<Mark> {
        let solid = |path| vec![Mark { path, alpha: 1.0 }];
        match self {
            Self::Plain => Vec::new(),
            Self::Striped => solid(bands(phase.1, PERIOD * 0.45, horizontal)),
            Self::Dotted => solid(dots(phase)),
            Self::Zigzag => solid(zigzag(phase)),
            Self::Dipped => solid(from_rect(horizontal(62.0 + 4.0 * phase.1, 80.0))),
            // Two half-transparent sets of bands: gingham, darkest where they cross.
            Self::Checked => vec![
                Mark { path: bands(phase.1, PERIOD * 0.5, horizontal), alpha: 0.62 },
                Mark { path: bands(phase.0, PERIOD * 0.5, vertical), alpha: 0.62 },
            ],
        }
    }
}

fn horizontal(top: f32, height: f32) -> Rect {
    rectangle(-MARGIN, top, 100.0 + 2.0 * MARGIN, height)
}

fn vertical(left: f32, width: f32) -> Rect {
    rectangle(left, -MARGIN, width, 100.0 + 2.0 * MARGIN)
}

fn rectangle(x: f32, y: f32, width: f32, height: f32) -> Rect {
    Rect::from_xywh(x, y, width, height).expect("bands have a positive size. This is a bug.")
}

fn from_rect(rect: Rect) -> Path {
    PathBuilder::from_rect(rect)
}

/// Where repeated marks stand on one axis: every `period`, shifted by `phase` periods.
fn stations(phase: f32, period: f32) -> impl Iterator<Item = f32> + Clone {
    let count = ((100.0 + 2.0 * MARGIN) / period) as usize;
    (0..=count).map(move |i| -MARGIN + (i as f32 + phase) * period)
}

fn bands(phase: f32, width: f32, band: fn(f32, f32) -> Rect) -> Path {
    let mut builder = PathBuilder::new();
    for start in stations(phase, PERIOD) {
        builder.push_rect(band(start, width));
    }
    finish(builder)
}

fn dots(phase: (f32, f32)) -> Path {
    let radius = 0.27 * PERIOD;
    let mut builder = PathBuilder::new();
    for (row, y) in stations(phase.1, PERIOD * 0.8).enumerate() {
        let offset = if row % 2 == 0 { 0.0 } else { 0.5 };
        for x in stations(phase.0 + offset, PERIOD) {
            builder.push_path(&oval(x, y, radius, radius));
        }
    }
    finish(builder)
}

fn zigzag(phase: (f32, f32)) -> Path {
    let mut builder = PathBuilder::new();
    for y in stations(phase.1, PERIOD) {
        for (corner, x) in stations(phase.0, PERIOD * 0.55).enumerate() {
            match corner {
                0 => builder.move_to(x, y),
                odd if odd % 2 == 1 => builder.line_to(x, y + PERIOD * 0.5),
                _ => builder.line_to(x, y),
            }
        }
    }
    stroked(&finish(builder), PERIOD * 0.3)
}
