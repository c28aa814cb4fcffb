//! What robustness costs: the robustness score against clean retrieval, and the nets that no other beats in both.

use super::drawing::{Anchor, Drawing, Pen, Point};
use super::{GRID, PALE, PAPER, Subject, TEXT, THIN, shortened};

const TOP: f64 = 110.0;
const BOTTOM: f64 = 590.0;
/// Room for the numbers of the vertical axis.
const AXIS: f64 = 60.0;
const NAME: usize = 32;
const LABEL: f64 = 13.0;
/// Mean width of a letter over its size, in a sans-serif font.
const LETTER: f64 = 0.56;

/// A rectangle: left, top, right, bottom.
type Area = (f64, f64, f64, f64);

struct Mark<'a> {
    at: Point,
    pen: Pen,
    net: &'a Subject,
}

/// From numbers to places in the panel.
struct Scale {
    left: f64,
    right: f64,
    recall: (f64, f64),
    ers: (f64, f64),
}

/// Draws the panel between `left` and `left + width`.
pub fn draw(drawing: &mut Drawing, (left, width): (f64, f64), nets: &[(Pen, &Subject)]) {
    let heading = "robustness against retrieval (up and right is better)";
    drawing.words((left + width / 2.0, 80.0), Anchor::Middle, 15.0, TEXT, heading);
    let shown: Vec<(Pen, &Subject, f64)> = nets.iter().filter_map(|&(pen, net)| Some((pen, net, net.ers?))).collect();
    if shown.is_empty() {
        let middle = (left + width / 2.0, f64::midpoint(TOP, BOTTOM));
        drawing.words(middle, Anchor::Middle, 14.0, PALE, "no robustness score: it needs all ten attacks");
        return;
    }
    let scale = Scale {
        left: left + AXIS,
        right: left + width - 10.0,
        recall: range(shown.iter().map(|(_, net, _)| net.recall_at_1)),
        ers: range(shown.iter().map(|&(.., ers)| ers)),
    };
    scale.axes(drawing);
    let marks: Vec<Mark<'_>> = shown
        .into_iter()
        .map(|(pen, net, ers)| {
            let pen = Pen { width: 2.0, dash: (0.0, 0.0), ..pen };
            Mark { at: (scale.x(net.recall_at_1), scale.y(ers)), pen, net }
        })
        .collect();
    unbeaten(drawing, &marks);
    for Mark { at, pen, net } in &marks {
        // One's own nets are discs, published ones are rings.
        let (radius, fill) = if net.published { (5.0, PAPER) } else { (8.0, pen.colour) };
        drawing.disc(*at, radius, *pen, fill);
    }
    labels(drawing, &marks, (scale.left, TOP, scale.right, BOTTOM));
}

/// Values with room around them, between multiples of five.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    (((low - 3.0) / 5.0).floor() * 5.0, ((high + 3.0) / 5.0).ceil() * 5.0)
}

impl Scale {
    fn x(&self, recall: f64) -> f64 {
        self.left + (recall - self.recall.0) / (self.recall.1 - self.recall.0) * (self.right - self.left)
    }

    fn y(&self, ers: f64) -> f64 {
        BOTTOM - (ers - self.ers.0) / (self.ers.1 - self.ers.0) * (BOTTOM - TOP)
    }

    fn axes(&self, drawing: &mut Drawing) {
        for value in ticks(self.recall) {
            let x = self.x(value);
            drawing.line((x, TOP), (x, BOTTOM), THIN);
            drawing.words((x, BOTTOM + 20.0), Anchor::Middle, 13.0, TEXT, &format!("{value}"));
        }
        for value in ticks(self.ers) {
            let y = self.y(value);
            drawing.line((self.left, y), (self.right, y), THIN);
            drawing.words((self.left - 10.0, y + 4.5), Anchor::End, 13.0, TEXT, &format!("{value}"));
        }
        let middle = (f64::midpoint(self.left, self.right), f64::midpoint(TOP, BOTTOM));
        drawing.words((middle.0, BOTTOM + 46.0), Anchor::Middle, 14.0, TEXT, "R@1 on clean pictures, %");
        drawing.upright_words((self.left - 42.0, middle.1), 14.0, TEXT, "empirical robustness score (ERS)");
    }
}

