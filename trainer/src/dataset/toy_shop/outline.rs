//! Outlines: the path language in which products are written, and strokes as outlines.

use tiny_skia::{LineCap, LineJoin, Path, PathBuilder, Rect, Stroke};

/// An outline from text in SVG's path language, absolute commands `M L Q C Z` only.
///
/// Coordinates are grid units: a product lives on a 100 × 100 grid, y downwards. The texts are constants of this
/// program, so a malformed one is a bug and panics; a test reads every product.
pub(super) fn outline(text: &str) -> Path {
    let mut words = text.split_ascii_whitespace();
    let mut builder = PathBuilder::new();
    while let Some(command) = words.next() {
        let mut number = || -> f32 {
            words
                .next()
                .and_then(|word| word.parse().ok())
                .expect("outline commands have all their numbers. This is a bug.")
        };
        match command {
            "M" => builder.move_to(number(), number()),
            "L" => builder.line_to(number(), number()),
            "Q" => builder.quad_to(number(), number(), number(), number()),
            "C" => builder.cubic_to(number(), number(), number(), number(), number(), number()),
            "Z" => builder.close(),
            other => unreachable!("outline command {other:?} is one of M, L, Q, C, Z. This is a bug."),
        }
    }
    finish(builder)
}

/// An ellipse around (x, y) with radii `rx` and `ry`.
pub(super) fn oval(x: f32, y: f32, rx: f32, ry: f32) -> Path {
    let bounds = Rect::from_ltrb(x - rx, y - ry, x + rx, y + ry);
    let path = bounds.and_then(PathBuilder::from_oval);
    path.expect("radii are positive. This is a bug.")
}

/// The outline of a line of the given width with round caps and joins, so that a line can be projected like any shape.
pub(super) fn stroked(path: &Path, width: f32) -> Path {
    let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
    // Finer than the grid: the default would show corners on small arcs.
    path.stroke(&stroke, 4.0).expect("lines have a length and a width. This is a bug.")
}

/// A path from a builder that holds at least one segment.
pub(super) fn finish(builder: PathBuilder) -> Path {
    builder.finish().expect("outlines have at least one segment. This is a bug.")
}
