//! Elementary functions of both element types.

use crate::host::Real;
use std::f32::consts::FRAC_2_SQRT_PI;

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

    #[inline(always)]
    fn erf(self) -> Self {
        erf(self)
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

/// The error function, within 1.5e-7 of its value, without branches or calls as [`exp`].
///
/// A polynomial in x² up to 1, beyond it 1 − exp(−x²) P(1/x²) / x. Source: `ndtrf` of Moshier's Cephes library.
#[inline(always)]
fn erf(x: f32) -> f32 {
    const NEAR: [f32; 7] =
        [7.853_861e-5, -8.010_193e-4, 5.188_327_6e-3, -2.685_381_2e-2, 1.128_358_5e-1, -3.761_262_6e-1, FRAC_2_SQRT_PI];
    const MIDDLE: [f32; 9] = [
        2.326_82e-2,
        -1.387_039_4e-1,
        3.687_424_7e-1,
        -5.824_733e-1,
        6.210_004_6e-1,
        -4.944_515_3e-1,
        3.404_88e-1,
        -2.741_127e-1,
        5.638_259_4e-1,
    ];
    const FAR: [f32; 8] = [
        -1.047_766_4e1,
        1.297_72e1,
        -7.495_518_7,
        2.921_019,
        -1.015_265_3,
        4.218_463_4e-1,
        -2.820_767_4e-1,
        5.641_895e-1,
    ];
    let (size, square) = (x.abs(), x * x);
    // Where it is not used, 1/x may be anything but too large.
    let inverse = 1.0 / if size < 1.0 { 1.0 } else { size };
    let tail = if size < 2.0 { polynomial(&MIDDLE, inverse * inverse) } else { polynomial(&FAR, inverse * inverse) };
    let beyond = 1.0 - exp(-square) * inverse * tail;
    if size <= 1.0 { x * polynomial(&NEAR, square) } else { beyond.copysign(x) }
}

/// The polynomial with these coefficients, of the highest power first, by Horner's rule.
#[inline(always)]
fn polynomial(coefficients: &[f32], x: f32) -> f32 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use super::{erf, exp};

    #[test]
    fn the_error_function_is_right_to_the_last_places_of_one() {
        for step in -60_000..=60_000 {
            let x = step as f32 / 10_000.0;
            let want = libm::erf(f64::from(x));
            let off = (f64::from(erf(x)) - want).abs();
            assert!(
                off <= 1.5e-7_f64.min(4.0 * f64::from(f32::EPSILON) * want.abs()),
                "erf({x}) is {}, off by {off:e}",
                erf(x)
            );
        }
        assert!(erf(f32::NAN).is_nan());
        assert_eq!((erf(1e30), erf(f32::NEG_INFINITY), erf(0.0)), (1.0, -1.0, 0.0));
    }

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
