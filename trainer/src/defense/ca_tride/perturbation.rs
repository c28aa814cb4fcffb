//! The two attacks of CA-TRIDE: one moves positives and negatives around benign anchors, the other anchors among benign
//! positives and negatives. Both watch that the batch does not collapse.

use candle_core::Tensor;
use holdfast_model::Result;
use holdfast_model::distance::pairwise_distance;

use super::collapse::{FarMean, near_half};

/// Which pictures of the triplets the attack of a step moves; the two take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Perturbation {
    /// The stack `[positives; negatives]`.
    #[doc(alias = "CAP")]
    Candidates,
    /// The anchors.
    #[doc(alias = "ANP")]
    Anchors,
}

impl Perturbation {
    /// The one of the next step.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Candidates => Self::Anchors,
            Self::Anchors => Self::Candidates,
        }
    }
}

/// Positives are pushed away and negatives pulled up to benign anchors (T, D), until the batch is about to collapse.
#[derive(Clone, Debug)]
pub struct CandidateObjective {
    /// How far distances count.
    pub far: FarMean,
    /// The benign anchors (T, D).
    pub anchors: Tensor,
}

impl CandidateObjective {
    /// J = max(0, −C) of a stack `[positives; negatives]` (2T, D): a scalar.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn of(&self, embeddings: &Tensor) -> Result<Tensor> {
        let triplets = embeddings.dim(0)? / 2;
        let to_positives = pairwise_distance(&embeddings.narrow(0, 0, triplets)?, &self.anchors)?;
        let to_negatives = pairwise_distance(&self.anchors, &embeddings.narrow(0, triplets, triplets)?)?;
        Ok(holdfast_ops::relu(&self.far.collapseness(&to_positives, &to_negatives)?.neg()?)?)
    }
}

/// Anchors are pulled up to the negatives that are near already and pushed away from their benign selves, until they
/// have gone as far as the nearer negatives are.
#[derive(Clone, Debug)]
pub struct AnchorObjective {
    /// How far distances count.
    pub far: FarMean,
    /// The benign positives (T, D).
    pub positives: Tensor,
    /// The benign negatives (T, D).
    pub negatives: Tensor,
    /// The benign anchors: the first embeddings that the objective sees, so that they are the same to the last bit.
    start: Option<Tensor>,
}

impl AnchorObjective {
    /// The objective of anchors among these positives and negatives, (T, D) each.
    #[must_use]
    pub fn new(far: FarMean, positives: Tensor, negatives: Tensor) -> Self {
        Self { far, positives, negatives, start: None }
    }

    /// J = max(0, C) + exp(min(0, C)) · max(0, near half of d(a, n) − mean shift of a) of anchors (T, D): a scalar.
    ///
    /// The first anchors that it is asked about count as benign.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn of(&mut self, anchors: &Tensor) -> Result<Tensor> {
        let start = self.start.get_or_insert_with(|| anchors.detach());
        let shift = pairwise_distance(anchors, start)?.mean_all()?;
        let to_positives = pairwise_distance(&self.positives, anchors)?;
        let to_negatives = pairwise_distance(anchors, &self.negatives)?;
        let collapseness = self.far.collapseness(&to_positives, &to_negatives)?;
        // A number without a gradient: it weighs the second term, and decides when the attack ends.
        let weight = holdfast_ops::relu(&collapseness.detach().neg()?)?.neg()?.exp()?;
        let ahead = holdfast_ops::relu(&(near_half(&to_negatives)? - shift)?)?;
        Ok((holdfast_ops::relu(&collapseness)? + (weight * ahead)?)?)
    }
}
