//! How far a batch of triplets has collapsed, and the parts of a batch that the losses of CA-TRIDE look at.
//!
//! Everything here is of whole batches: an average over parts of a batch would be another number.

use candle_core::{DType, Tensor};
use holdfast_model::Result;
use serde::{Deserialize, Serialize};

use crate::miner::rows;

/// How much more a far distance counts in a batch than a near one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FarMean {
    /// The factor λ in front of a distance in the softmax, above 0: 10 for CUB, 9.5 for CARS, 2 for SOP.
    pub temperature: f64,
    /// Whether the weights are constants for the gradient. They are not in the published code, so that a distance
    /// below the mean by more than 1/λ is moved the other way.
    pub constant_weights: bool,
}

impl Default for FarMean {
    fn default() -> Self {
        Self { temperature: 10.0, constant_weights: false }
    }
}

impl FarMean {
    /// S(d), the mean of T distances weighted by softmax(λ d): a scalar between their mean and their maximum.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn of(&self, distances: &Tensor) -> Result<Tensor> {
        let weighing = if self.constant_weights { &distances.detach() } else { distances };
        let largest = distances.detach().max_keepdim(0)?;
        let weights = (weighing.broadcast_sub(&largest)? * self.temperature)?.exp()?;
        Ok(((&weights * distances)?.sum_all()? / weights.sum_all()?)?)
    }

    /// The collapseness C = S(to positives) − S(to negatives) of T triplets: above 0, the far positives are farther away
    /// than the far negatives.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn collapseness(&self, to_positives: &Tensor, to_negatives: &Tensor) -> Result<Tensor> {
        Ok((self.of(to_positives)? - self.of(to_negatives)?)?)
    }
}

/// The mean of the nearer half of T distances, ⌊T/2⌋ of them and at least one: a scalar.
///
/// # Errors
/// If a tensor operation fails.
pub fn near_half(distances: &Tensor) -> Result<Tensor> {
    let values = distances.detach().to_dtype(DType::F64)?.to_vec1::<f64>()?;
    let mut nearest: Vec<usize> = (0..values.len()).collect();
    nearest.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    nearest.truncate((values.len() / 2).max(1));
    Ok(rows(distances, &nearest)?.mean_all()?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn distances(values: &[f64]) -> Var {
        Var::new(values, &Device::Cpu).unwrap()
    }

    fn gradient(of: &Tensor, at: &Var) -> Vec<f64> {
        of.backward().unwrap().get(at).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_far_mean_lies_between_the_mean_and_the_maximum() {
        let d = distances(&[0.2, 0.5, 1.1]);
        let at =
            |temperature| FarMean { temperature, ..FarMean::default() }.of(&d).unwrap().to_scalar::<f64>().unwrap();

        assert!((at(1e-9) - 0.6).abs() < 1e-6);
        assert!((at(1e3) - 1.1).abs() < 1e-6);
        assert!(at(2.0) > 0.6 && at(10.0) > at(2.0) && at(10.0) < 1.1);
    }

    #[test]
    fn a_distance_far_below_the_far_mean_is_pushed_back_unless_the_weights_are_constant() {
        let d = distances(&[0.2, 0.5, 1.1]);

        let published = gradient(&FarMean::default().of(&d).unwrap(), &d);
        let constant = gradient(&FarMean { constant_weights: true, ..FarMean::default() }.of(&d).unwrap(), &d);

        assert!(published[0] < 0.0 && published[1] < 0.0 && published[2] > 0.0, "{published:?}");
        assert!(constant.iter().all(|&slope| slope > 0.0), "{constant:?}");
    }

    #[test]
    fn the_near_half_is_of_the_smallest_rounded_down_and_never_of_none() {
        let mean = |values: &[f64]| near_half(&distances(values)).unwrap().to_scalar::<f64>().unwrap();

        assert!((mean(&[0.9, 0.1, 0.5, 0.3, 0.7]) - 0.2).abs() < 1e-12);
        assert_eq!(mean(&[0.4]), 0.4);
    }
}
