//! The gradual adversary: as the net learns, the hardness an attack aims for rises from easy towards zero.
//!
//! The previous step's adversarial loss ℓ tells how far the net has come: ℓ̄ = clamp(ℓ, 0, u) / u with u = γ = 0.2 is 1
//! while adversarial triplets are beyond the net, and 0 once it holds them. Hardness manipulation trains with
//! [`linear`]; the other functions are the alternatives that the paper compares.
//!
//! Source: Zhou & Patel, "Enhancing Adversarial Robustness for Deep Metric Learning", arXiv 2203.01439.

use crate::triplet::MARGIN;

/// The loss before the first step: large, so that the first step meets the weakest adversary.
pub const INITIAL_LOSS: f64 = 2.0;

/// The normalised loss ℓ̄ in [0, 1].
#[must_use]
pub fn normalized(previous_loss: f64) -> f64 {
    previous_loss.clamp(0.0, MARGIN) / MARGIN
}

/// g_LGA, the linear gradual adversary: −γ ℓ̄, in [−γ, 0].
#[doc(alias = "LGA")]
#[must_use]
pub fn linear(previous_loss: f64) -> f64 {
    -MARGIN * normalized(previous_loss)
}

/// g_2: −γ ℓ̄², which rises early.
#[must_use]
pub fn quadratic(previous_loss: f64) -> f64 {
    -MARGIN * normalized(previous_loss).powi(2)
}

/// g_½: −γ √ℓ̄, which rises late.
#[must_use]
pub fn square_root(previous_loss: f64) -> f64 {
    -MARGIN * normalized(previous_loss).sqrt()
}

/// g_B: the hardness of a benign triplet plus ξ (1 − ℓ̄), with ξ = 0.1.
#[must_use]
pub fn boosted(benign_hardness: f64, previous_loss: f64) -> f64 {
    const BOOST: f64 = 0.1;
    benign_hardness + BOOST * (1.0 - normalized(previous_loss))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_aims_at_minus_the_margin_and_a_solved_net_at_zero() {
        for gradual in [linear, quadratic, square_root] {
            assert_eq!(gradual(INITIAL_LOSS), -MARGIN);
            assert_eq!(gradual(0.0), 0.0);
            assert_eq!(gradual(-0.01), 0.0);
        }
        assert_eq!(boosted(-0.3, INITIAL_LOSS), -0.3);
        assert_eq!(boosted(-0.3, 0.0), -0.3 + 0.1);
    }

    #[test]
    fn halfway_the_quadratic_function_is_ahead_and_the_square_root_behind() {
        let half = MARGIN / 2.0;

        assert!((linear(half) + 0.1).abs() < 1e-15);
        assert!((quadratic(half) + 0.05).abs() < 1e-15);
        assert!((square_root(half) + 0.2 * 0.5f64.sqrt()).abs() < 1e-15);
    }
}
