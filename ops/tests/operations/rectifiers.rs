//! `relu`, `relu6`, `add_relu`.

use crate::support::*;
use candle_core::{Device, Tensor, Var};
use holdfast_ops::{add_relu, add_relu_with_pullback, relu, relu_with_pullback, relu6, relu6_with_pullback};
use proptest::prelude::*;
use std::slice::from_ref;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn rectifiers_equal_their_definition(seed: u64, elements in 1..40_000usize) {
        let rng = &mut rng(seed);
        let (x, y) = ((random(&[elements], rng) * 9.0).unwrap(), random(&[elements], rng));
        let of_x = |f: fn(f64) -> f64| flat(&x).into_iter().map(f).collect::<Vec<_>>();
        let sums: Vec<f64> = flat(&x).iter().zip(flat(&y)).map(|(x, y)| (x + y).max(0.0)).collect();

        assert_equals_definition(from_ref(&x), &of_x(|x| x.max(0.0)), |t| relu(&t[0]));
        assert_equals_definition(from_ref(&x), &of_x(|x| x.clamp(0.0, 6.0)), |t| relu6(&t[0]));
        assert_equals_definition(&[x.clone(), y], &sums, |t| add_relu(&t[0], &t[1]));
    }
}

#[test]
fn gradients_match_central_differences_and_pullbacks() {
    let rng = &mut rng(1);
    let x = (random(&[3, 5, 7], rng) * 9.0).unwrap();
    assert_gradients(from_ref(&x), |t| relu(&t[0]));
    assert_gradients(from_ref(&x), |t| relu6(&t[0]));
    assert_pullback(from_ref(&x), |t| relu(&t[0]), |t| relu_with_pullback(&t[0]));
    assert_pullback(from_ref(&x), |t| relu6(&t[0]), |t| relu6_with_pullback(&t[0]));
    let pair = [x, random(&[3, 5, 7], rng)];
    assert_gradients(&pair, |t| add_relu(&t[0], &t[1]));
    assert_pullback(&pair, |t| add_relu(&t[0], &t[1]), |t| add_relu_with_pullback(&t[0], &t[1]));
}

#[test]
fn gradients_are_right_for_strided_inputs() {
    let inputs = [random(&[7, 5], &mut rng(2)), random(&[7, 5], &mut rng(3))];
    assert_gradients(&inputs, |t| add_relu(&t[0].t()?, &t[1].t()?));
    assert_gradients(&inputs[..1], |t| relu6(&t[0].t()?));
}

#[test]
fn the_derivative_at_the_corners_is_zero() {
    let x = Var::new(&[-1.0f32, 0.0, 2.0, 6.0, 7.0], &Device::Cpu).unwrap();
    let gradient = |y: Tensor| flat(y.sum_all().unwrap().backward().unwrap().get(&x).unwrap());
    assert_eq!(gradient(relu(&x).unwrap()), [0.0, 0.0, 1.0, 1.0, 1.0]);
    assert_eq!(gradient(relu6(&x).unwrap()), [0.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_value_that_is_not_a_number_stays_one() {
    let x = Tensor::new(&[f32::NAN, -1.0], &Device::Cpu).unwrap();
    for y in [relu(&x), relu6(&x), add_relu(&x, &x)] {
        let y = flat(&y.unwrap());
        assert!(y[0].is_nan() && y[1] == 0.0, "{y:?}");
    }
}

#[test]
fn shapes_that_differ_are_an_error_that_names_both() {
    let error = message(add_relu(&random(&[2, 3], &mut rng(4)), &random(&[3, 2], &mut rng(5))));
    assert!(error.contains("[2, 3]") && error.contains("[3, 2]"), "{error}");
}
