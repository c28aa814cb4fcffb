//! The rules of the miners: which rows may become the negative, and the positive, of one anchor.
//!
//! Pure functions of one row of distances. All comparisons are strict, and distances are squared before they are
//! compared, as in the published miners; a comparison with NaN is false, and NaN is the maximum and the minimum of
//! any set that holds it.

use rand::{Rng, RngCore};

use super::{Hardness, uniform};
use crate::error::{Error, Result};

/// One anchor's view of the batch.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// The anchor's row, an even number; its partner is the next row.
    pub anchor: usize,
    /// The distances from the anchor to all rows; 0 to itself.
    pub distances: &'a [f64],
    /// The labels of all rows.
    pub labels: &'a [u32],
    /// The dimension of the embeddings.
    pub dim: usize,
}

/// How a negative is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Draw {
    /// Each of these rows is equally likely.
    Uniform(Vec<usize>),
    /// Row j has the probability at position j.
    Weighted(Vec<f64>),
}

impl Draw {
    pub(super) fn draw(&self, rng: &mut dyn RngCore) -> usize {
        match self {
            Self::Uniform(rows) => uniform(rows, rng),
            Self::Weighted(probabilities) => weighted(probabilities, rng.random()),
        }
    }
}

impl Candidates<'_> {
    /// How the negative is drawn.
    ///
    /// Where a rule matches no row, any row of another class will do; where there is none, any row at all.
    ///
    /// # Errors
    /// If the hardest negative is asked for and there is no row of another class away from the anchor.
    pub fn negative(&self, hardness: Hardness, margin: f64) -> Result<Draw> {
        let rule = match hardness {
            Hardness::Random => Vec::new(),
            Hardness::Semihard => self.semihard_negatives(margin),
            Hardness::Softhard => self.softhard_negatives(),
            Hardness::DistanceWeighted => return Ok(Draw::Weighted(self.distance_weights())),
            Hardness::Hardest => return Ok(Draw::Uniform(vec![self.hardest_negative()?])),
        };
        let everyone = || (0..self.labels.len()).collect();
        Ok(Draw::Uniform(first_not_empty(rule, || first_not_empty(self.negatives(), everyone))))
    }

    /// The rows from which the positive is drawn uniformly: the partner, or the softhard miner's set.
    ///
    /// The softhard set is the rows of the anchor's class farther away than its nearest negative; if there is none, the
    /// whole class, *the anchor itself included*; if all rows are of the anchor's class, its partner.
    #[must_use]
    pub fn positives(&self, hardness: Hardness) -> Vec<usize> {
        let negatives = self.negatives();
        if hardness != Hardness::Softhard || negatives.is_empty() {
            return vec![self.anchor + 1];
        }
        let nearest = minimum(negatives.iter().map(|&row| self.distances[row]));
        let mut far = self.same_class();
        far.retain(|&row| square(self.distances[row]) > square(nearest));
        first_not_empty(far, || self.same_class())
    }

    fn semihard_negatives(&self, margin: f64) -> Vec<usize> {
        let to_positive = self.distances[self.anchor + 1];
        let mut rows = self.negatives();
        rows.retain(|&row| {
            let to_negative = self.distances[row];
            square(to_positive) < square(to_negative) && to_positive - to_negative + margin > 0.0
        });
        rows
    }

    fn softhard_negatives(&self) -> Vec<usize> {
        let farthest = maximum(self.same_class().iter().map(|&row| self.distances[row]));
        let mut rows = self.negatives();
        rows.retain(|&row| square(self.distances[row]) < square(farthest));
        rows
    }

    /// The probability of each row, inverse to the density of distances on the sphere.
    ///
    /// With ln w = (2 − D) ln d − (D − 3)/2 · ln(1 − d²/4), scaled by the largest. If no weight is left (all distances
    /// 0 or NaN, or one class only), every row is equally likely, the anchor's class included.
    ///
    /// Source: robrank's miner, which has no lower cut-off of the distance.
    fn distance_weights(&self) -> Vec<f64> {
        let dim = self.dim as f64;
        let is_negative = |row: usize| self.labels[row] != self.label();
        let logarithm = |row: usize| match is_negative(row) {
            true => {
                let distance = self.distances[row];
                (2.0 - dim) * distance.ln() - (dim - 3.0) / 2.0 * (1.0 - square(distance) / 4.0).ln()
            }
            false => 0.0,
        };
        let logarithms: Vec<f64> = (0..self.labels.len()).map(logarithm).collect();
        let largest = maximum(logarithms.iter().copied());
        let weight = |row: usize| match (logarithms[row] - largest).exp() {
            weight if is_negative(row) && !weight.is_nan() => weight,
            _ => 0.0,
        };
        let weights: Vec<f64> = (0..self.labels.len()).map(weight).collect();
        let total: f64 = weights.iter().sum();
        if total == 0.0 {
            return vec![1.0 / weights.len() as f64; weights.len()];
        }
        weights.into_iter().map(|weight| weight / total).collect()
    }

    fn hardest_negative(&self) -> Result<usize> {
        // A NaN distance wins, even to a row of the anchor's own class: a product with NaN is not zero.
        let masked = |row: usize| f64::from(self.labels[row] != self.label()) * self.distances[row];
        let mut choices = (0..self.labels.len()).filter(|&row| masked(row) != 0.0);
        let first =
            choices.next().ok_or(Error::NoNegative { miner: "hardest", anchor: self.anchor, label: self.label() })?;
        let nearer = |best: usize, row: usize| match self.distances[row] {
            distance if self.distances[best].is_nan() || distance >= self.distances[best] => best,
            _ => row,
        };
        Ok(choices.fold(first, nearer))
    }

    fn label(&self) -> u32 {
        self.labels[self.anchor]
    }

    /// All rows of the anchor's class, the anchor itself included.
    fn same_class(&self) -> Vec<usize> {
        (0..self.labels.len()).filter(|&row| self.labels[row] == self.label()).collect()
    }

    fn negatives(&self) -> Vec<usize> {
        (0..self.labels.len()).filter(|&row| self.labels[row] != self.label()).collect()
    }
}

