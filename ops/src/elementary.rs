//! Elementary functions of both element types.

use crate::host::Real;

/// Functions that candle's element types do not offer.
pub(crate) trait Elementary: Real {
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    /// The error function, 2/√π ∫₀ˣ exp(−t²) dt.
    fn erf(self) -> Self;
}

impl Elementary for f32 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn exp(self) -> Self {
        exp(self)
    }

    fn erf(self) -> Self {
        libm::erff(self)
    }
}

impl Elementary for f64 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    fn exp(self) -> Self {
        self.exp()
    }

    fn erf(self) -> Self {
        libm::erf(self)
    }
}

/// exp(x), within two units in the last place, without branches or calls: loops over it become vector code, which they
/// do not over the standard library's.
///
/// x = n ln 2 + r with a whole n, and exp(r) is a polynomial. Source: `expf` of Moshier's Cephes library.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Adding it rounds to a whole number, which then stands in the lowest bits.
    const WHOLE: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Beyond, the result is 0 or infinite; a NaN compares false and passes.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + WHOLE;
    let n = shifted - WHOLE;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut polynomial = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        polynomial = polynomial * r + coefficient;
    }
    let power = (shifted.to_bits() as i32).wrapping_sub(WHOLE.to_bits() as i32);
    // 2ⁿ in two factors: it may be no normal number where the result is one.
    let half = power >> 1;
    let two_to = |power: i32| f32::from_bits((power.wrapping_add(127) as u32) << 23);
    (polynomial * r * r + r + 1.0) * two_to(half) * two_to(power.wrapping_sub(half))
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn exponentials_are_right_to_two_units_in_the_last_place() {
        for step in -87_000..=88_700 {
            let x = step as f32 / 1000.0;
            let want = f64::from(x).exp();
            let off = (f64::from(exp(x)) - want).abs() / want;
            assert!(off <= 2.0 * f64::from(f32::EPSILON), "exp({x}) is {}, off by {off:e}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn exponentials_end_in_zero_and_infinity_and_keep_what_is_not_a_number() {
        for x in [-104.0, -1e30, f32::NEG_INFINITY] {
            assert_eq!(exp(x), 0.0);
        }
        assert!(exp(-100.0) > 0.0, "subnormal results");
        for x in [88.8, 1e30, f32::INFINITY] {
            assert_eq!(exp(x), f32::INFINITY);
        }
        assert!(exp(f32::NAN).is_nan());
    }
}
