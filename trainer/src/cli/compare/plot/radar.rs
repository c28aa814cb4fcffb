//! One axis an attack, 0 (defenseless) in the middle, 100 (unmoved) at the rim.

use std::f64::consts::TAU;

use holdfast_attack::ERS_TERMS;

use super::drawing::{Anchor, Drawing, Pen, Point};
use super::{PALE, Subject, TEXT, THIN, shortened};

const RADIUS: f64 = 190.0;
const TOP: f64 = 80.0;
const LEGEND_ROW: f64 = 22.0;
/// Names in the legend are cut to so many characters, so that two fit beside each other.
const NAME: usize = 34;

/// Draws the panel between `left` and `left + width`.
pub fn draw(drawing: &mut Drawing, (left, width): (f64, f64), nets: &[(Pen, &Subject)]) {
    let centre = (left + width / 2.0, TOP + 46.0 + RADIUS);
    let heading = "score under each attack (0 defenseless … 100 unmoved)";
    drawing.words((left + width / 2.0, TOP), Anchor::Middle, 15.0, TEXT, heading);
    // Attacks that nobody measured have no axis.
    let is_measured = |&term: &usize| nets.iter().any(|(_, net)| net.scores[term].is_some());
    let axes: Vec<usize> = (0..ERS_TERMS.len()).filter(is_measured).collect();
    if axes.len() < 3 {
        drawing.words(centre, Anchor::Middle, 14.0, PALE, "a radar needs three attacks");
    } else {
        grid(drawing, centre, &axes);
        nets.iter().for_each(|(pen, net)| outline(drawing, centre, &axes, *pen, net));
    }
    legend(drawing, (left + 20.0, centre.1 + RADIUS + 54.0), width - 20.0, nets);
}

/// Where a score lies on the axis of this number.
fn place((x, y): Point, axis: usize, axes: usize, score: f64) -> Point {
    let angle = TAU * axis as f64 / axes as f64;
    let distance = RADIUS * score.clamp(0.0, 100.0) / 100.0;
    (x + distance * angle.sin(), y - distance * angle.cos())
}

fn grid(drawing: &mut Drawing, centre: Point, axes: &[usize]) {
    let count = axes.len();
    for ring in [25.0, 50.0, 75.0, 100.0] {
        drawing.polygon((0..count).map(|axis| place(centre, axis, count, ring)).collect(), THIN, None);
    }
    for (axis, &term) in axes.iter().enumerate() {
        drawing.line(centre, place(centre, axis, count, 100.0), THIN);
        let (x, y) = place(centre, axis, count, 100.0);
        let (dx, dy) = (x - centre.0, y - centre.1);
        let anchor = match dx {
            dx if dx.abs() < 8.0 => Anchor::Middle,
            dx if dx > 0.0 => Anchor::Start,
            _ => Anchor::End,
        };
        drawing.words((x + dx * 0.05, y + dy * 0.08 + 5.0), anchor, 14.0, TEXT, ERS_TERMS[term]);
    }
    for ring in [50.0, 100.0] {
        let (x, y) = place(centre, 0, count, ring);
        drawing.words((x + 5.0, y + 13.0), Anchor::Start, 11.0, PALE, &format!("{ring}"));
    }
}

/// The net's scores as a closed line; open where an attack was not measured.
fn outline(drawing: &mut Drawing, centre: Point, axes: &[usize], pen: Pen, net: &Subject) {
    let score = |(axis, &term): (usize, &usize)| Some(place(centre, axis, axes.len(), net.scores[term]?));
    let measured: Vec<Point> = axes.iter().enumerate().filter_map(score).collect();
    let dots = if net.published { Vec::new() } else { measured.clone() };
    if measured.len() == axes.len() {
        drawing.polygon(measured, pen, (!net.published).then_some((pen.colour, 0.08)));
    } else {
        drawing.lines(measured, pen);
    }
    for dot in dots {
        drawing.disc(dot, 3.0, pen, pen.colour);
    }
}

/// Two nets a row.
fn legend(drawing: &mut Drawing, (left, top): Point, width: f64, nets: &[(Pen, &Subject)]) {
    for (number, (pen, net)) in nets.iter().enumerate() {
        let x = left + (number % 2) as f64 * width / 2.0;
        let y = top + (number / 2) as f64 * LEGEND_ROW;
        drawing.line((x, y), (x + 28.0, y), Pen { width: 3.0, ..*pen });
        let name = if net.published { format!("paper: {}", net.name) } else { net.name.clone() };
        drawing.words((x + 36.0, y + 5.0), Anchor::Start, 14.0, TEXT, &shortened(&name, NAME));
    }
}
