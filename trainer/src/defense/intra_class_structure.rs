//! Intra-class structure: an attacked anchor must stay nearer to its benign self than another picture of its class is.
//!
//! Without it, training against hard triplets flattens a class into one point, and clean retrieval suffers.
//!
//! Source: Zhou & Patel, arXiv 2203.01439.

use candle_core::Tensor;
use holdfast_model::Result;
use serde::{Deserialize, Serialize};

use crate::triplet::Embedded;

/// How much the term counts, and from where on.
#[doc(alias = "ICS")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntraClassStructure {
    /// The factor λ of the term in the loss, above 0: 0.5, and 0.05 in the paper on SOP.
    pub weight: f64,
    /// By how much the other picture must be farther away, in [0, 2].
    pub margin: f64,
}

impl Default for IntraClassStructure {
    fn default() -> Self {
        Self { weight: 0.5, margin: 0.0 }
    }
}

impl IntraClassStructure {
    /// Every value that makes no sense, named by its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let Self { weight, margin } = self;
        let mut problems = Vec::new();
        if !(weight.is_finite() && *weight > 0.0) {
            problems.push(format!(
                "defense.intra_class_structure.weight must be above 0, got {weight}; leave the table out for none"
            ));
        }
        if !(0.0..=2.0).contains(margin) {
            problems.push(format!("defense.intra_class_structure.margin must lie in [0, 2], got {margin}"));
        }
        problems
    }
}

/// mean over T of max(0, margin + d(a, ã) − d(a, p)): a triplet loss whose positive is the attacked anchor.
///
/// Benign anchors, attacked anchors and benign positives, (T, D) unit rows each; the gradient flows through all three.
///
/// # Errors
/// If the shapes differ.
pub fn loss(anchors: &Tensor, attacked_anchors: &Tensor, positives: &Tensor, margin: f64) -> Result<Tensor> {
    Embedded { anchors: anchors.clone(), positives: attacked_anchors.clone(), negatives: positives.clone() }
        .loss(margin)
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
        let loss = loss(&row(1.0, 0.0), &row(1.0, 0.0), &row(0.0, 1.0), 0.0).unwrap();

        assert_eq!(loss.to_scalar::<f64>().unwrap(), 0.0);
    }

    #[test]
    fn an_anchor_moved_farther_costs_the_difference() {
        let loss = loss(&row(1.0, 0.0), &row(-1.0, 0.0), &row(0.0, 1.0), 0.0).unwrap();

        assert!((loss.to_scalar::<f64>().unwrap() - (2.0 - 2f64.sqrt())).abs() < 1e-5);
    }

    #[test]
    fn a_margin_asks_for_more_room() {
        let loss = loss(&row(1.0, 0.0), &row(1.0, 0.0), &row(0.0, 1.0), 1.5).unwrap();

        assert!((loss.to_scalar::<f64>().unwrap() - (1.5 - 2f64.sqrt())).abs() < 1e-5);
    }
}
