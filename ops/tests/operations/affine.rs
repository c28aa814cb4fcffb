//! `affine`, `affine_relu`, `affine_add_relu`.

use crate::support::*;
use candle_core::{DType, Device, Tensor};
use holdfast_ops::{
    affine, affine_add_relu, affine_add_relu_with_pullback, affine_relu, affine_relu_with_pullback,
    affine_with_pullback,
};
use proptest::prelude::*;

/// x (rows, channels), scale, shift, residual.
fn inputs(rows: usize, channels: usize, seed: u64) -> Vec<Tensor> {
    let rng = &mut rng(seed);
    [&[rows, channels][..], &[channels], &[channels], &[rows, channels]].map(|shape| random(shape, rng)).to_vec()
}

/// f(x · scale + shift, residual), one element after the other.
fn naive(inputs: &[Tensor], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let [x, scale, shift, residual] = [0, 1, 2, 3].map(|index| flat(&inputs[index]));
    let channels = scale.len();
    let value = |index: usize| f(x[index] * scale[index % channels] + shift[index % channels], residual[index]);
    (0..x.len()).map(value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn affine_maps_equal_their_definition(seed: u64, rows in 1..300usize, channels in 1..300usize) {
        let inputs = inputs(rows, channels, seed);
        let run = |want: Vec<f64>, f: &dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>| assert_equals_definition(&inputs, &want, f);

        run(naive(&inputs, |y, _| y), &|t| affine(&t[0], &t[1], &t[2]));
        run(naive(&inputs, |y, _| y.max(0.0)), &|t| affine_relu(&t[0], &t[1], &t[2]));
        run(naive(&inputs, |y, residual| (y + residual).max(0.0)), &|t| affine_add_relu(&t[0], &t[1], &t[2], &t[3]));
    }
}

#[test]
fn gradients_match_central_differences_and_pullbacks() {
    for (rows, channels) in [(7, 5), (1, 3), (9, 1)] {
        let inputs = inputs(rows, channels, 1);
        let x = inputs[0].reshape((1, rows, 1, channels)).unwrap();
        let three = [x.clone(), inputs[1].clone(), inputs[2].clone()];
        assert_gradients(&three, |t| affine(&t[0], &t[1], &t[2]));
        assert_gradients(&three, |t| affine_relu(&t[0], &t[1], &t[2]));
        assert_pullback(&three, |t| affine(&t[0], &t[1], &t[2]), |t| affine_with_pullback(&t[0], &t[1], &t[2]));
        assert_pullback(
            &three,
            |t| affine_relu(&t[0], &t[1], &t[2]),
            |t| affine_relu_with_pullback(&t[0], &t[1], &t[2]),
        );
        assert_gradients(&inputs, |t| affine_add_relu(&t[0], &t[1], &t[2], &t[3]));
        let swap = |t: &[Tensor]| affine_add_relu(&t[0], &t[2], &t[3], &t[1]);
        let swapped = [0, 3, 1, 2].map(|index| inputs[index].clone());
        assert_pullback(&swapped, swap, |t| affine_add_relu_with_pullback(&t[0], &t[2], &t[3], &t[1]));
    }
}

#[test]
fn gradients_are_right_for_strided_inputs() {
    let inputs = inputs(5, 5, 2);
    assert_gradients(&inputs, |t| affine_add_relu(&t[0].t()?, &t[1], &t[2], &t[3].t()?));
}

#[test]
fn the_gradient_of_a_shift_over_millions_of_rows_keeps_its_digits() {
    let (rows, channels) = (3_000_001, 2);
    let x = Tensor::full(0.1f32, (rows, channels), &Device::Cpu).unwrap();
    let (scale, shift) = (single(&tensor(&[1.0; 2], &[2])), single(&tensor(&[0.0; 2], &[2])));
    let shift = candle_core::Var::from_tensor(&shift).unwrap();
    let gradients = affine(&x, &scale, &shift).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(flat(gradients.get(&shift).unwrap()), [rows as f64; 2]);
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_say_what_is_needed() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let (x, c, other) = (zeros(&[2, 3]), zeros(&[3]), zeros(&[4]));
    assert!(message(affine(&x, &other, &c)).contains("a scale of 3 values"));
    assert!(message(affine_relu(&x, &c, &other)).contains("a shift of 3 values"));
    assert!(message(affine_add_relu(&x, &c, &c, &c)).contains("[2, 3] and [3]"));
    assert!(message(affine(&zeros(&[2, 0]), &zeros(&[0]), &zeros(&[0]))).contains("at least one"));
}
