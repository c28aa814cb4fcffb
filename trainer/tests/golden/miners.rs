//! What each miner may choose, anchor by anchor, for batches that include duplicates and batches of one class.

use holdfast_model::testing::{Golden, assert_close};
use holdfast_trainer::miner::candidates::{Candidates, Draw};
use holdfast_trainer::miner::{Hardness, Mining};

use crate::RELATIVE;

/// One recorded batch.
struct Case<'a> {
    golden: &'a Golden,
    name: &'a str,
    labels: Vec<u32>,
    distances: Vec<f64>,
    dim: usize,
}

impl<'a> Case<'a> {
    fn all(golden: &'a Golden) -> Vec<Self> {
        let names = golden.keys().into_iter().filter_map(|key| key.strip_suffix("/labels"));
        let cases: Vec<Self> = names.map(|name| Self::read(golden, name)).collect();
        assert!(!cases.is_empty());
        cases
    }

    fn read(golden: &'a Golden, name: &'a str) -> Self {
        let key = |part: &str| format!("{name}/{part}");
        Self {
            labels: golden.labels(&key("labels")),
            distances: golden.f64s(&key("D")),
            dim: golden.tensor(&key("E")).dim(1).unwrap(),
            golden,
            name,
        }
    }

    fn key(&self, part: &str) -> String {
        format!("{}/{part}", self.name)
    }

    /// The rules' view of pair `pair`, over the recorded distances: those of duplicates are rounding noise.
    fn candidates(&self, pair: usize) -> Candidates<'_> {
        let (rows, anchor) = (self.labels.len(), 2 * pair);
        let distances = &self.distances[anchor * rows..(anchor + 1) * rows];
        Candidates { anchor, distances, labels: &self.labels, dim: self.dim }
    }

    /// Compares the recorded mask of each pair with the rows that `choose` returns.
    fn assert_sets(&self, part: &str, choose: impl Fn(Candidates<'_>) -> Vec<usize>) {
        let rows = self.labels.len();
        for (pair, mask) in self.golden.f64s(&self.key(part)).chunks(rows).enumerate() {
            let expected: Vec<usize> = (0..rows).filter(|&row| mask[row] != 0.0).collect();
            assert_eq!(choose(self.candidates(pair)), expected, "{}/{part}, pair {pair}", self.name);
        }
    }
}

fn negatives(candidates: Candidates<'_>, hardness: Hardness, margin: f64) -> Vec<usize> {
    match candidates.negative(hardness, margin).unwrap() {
        Draw::Uniform(rows) => rows,
        Draw::Weighted(_) => panic!("{hardness:?} draws uniformly"),
    }
}

#[test]
fn mining_distances_agree() {
    let Some(golden) = Golden::open("miners") else { return };
    for case in Case::all(&golden) {
        let mining = Mining::new(&golden.tensor(&case.key("E")), &case.labels).unwrap();
        let rows = case.labels.len();
        for row in 0..rows {
            let expected = &case.distances[row * rows..(row + 1) * rows];
            // Squares: the root of a duplicate's rounding noise is anything from 0 to 1e-8, or NaN.
            let squares = |distances: &[f64]| -> Vec<f64> {
                distances.iter().map(|d| if d.is_nan() { 0.0 } else { d * d }).collect()
            };
            let what = format!("squared distances from row {row} of {}", case.name);
            assert_close(&what, &squares(mining.distances_from(row)), &squares(expected), RELATIVE);
        }
    }
}

#[test]
fn candidate_sets_of_the_uniform_miners_agree() {
    let Some(golden) = Golden::open("miners") else { return };
    for case in Case::all(&golden) {
        case.assert_sets("random/neg_set", |candidates| negatives(candidates, Hardness::Random, 0.2));
        case.assert_sets("semihard/neg_set", |candidates| negatives(candidates, Hardness::Semihard, 0.2));
        case.assert_sets("semihard_m1.0/neg_set", |candidates| negatives(candidates, Hardness::Semihard, 1.0));
        case.assert_sets("softhard/neg_set", |candidates| negatives(candidates, Hardness::Softhard, 0.2));
        case.assert_sets("softhard/pos_set", |candidates| candidates.positives(Hardness::Softhard));
    }
}

#[test]
fn the_hardest_negative_agrees_and_a_batch_of_one_class_has_none() {
    let Some(golden) = Golden::open("miners") else { return };
    for case in Case::all(&golden) {
        if !golden.has(&case.key("hard/neg")) {
            assert!(case.candidates(0).negative(Hardness::Hardest, 0.2).is_err(), "{}", case.name);
            continue;
        }
        for (pair, expected) in golden.indices(&case.key("hard/neg")).into_iter().enumerate() {
            let got = negatives(case.candidates(pair), Hardness::Hardest, 0.2);
            assert_eq!(got, [expected], "{}, pair {pair}", case.name);
        }
    }
}

#[test]
fn distance_weighted_probabilities_agree() {
    let Some(golden) = Golden::open("miners") else { return };
    for case in Case::all(&golden) {
        let recorded = golden.f64s(&case.key("distance/neg_prob"));
        for (pair, expected) in recorded.chunks(case.labels.len()).enumerate() {
            let Draw::Weighted(got) = case.candidates(pair).negative(Hardness::DistanceWeighted, 0.2).unwrap() else {
                panic!("the distance-weighted draw is weighted")
            };
            assert_close(&format!("{}/distance/neg_prob, pair {pair}", case.name), &got, expected, RELATIVE);
        }
    }
}
