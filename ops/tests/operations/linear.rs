//! The linear layer.

use crate::support::*;
use candle_core::{DType, Device, Tensor, Var};
use holdfast_ops::{Conv, conv2d, linear, linear_with_pullback};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_linear_layer_and_its_gradients_equal_their_definition(
        seed: u64, rows in 1..220usize, inputs in 1..600usize, outputs in 1..300usize,
    ) {
        let rng = &mut rng(seed);
        let tensors = [random(&[rows, inputs], rng), random(&[outputs, inputs], rng), random(&[outputs], rng)];
        let of_candle = |t: &[Tensor]| t[0].matmul(&t[1].t()?)?.broadcast_add(&t[2]);
        let ours = |t: &[Tensor]| linear(&t[0], &t[1], Some(&t[2]));

        assert_close(&ours(&tensors).unwrap(), &flat(&of_candle(&tensors).unwrap()), 1e-12 * inputs as f64);
        let singles = tensors.each_ref().map(single);
        for (got, want) in gradients(&singles, ours).iter().zip(gradients(&tensors, of_candle)) {
            assert_close(got, &flat(&want), 1e-6 * (rows + outputs) as f64);
        }
    }
}

#[test]
fn linear_gradients_match_central_differences() {
    let rng = &mut rng(4);
    let inputs = [random(&[5, 7], rng), random(&[3, 7], rng), random(&[3], rng)];
    assert_gradients(&inputs, |t| linear(&t[0], &t[1], Some(&t[2])));
    let pullback = |t: &[Tensor]| linear_with_pullback(&t[0], &t[1], Some(&t[2]));
    assert_pullback(&inputs, |t| linear(&t[0], &t[1], Some(&t[2])), pullback);
    let strided = [random(&[7, 5], rng), random(&[7, 3], rng)];
    assert_gradients(&strided, |t| linear(&t[0].t()?, &t[1].t()?, None));
}

#[test]
fn untracked_weights_get_no_gradient() {
    let rng = &mut rng(6);
    let x = Var::from_tensor(&random(&[2, 5, 5, 1], rng)).unwrap();
    let (w, b) = (random(&[2, 1, 3, 3], rng), random(&[2], rng));
    let features = conv2d(&x, &w, Some(&b), Conv::new(1, 1)).unwrap().flatten_from(1).unwrap();
    let v = random(&[4, 50], rng);
    let gradients = linear(&features, &v, None).unwrap().sum_all().unwrap().backward().unwrap();

    assert!(gradients.get(&x).is_some());
    for untracked in [&w, &b, &v] {
        assert!(gradients.get(untracked).is_none());
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_name_both_sides() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    assert!(message(linear(&zeros(&[1, 4]), zeros(&[2, 5]), None)).contains("4 features"));
}
