//! Intra-class structure: an attacked anchor must stay nearer to its benign self than another picture of its class is.
//!
//! Without it, training against hard triplets flattens a class into one point, and clean retrieval suffers.
//!
//! Source: Zhou & Patel, arXiv 2203.01439; margin 0.

use candle_core::Tensor;
use holdfast_model::Result;
use serde::{Deserialize, Serialize};

use crate::triplet::Embedded;

/// How much the term counts.
#[doc(alias = "ICS")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntraClassStructure {
    /// The factor λ of the term in the loss.
    pub weight: f64,
}

impl Default for IntraClassStructure {
    fn default() -> Self {
        Self { weight: 0.5 }
    }
}

/// mean over T of max(0, d(a, ã) − d(a, p)): a triplet loss whose positive is the attacked anchor, with margin 0.
///
/// Benign anchors, attacked anchors and benign positives, (T, D) unit rows each; the gradient flows through all three.
///
/// # Errors
/// If the shapes differ.
pub fn loss(anchors: &Tensor, attacked_anchors: &Tensor, positives: &Tensor) -> Result<Tensor> {
    Embedded { anchors: anchors.clone(), positives: attacked_anchors.clone(), negatives: positives.clone() }.loss(0.0)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn row(x: f64, y: f64) -> Tensor {
        Tensor::new(&[[x, y]], &Device::Cpu).unwrap()
    }

    #[test]
    fn an_anchor_moved_less_than_its_class_is_wide_costs_nothing() {
        let loss = loss(&row(1.0, 0.0), &row(1.0, 0.0), &row(0.0, 1.0)).unwrap();

        assert_eq!(loss.to_scalar::<f64>().unwrap(), 0.0);
    }

    #[test]
    fn an_anchor_moved_farther_costs_the_difference() {
        let loss = loss(&row(1.0, 0.0), &row(-1.0, 0.0), &row(0.0, 1.0)).unwrap();

        assert!((loss.to_scalar::<f64>().unwrap() - (2.0 - 2f64.sqrt())).abs() < 1e-5);
    }
}
