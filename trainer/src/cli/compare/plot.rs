//! Nets side by side as a picture: a radar of attack scores, and robustness against retrieval.

mod drawing;
mod frontier;
mod radar;

pub use drawing::Drawing;
use drawing::{Anchor, Colour, Pen};

const SIZE: (f64, f64) = (1240.0, 680.0);
/// Where the two panels lie: left edge and width.
const RADAR: (f64, f64) = (20.0, 560.0);
const FRONTIER: (f64, f64) = (620.0, 600.0);

const PAPER: Colour = [0xFC, 0xFB, 0xF8];
const TEXT: Colour = [0x33, 0x38, 0x42];
const PALE: Colour = [0x6E, 0x73, 0x7C];
const GRID: Colour = [0xD9, 0xD6, 0xCF];
/// Colours that people with any kind of colour vision tell apart (Okabe and Ito), the darker ones first.
const COLOURS: [Colour; 7] = [
    [0x00, 0x72, 0xB2],
    [0xD5, 0x5E, 0x00],
    [0x00, 0x9E, 0x73],
    [0xCC, 0x79, 0xA7],
    [0xE6, 0x9F, 0x00],
    [0x56, 0xB4, 0xE9],
    [0x00, 0x00, 0x00],
];
const DASHES: [(f64, f64); 3] = [(0.0, 0.0), (8.0, 4.0), (2.0, 3.0)];

/// One net of the picture.
#[derive(Clone, Debug)]
pub struct Subject {
    pub name: String,
    /// Clean R@1 in percent.
    pub recall_at_1: f64,
    /// The robustness score, where all its terms were measured.
    pub ers: Option<f64>,
    /// The score of each attack, in the order of [`ERS_TERMS`](holdfast_attack::ERS_TERMS).
    pub scores: Vec<Option<f64>>,
    /// Whether it is a row of a paper.
    pub published: bool,
}

/// The line of one's own net of this number: a colour, and where those run out, a dash too.
fn own_pen(number: usize) -> Pen {
    let dash = DASHES[number / COLOURS.len() % DASHES.len()];
    Pen { colour: COLOURS[number % COLOURS.len()], width: 2.2, dash }
}

const PUBLISHED: Pen = Pen { colour: PALE, width: 2.0, dash: (4.0, 4.0) };
const THIN: Pen = Pen { colour: GRID, width: 1.0, dash: (0.0, 0.0) };

/// Draws the nets. The radar shows one's own and the best published one; the other panel shows all.
pub fn draw(title: &str, subjects: &[Subject]) -> Drawing {
    let own: Vec<(Pen, &Subject)> =
        subjects.iter().filter(|net| !net.published).enumerate().map(|(number, net)| (own_pen(number), net)).collect();
    let published: Vec<(Pen, &Subject)> =
        subjects.iter().filter(|net| net.published).map(|net| (PUBLISHED, net)).collect();
    let ers = |(_, net): &(Pen, &Subject)| net.ers.unwrap_or(0.0);
    let best = published.iter().copied().max_by(|a, b| ers(a).total_cmp(&ers(b)));

    let mut drawing = Drawing::new(SIZE, PAPER);
    drawing.words((24.0, 38.0), Anchor::Start, 22.0, TEXT, title);
    radar::draw(&mut drawing, RADAR, &own.iter().copied().chain(best).collect::<Vec<_>>());
    frontier::draw(&mut drawing, FRONTIER, &published.into_iter().chain(own).collect::<Vec<_>>());
    drawing
}

/// Words cut to at most `limit` characters.
fn shortened(words: &str, limit: usize) -> String {
    if words.chars().count() <= limit {
        return words.to_owned();
    }
    words.chars().take(limit - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn subject(name: &str, ers: Option<f64>, published: bool) -> Subject {
        Subject { name: name.into(), recall_at_1: 60.0, ers, scores: vec![Some(40.0); 10], published }
    }

    #[test]
    fn the_picture_names_every_net_attack_and_axis() {
        let subjects = [subject("mine", Some(30.0), false), subject("ACT[R], 8 steps", Some(31.0), true)];

        let svg = draw("CUB", &subjects).svg();

        for part in ["mine", "ACT[R], 8 steps", "CA+", "GTT", "R@1", "ERS"] {
            assert!(svg.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn a_net_without_robustness_score_is_drawn_all_the_same() {
        let svg = draw("one", &[subject("mine", None, false)]).svg();

        assert!(svg.contains("mine") && svg.contains("no robustness score"), "{svg}");
    }

    #[test]
    fn looks_differ_for_more_nets_than_there_are_colours() {
        let looks: BTreeSet<String> = (0..21).map(|number| format!("{:?}", own_pen(number))).collect();

        assert_eq!(looks.len(), 21);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("abcd", 4), "abcd");
    }
}