fn first_not_empty(rows: Vec<usize>, otherwise: impl FnOnce() -> Vec<usize>) -> Vec<usize> {
    if rows.is_empty() { otherwise() } else { rows }
}

fn square(value: f64) -> f64 {
    value * value
}

fn maximum(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NEG_INFINITY, |best, value| if best.is_nan() || value <= best { best } else { value })
}

fn minimum(values: impl Iterator<Item = f64>) -> f64 {
    -maximum(values.map(|value| -value))
}

/// The first row at which the cumulative probability exceeds `quantile` in [0, 1).
fn weighted(probabilities: &[f64], quantile: f64) -> usize {
    let mut cumulative = 0.0;
    let mut last_possible = 0;
    for (row, &probability) in probabilities.iter().enumerate().filter(|(_, probability)| **probability > 0.0) {
        cumulative += probability;
        last_possible = row;
        if quantile < cumulative {
            break;
        }
    }
    // Rounding may leave the sum just below 1: the last row with any probability takes the rest.
    last_possible
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [u32; 6] = [0, 0, 1, 1, 2, 0];

    fn of(distances: &[f64]) -> Candidates<'_> {
        Candidates { anchor: 0, distances, labels: &LABELS[..distances.len()], dim: 8 }
    }

    #[test]
    fn a_semihard_negative_is_farther_than_the_partner_by_less_than_the_margin() {
        let candidates = [0.0, 0.5, 0.4, 0.6, 0.9, 0.1];

        assert_eq!(of(&candidates).negative(Hardness::Semihard, 0.2).unwrap(), Draw::Uniform(vec![3]));
        assert_eq!(of(&candidates).negative(Hardness::Semihard, 1.0).unwrap(), Draw::Uniform(vec![3, 4]));
    }

    #[test]
    fn a_softhard_triplet_has_a_near_negative_and_a_far_positive_of_the_whole_batch() {
        let candidates = [0.0, 0.5, 0.4, 0.6, 0.9, 0.7];

        assert_eq!(of(&candidates).negative(Hardness::Softhard, 0.2).unwrap(), Draw::Uniform(vec![2, 3]));
        assert_eq!(of(&candidates).positives(Hardness::Softhard), [1, 5]);
    }

    #[test]
    fn where_the_softhard_rule_matches_nothing_the_anchor_may_be_its_own_positive() {
        let separated = [0.0, 0.1, 0.8, 0.9, 0.9, 0.2];

        assert_eq!(of(&separated).negative(Hardness::Softhard, 0.2).unwrap(), Draw::Uniform(vec![2, 3, 4]));
        assert_eq!(of(&separated).positives(Hardness::Softhard), [0, 1, 5]);
    }

    #[test]
    fn a_batch_of_one_class_draws_any_row_and_the_hardest_miner_refuses_it() {
        let one_class = [0.0, 0.3];

        assert_eq!(of(&one_class).negative(Hardness::Semihard, 0.2).unwrap(), Draw::Uniform(vec![0, 1]));
        assert_eq!(of(&one_class).positives(Hardness::Softhard), [1]);
        assert!(of(&one_class).negative(Hardness::Hardest, 0.2).is_err());
    }

    #[test]
    fn the_hardest_negative_is_the_first_of_the_nearest_and_never_coincides_with_the_anchor() {
        assert_eq!(
            of(&[0.0, 0.1, 0.0, 0.5, 0.5, 0.1]).negative(Hardness::Hardest, 0.2).unwrap(),
            Draw::Uniform(vec![3])
        );
    }

    #[test]
    fn nan_fails_every_comparison_and_wins_the_hardest_search() {
        let duplicate = [0.0, f64::NAN, 0.4, 0.6, 0.9, 0.7];
        let negatives = Draw::Uniform(vec![2, 3, 4]);

        assert_eq!(of(&duplicate).negative(Hardness::Semihard, 0.2).unwrap(), negatives);
        assert_eq!(of(&duplicate).negative(Hardness::Softhard, 0.2).unwrap(), negatives);
        assert_eq!(of(&duplicate).negative(Hardness::Hardest, 0.2).unwrap(), Draw::Uniform(vec![1]));
    }

    #[test]
    fn distance_weights_prefer_near_negatives_and_give_the_own_class_nothing() {
        let Draw::Weighted(probabilities) =
            of(&[0.0, 0.5, 0.4, 0.6, 0.9, 0.7]).negative(Hardness::DistanceWeighted, 0.2).unwrap()
        else {
            panic!("the distance-weighted draw is weighted")
        };

        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!([probabilities[0], probabilities[1], probabilities[5]], [0.0; 3]);
        assert!(probabilities[2] > probabilities[3] && probabilities[3] > probabilities[4]);
    }

    #[test]
    fn a_weighted_draw_follows_the_quantile_and_skips_impossible_rows() {
        let probabilities = [0.0, 0.25, 0.0, 0.75, 0.0];

        assert_eq!(weighted(&probabilities, 0.0), 1);
        assert_eq!(weighted(&probabilities, 0.2499), 1);
        assert_eq!(weighted(&probabilities, 0.25), 3);
        assert_eq!(weighted(&[0.3, 0.7 - 1e-9, 0.0], 1.0 - 1e-12), 1);
    }
}