/// Round numbers inside a range, ten at most.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let step = [1.0, 2.0, 5.0, 10.0, 20.0].into_iter().find(|step| (high - low) / step <= 10.0).unwrap_or(20.0);
    let first = (low / step).ceil() as usize;
    (first..).map(|number| number as f64 * step).take_while(|&value| value <= high + 1e-9).collect()
}

/// A step line through the nets that no other beats in both.
fn unbeaten(drawing: &mut Drawing, marks: &[Mark<'_>]) {
    let beaten = |(x, y): Point| marks.iter().any(|other| other.at.0 >= x && other.at.1 <= y && other.at != (x, y));
    let mut corners: Vec<Point> = marks.iter().map(|mark| mark.at).filter(|&at| !beaten(at)).collect();
    corners.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut steps: Vec<Point> = Vec::new();
    for corner in corners {
        steps.extend(steps.last().map(|before| (before.0, corner.1)));
        steps.push(corner);
    }
    drawing.lines(steps, Pen { colour: GRID, width: 4.0, dash: (0.0, 0.0) });
}

/// Writes every name where it covers no marker and no other name, one's own nets first; a thin line leads to it.
fn labels(drawing: &mut Drawing, marks: &[Mark<'_>], panel: Area) {
    let around = |mark: &Mark<'_>| (mark.at.0 - 9.0, mark.at.1 - 9.0, mark.at.0 + 9.0, mark.at.1 + 9.0);
    let mut taken: Vec<Area> = marks.iter().map(around).collect();
    for Mark { at, pen, net } in marks.iter().rev() {
        let name = shortened(&net.name, NAME);
        let candidates = places(*at, name.chars().count() as f64 * LABEL * LETTER);
        let free = |place: &&Area| is_inside(**place, panel) && !taken.iter().any(|other| overlap(**place, *other));
        let Some(&place) = candidates.iter().find(free).or_else(|| candidates.first()) else { continue };
        let nearest = (at.0.clamp(place.0, place.2), at.1.clamp(place.1, place.3));
        if (nearest.0 - at.0).hypot(nearest.1 - at.1) > 16.0 {
            drawing.line(*at, nearest, Pen { width: 0.8, ..*pen });
        }
        let colour = if net.published { PALE } else { TEXT };
        let baseline = (f64::midpoint(place.0, place.2), place.3 - 4.0);
        drawing.words(baseline, Anchor::Middle, LABEL, colour, &name);
        taken.push(place);
    }
}

/// Where a name of this width may stand, the nearest places first.
fn places((x, y): Point, width: f64) -> Vec<Area> {
    let height = LABEL + 4.0;
    let mut places = Vec::new();
    for gap in [11.0, 24.0, 40.0, 60.0, 84.0, 112.0] {
        let (right, left) = (x + gap, x - gap - width);
        let (above, below, level) = (y - gap - height, y + gap, y - height / 2.0);
        let centred = x - width / 2.0;
        for (left, top) in [
            (right, level),
            (left, level),
            (centred, above),
            (centred, below),
            (right, above),
            (right, below),
            (left, above),
            (left, below),
        ] {
            places.push((left, top, left + width, top + height));
        }
    }
    places
}

fn overlap(a: Area, b: Area) -> bool {
    a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3
}

fn is_inside(a: Area, panel: Area) -> bool {
    a.0 >= panel.0 && a.1 >= panel.1 && a.2 <= panel.2 && a.3 <= panel.3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks((20.0, 65.0)), [20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0]);
        assert_eq!(ticks((0.0, 100.0)).len(), 11);
    }

    #[test]
    fn names_that_would_cover_each_other_move_apart() {
        let mut drawing = Drawing::new((600.0, 600.0), PAPER);
        let net = |name: &str| Subject {
            name: name.into(),
            recall_at_1: 50.0,
            ers: Some(50.0),
            scores: vec![None; 10],
            published: false,
        };
        let (one, other) = (net("one"), net("other"));
        let mark = |net| Mark { at: (300.0, 300.0), pen: THIN, net };

        labels(&mut drawing, &[mark(&one), mark(&other)], (0.0, 0.0, 600.0, 600.0));

        let svg = drawing.svg();
        let places: Vec<&str> = svg
            .lines()
            .filter(|line| line.starts_with("<text"))
            .filter_map(|line| line.split(" text-anchor").next())
            .collect();
        assert_eq!(places.len(), 2);
        assert_ne!(places[0], places[1]);
    }
}
