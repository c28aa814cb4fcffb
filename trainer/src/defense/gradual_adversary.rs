//! The gradual adversary: as the net learns, the hardness an attack aims for rises.
//!
//! The previous step's adversarial loss ℓ tells how far the net has come: ℓ̄ = clamp(ℓ, 0, u) / u is 1 while adversarial
//! triplets are beyond the net, and 0 once it holds them.
//!
//! Source: Zhou & Patel, "Enhancing Adversarial Robustness for Deep Metric Learning", arXiv 2203.01439.

use serde::{Deserialize, Serialize};

use crate::miner::Hardness;
use crate::triplet::MARGIN;

/// The loss before the first step: large, so that the first step meets the weakest adversary.
pub const INITIAL_LOSS: f64 = 2.0;

/// The loss u from which on the adversary is the weakest, unless the configuration has another.
pub const DEFAULT_U: f64 = MARGIN;

/// The normalised loss ℓ̄ in [0, 1].
#[must_use]
pub fn normalized(previous_loss: f64, u: f64) -> f64 {
    previous_loss.clamp(0.0, u) / u
}

/// How the hardness follows ℓ̄.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// g_LGA: −γ ℓ̄.
    #[doc(alias = "LGA")]
    Linear,
    /// g_2: −γ ℓ̄², which rises early.
    Square,
    /// g_½: −γ √ℓ̄, which rises late.
    SquareRoot,
}

/// From −γ towards 0 as the adversarial loss falls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gradual {
    /// How it rises.
    pub shape: Shape,
    /// The loss from which on the adversary is the weakest, above 0.
    pub u: f64,
}

impl Default for Gradual {
    /// The linear gradual adversary with u = γ.
    fn default() -> Self {
        Self { shape: Shape::Linear, u: DEFAULT_U }
    }
}

impl Gradual {
    /// The hardness to aim for after this loss, in [−γ, 0].
    #[must_use]
    pub fn hardness(&self, previous_loss: f64) -> f64 {
        let loss = normalized(previous_loss, self.u);
        -MARGIN
            * match self.shape {
                Shape::Linear => loss,
                Shape::Square => loss.powi(2),
                Shape::SquareRoot => loss.sqrt(),
            }
    }
}

/// g_B: the hardness of mined triplets plus ξ (1 − ℓ̄).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boosted {
    /// The miner of the triplets.
    pub mined: Hardness,
    /// The boost ξ once the net holds its adversary, in [0, 2].
    #[serde(default = "Boosted::default_xi")]
    pub xi: f64,
    /// The loss from which on nothing is added, above 0.
    #[serde(default = "Boosted::default_u")]
    pub u: f64,
}

impl Boosted {
    /// The boost ξ of the paper.
    pub const DEFAULT_XI: f64 = 0.1;

    /// What is added to a mined hardness after this loss, in [0, ξ].
    #[must_use]
    pub fn boost(&self, previous_loss: f64) -> f64 {
        self.xi * (1.0 - normalized(previous_loss, self.u))
    }

    fn default_xi() -> f64 {
        Self::DEFAULT_XI
    }

    fn default_u() -> f64 {
        DEFAULT_U
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradual(shape: Shape) -> Gradual {
        Gradual { shape, ..Gradual::default() }
    }

    #[test]
    fn the_first_step_aims_at_minus_the_margin_and_a_solved_net_at_zero() {
        for shape in [Shape::Linear, Shape::Square, Shape::SquareRoot] {
            assert_eq!(gradual(shape).hardness(INITIAL_LOSS), -MARGIN);
            assert_eq!(gradual(shape).hardness(0.0), 0.0);
            assert_eq!(gradual(shape).hardness(-0.01), 0.0);
        }
        let boosted = Boosted { mined: Hardness::Semihard, xi: 0.1, u: DEFAULT_U };
        assert_eq!(boosted.boost(INITIAL_LOSS), 0.0);
        assert_eq!(boosted.boost(0.0), 0.1);
    }

    #[test]
    fn halfway_the_quadratic_function_is_ahead_and_the_square_root_behind() {
        let half = MARGIN / 2.0;

        assert!((gradual(Shape::Linear).hardness(half) + 0.1).abs() < 1e-15);
        assert!((gradual(Shape::Square).hardness(half) + 0.05).abs() < 1e-15);
        assert!((gradual(Shape::SquareRoot).hardness(half) + 0.2 * 0.5f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_larger_u_lets_the_adversary_grow_from_a_larger_loss_on() {
        let wide = Gradual { u: 2.2, ..Gradual::default() };

        assert_eq!(gradual(Shape::Linear).hardness(1.1), -MARGIN);
        assert!((wide.hardness(1.1) + MARGIN / 2.0).abs() < 1e-15);
    }
}
