//! Triplets of embeddings: their hardness and their loss.
//!
//! A triplet (a, p, n) is an anchor, a positive of the same class and a negative of another. Its *hardness*
//! H = d(a, p) − d(a, n) lies in [−2, 2] on the unit sphere; the net learns to make it smaller than −margin.

use candle_core::Tensor;
use holdfast_model::{Result, distance::pairwise_distance};

/// The margin γ of the loss and of semihard mining, for Euclidean distances on the unit sphere.
pub const MARGIN: f64 = 0.2;

/// The embeddings of T triplets, row by row: three tensors (T, D) of unit rows.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// The anchors a.
    pub anchors: Tensor,
    /// The positives p.
    pub positives: Tensor,
    /// The negatives n.
    pub negatives: Tensor,
}

impl Embedded {
    /// Splits a stack `[anchors; positives; negatives]` (3T, D) into its three parts.
    ///
    /// # Errors
    /// If it is no stack of rows.
    pub fn split(stack: &Tensor) -> Result<Self> {
        let triplets = stack.dim(0)? / 3;
        Ok(Self {
            anchors: stack.narrow(0, 0, triplets)?,
            positives: stack.narrow(0, triplets, triplets)?,
            negatives: stack.narrow(0, 2 * triplets, triplets)?,
        })
    }

    /// The hardness d(a, p) − d(a, n) of every triplet: (T).
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn hardness(&self) -> Result<Tensor> {
        let to_positive = pairwise_distance(&self.anchors, &self.positives)?;
        let to_negative = pairwise_distance(&self.anchors, &self.negatives)?;
        Ok((to_positive - to_negative)?)
    }

    /// The triplet loss: mean over T of max(0, margin + d(a, p) − d(a, n)).
    ///
    /// Triplets without loss count in the denominator. The gradient is 0 where the hinge is exactly 0.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn loss(&self, margin: f64) -> Result<Tensor> {
        Ok(holdfast_ops::relu(&(self.hardness()? + margin)?)?.mean_all()?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn embedded(anchors: &[[f64; 2]], positives: &[[f64; 2]], negatives: &[[f64; 2]]) -> Embedded {
        let tensor = |rows: &[[f64; 2]]| Tensor::from_vec(rows.concat(), (rows.len(), 2), &Device::Cpu).unwrap();
        Embedded { anchors: tensor(anchors), positives: tensor(positives), negatives: tensor(negatives) }
    }

    #[test]
    fn a_positive_opposite_and_a_negative_at_a_right_angle_is_as_hard_as_two_minus_root_two() {
        let triplet = embedded(&[[1.0, 0.0]], &[[-1.0, 0.0]], &[[0.0, 1.0]]);

        let hardness = triplet.hardness().unwrap().to_vec1::<f64>().unwrap();

        assert!((hardness[0] - (2.0 - 2f64.sqrt())).abs() < 1e-5, "{hardness:?}");
    }

    #[test]
    fn a_triplet_easier_than_the_margin_costs_nothing_and_still_counts() {
        let easy_and_hard =
            embedded(&[[1.0, 0.0], [1.0, 0.0]], &[[1.0, 0.0], [-1.0, 0.0]], &[[-1.0, 0.0], [-1.0, 0.0]]);

        let loss = easy_and_hard.loss(MARGIN).unwrap().to_scalar::<f64>().unwrap();

        assert!((loss - MARGIN / 2.0).abs() < 1e-5, "{loss}");
    }

    #[test]
    fn a_stack_splits_into_anchors_positives_and_negatives_in_this_order() {
        let stack = Tensor::arange(0f64, 6.0, &Device::Cpu).unwrap().reshape((6, 1)).unwrap();

        let split = Embedded::split(&stack).unwrap();

        assert_eq!(split.anchors.flatten_all().unwrap().to_vec1::<f64>().unwrap(), [0.0, 1.0]);
        assert_eq!(split.positives.flatten_all().unwrap().to_vec1::<f64>().unwrap(), [2.0, 3.0]);
        assert_eq!(split.negatives.flatten_all().unwrap().to_vec1::<f64>().unwrap(), [4.0, 5.0]);
    }
}
