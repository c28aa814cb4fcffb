//! `gelu`, `gelu_tanh`.

use crate::support::*;
use candle_core::{Device, Tensor};
use holdfast_ops::{gelu, gelu_tanh, gelu_tanh_with_pullback, gelu_with_pullback};
use std::f64::consts::PI;
use std::slice::from_ref;

/// Evenly from −10 to 10.
fn line(points: usize) -> Vec<f64> {
    (0..points).map(|index| index as f64 / (points - 1) as f64 * 20.0 - 10.0).collect()
}

/// Φ(x) by the trapezoidal rule from −12, which is exact to rounding for so smooth a function.
fn distribution(x: f64) -> f64 {
    let (steps, start) = (4000, -12.0);
    let width = (x - start) / f64::from(steps);
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * PI).sqrt();
    let inner: f64 = (1..steps).map(|step| density(start + f64::from(step) * width)).sum();
    // The rule's error is the difference of the slopes at both ends, times width² / 12.
    width * (inner + 0.5 * (density(start) + density(x))) + width * width / 12.0 * x * density(x)
}

#[test]
fn gelu_equals_its_definition() {
    let x = line(999);
    let tanh = |x: f64| 0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh());
    let inputs = [tensor(&x, &[27, 37])];

    assert_equals_definition(&inputs, &x.iter().map(|&x| x * distribution(x)).collect::<Vec<_>>(), |t| gelu(&t[0]));
    assert_equals_definition(&inputs, &x.iter().map(|&x| tanh(x)).collect::<Vec<_>>(), |t| gelu_tanh(&t[0]));
}

#[test]
fn gradients_match_central_differences_and_pullbacks() {
    let x = tensor(&line(105), &[3, 5, 7]);
    assert_gradients(from_ref(&x), |t| gelu(&t[0]));
    assert_gradients(from_ref(&x), |t| gelu_tanh(&t[0]));
    assert_gradients(from_ref(&x), |t| gelu(&t[0].transpose(0, 2)?));
    assert_pullback(from_ref(&x), |t| gelu(&t[0]), |t| gelu_with_pullback(&t[0]));
    assert_pullback(from_ref(&x), |t| gelu_tanh(&t[0]), |t| gelu_tanh_with_pullback(&t[0]));
}

#[test]
fn a_value_that_is_not_a_number_stays_one() {
    let x = Tensor::new(&[f32::NAN], &Device::Cpu).unwrap();
    assert!(flat(&gelu(&x).unwrap())[0].is_nan());
    assert!(flat(&gelu_tanh(&x).unwrap())[0].is_nan());
}
