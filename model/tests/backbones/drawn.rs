//! Numbers that the golden scripts draw too, instead of storing them.

use candle_core::{Device, Tensor};

/// The first seed, and the distance of the gradient's pixels, as in `tests/golden/drawn.py`.
pub const BASE: u64 = 20_220_301;
pub const STRIDE: usize = 31;

/// SplitMix64 as the golden files' README defines it: u(seed, i) in [0, 1).
pub fn uniform(seed: u64, count: usize) -> Vec<f64> {
    let draw = |i: u64| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 24)
    };
    (1..=count as u64).map(draw).collect()
}

/// The reference's rule for a parameter, by its name and shape.
pub fn parameter(name: &str, shape: &[usize], seed: u64) -> Tensor {
    let symmetric = |u: f64, bound: f64| (bound * (2.0 * u - 1.0)) as f32;
    let fan_in: usize = shape[1..].iter().product();
    let rule = |u: f64| match name.rsplit('.').next().unwrap() {
        _ if shape.len() > 1 => symmetric(u, (6.0 / fan_in as f64).sqrt()),
        "running_var" => (1.0 + 0.2 * u) as f32,
        "weight" | "gamma" => (1.0 + f64::from(symmetric(u, 0.1))) as f32,
        _ => symmetric(u, 0.1),
    };
    let drawn: Vec<f32> = uniform(seed, shape.iter().product()).into_iter().map(rule).collect();
    Tensor::from_vec(drawn, shape, &Device::Cpu).unwrap()
}
