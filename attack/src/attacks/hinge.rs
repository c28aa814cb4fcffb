//! The hinge of ranking losses, fused over the gallery: which items stand on the wrong side of a target?

use candle_core::{Tensor, WithDType};
use holdfast_ops::{DistanceLoss, scalar_of};
use rayon::prelude::*;

use super::Goal;
use crate::Result;
use crate::tensors::values_f64;

/// Independent partial sums, so that the compiler may add several elements at a time.
const LANES: usize = 16;

/// Σ over targets c and gallery items x of max(0, ±(d(e, c) − d(e, x))), for each query e.
///
/// The target's own distance is read from the same row, so that c against itself is exactly 0 and a query whose target
/// is where it should be rests, where separately computed distances would leave rounding noise.
#[derive(Debug)]
pub(super) struct Overtaking<'a> {
    pub goal: Goal,
    /// The same number of gallery rows for each query.
    pub targets: &'a [Vec<usize>],
}

impl DistanceLoss for Overtaking<'_> {
    fn term<T: WithDType>(&self, query: usize, distances: &[T], slopes: &mut [T]) -> T {
        let mut sum = T::zero();
        for &target in &self.targets[query] {
            let (violations, violators) = match self.goal {
                Goal::Raise => violations::<T, true>(distances[target], distances, slopes),
                Goal::Lower => violations::<T, false>(distances[target], distances, slopes),
            };
            sum += violations;
            match self.goal {
                Goal::Raise => slopes[target] += violators,
                Goal::Lower => slopes[target] -= violators,
            }
        }
        sum
    }
}

/// The sum and the number of positive terms target − distance (if `RAISE`, else distance − target); adds the derivative
/// of each in its distance to `slopes`. A tie is neither won nor lost: its derivative is 0.
#[inline(always)]
fn violations<T: WithDType, const RAISE: bool>(target: T, distances: &[T], slopes: &mut [T]) -> (T, T) {
    let (zero, one) = (T::zero(), T::one());
    let (mut sums, mut counts) = ([zero; LANES], [zero; LANES]);
    for (distances, slopes) in distances.chunks(LANES).zip(slopes.chunks_mut(LANES)) {
        for (((&distance, slope), sum), count) in distances.iter().zip(slopes).zip(&mut sums).zip(&mut counts) {
            let violation = if RAISE { target - distance } else { distance - target };
            let active = if violation > zero { one } else { zero };
            *sum += violation * active;
            *count += active;
            if RAISE {
                *slope -= active;
            } else {
                *slope += active;
            }
        }
    }
    let total = |lanes: [T; LANES]| lanes.into_iter().fold(zero, |total, lane| total + lane);
    (total(sums), total(counts))
}

/// Σ over columns j of max(0, ±(dᵢ − rᵢⱼ)) and its slope in dᵢ, for each row i of `rivals` and its distance dᵢ.
pub(super) fn hinges(goal: Goal, distances: &[f64], rivals: &super::Distances) -> Vec<(f64, f64)> {
    let term = |unused: &mut Vec<f64>, (row, &distance): (usize, &f64)| match goal {
        Goal::Raise => violations::<f64, true>(distance, rivals.row(row), unused),
        Goal::Lower => {
            let (sum, count) = violations::<f64, false>(distance, rivals.row(row), unused);
            (sum, -count)
        }
    };
    distances.par_iter().enumerate().map_init(|| vec![0.0; rivals.items()], term).collect()
}

/// Mean over rows i of `rivals` and their columns j of max(0, ±(dᵢ − rᵢⱼ)), of distances d (R) and constant rivals
/// (R, N): a scalar, differentiable in d.
pub(super) fn mean_hinge(goal: Goal, distances: &Tensor, rivals: &super::Distances) -> Result<Tensor> {
    let terms = hinges(goal, &values_f64(&distances.detach())?, rivals);
    let number = (rivals.len() * rivals.items()) as f64;
    let mean = terms.iter().map(|term| term.0).sum::<f64>() / number;
    let slopes: Vec<f64> = terms.iter().map(|term| term.1 / number).collect();
    let slopes = Tensor::from_vec(slopes, distances.dims(), distances.device())?.to_dtype(distances.dtype())?;
    Ok(scalar_of(distances, mean, Some(slopes))?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// The value and the slopes of one query whose target is item 2.
    fn term(goal: Goal, distances: [f64; 4]) -> (f64, [f64; 4]) {
        let mut slopes = [0.0; 4];
        let value = Overtaking { goal, targets: &[vec![2]] }.term(0, &distances, &mut slopes);
        (value, slopes)
    }

    #[test]
    fn only_violations_pull_and_a_tie_does_not() {
        assert_eq!(term(Goal::Raise, [1.0, 3.0, 3.0, 4.0]), (2.0, [-1.0, 0.0, 1.0, 0.0]));
        assert_eq!(term(Goal::Lower, [1.0, 3.0, 3.0, 7.0]), (4.0, [0.0, 0.0, -1.0, 1.0]));
    }

    #[test]
    fn the_mean_hinge_has_the_slope_of_its_violations() {
        let gallery = Tensor::new(&[[0.0], [2.0], [5.0]], &Device::Cpu).unwrap();
        let rivals = super::super::Distances::measure(&Tensor::new(&[[0.0]], &Device::Cpu).unwrap(), &gallery).unwrap();
        let distance = Var::new(&[2.0f64], &Device::Cpu).unwrap();

        for (goal, want, slope) in [(Goal::Raise, 2.0 / 3.0, 1.0 / 3.0), (Goal::Lower, 1.0, -1.0 / 3.0)] {
            let loss = mean_hinge(goal, &distance, &rivals).unwrap();
            let gradient = loss.backward().unwrap().remove(&distance).unwrap();

            assert_eq!(loss.to_scalar::<f64>().unwrap(), want, "{goal:?}");
            assert_eq!(gradient.to_vec1::<f64>().unwrap(), [slope], "{goal:?}");
        }
    }
}
