//! `batch_norm`, `layer_norm`, `l2_normalize`.

use crate::support::*;
use candle_core::{DType, Device, Tensor, Var};
use holdfast_ops::{
    batch_norm, batch_norm_with_pullback, l2_normalize, l2_normalize_with_pullback, layer_norm,
    layer_norm_with_pullback,
};
use proptest::prelude::*;
use std::slice::from_ref;

const EPSILON: f64 = 1e-5;

/// x (rows, columns) and two values for every column.
fn inputs(rows: usize, columns: usize, seed: u64) -> Vec<Tensor> {
    let rng = &mut rng(seed);
    [&[rows, columns][..], &[columns], &[columns]].map(|shape| random(shape, rng)).to_vec()
}

fn mean_and_biased_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn batch_norm_equals_its_definition(seed: u64, rows in 2..700usize, channels in 1..70usize, offset in -100.0..100.0f64) {
        let mut inputs = inputs(rows, channels, seed);
        inputs[0] = (&inputs[0] + offset).unwrap();
        let [x, weight, bias] = [0, 1, 2].map(|index| flat(&inputs[index]));
        let column = |channel: usize| (0..rows).map(|row| x[row * channels + channel]).collect::<Vec<_>>();
        let statistics: Vec<(f64, f64)> = (0..channels).map(|channel| mean_and_biased_variance(&column(channel))).collect();
        let value = |[row, c]: [usize; 2]| {
            let (mean, variance) = statistics[c];
            (x[row * channels + c] - mean) / (variance + EPSILON).sqrt() * weight[c] + bias[c]
        };
        let want: Vec<f64> = indices([rows, channels]).map(value).collect();
        let unbiased = rows as f64 / (rows as f64 - 1.0);

        let got = batch_norm(&inputs[0], &inputs[1], &inputs[2], EPSILON).unwrap();

        // Few rows can lie close together; their rounding errors are divided by their deviation.
        assert_close(&got.result, &want, 1e-9);
        assert_close(&got.mean, &statistics.iter().map(|s| s.0).collect::<Vec<_>>(), 1e-12);
        assert_close(&got.variance, &statistics.iter().map(|s| s.1 * unbiased).collect::<Vec<_>>(), 1e-12);
    }

    #[test]
    fn layer_norm_equals_its_definition(seed: u64, rows in 1..50usize, features in 4..400usize) {
        let inputs = inputs(rows, features, seed);
        let [x, weight, bias] = [0, 1, 2].map(|index| flat(&inputs[index]));
        let normalized = |x: &[f64]| {
            let (mean, variance) = mean_and_biased_variance(x);
            let value = |i: usize| (x[i] - mean) / (variance + EPSILON).sqrt() * weight[i] + bias[i];
            (0..features).map(value).collect::<Vec<_>>()
        };
        let want: Vec<f64> = x.chunks(features).flat_map(normalized).collect();

        assert_equals_definition(&inputs, &want, |t| layer_norm(&t[0], &t[1], &t[2], EPSILON));
    }

    #[test]
    fn l2_normalization_equals_its_definition(seed: u64, rows in 1..50usize, features in 1..600usize) {
        let x = random(&[rows, features], &mut rng(seed));
        let unit = |x: &[f64]| {
            let length = x.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
            x.iter().map(|x| x / length).collect::<Vec<_>>()
        };
        let want: Vec<f64> = flat(&x).chunks(features).flat_map(unit).collect();

        assert_equals_definition(&[x], &want, |t| l2_normalize(&t[0]));
    }
}

#[test]
fn gradients_match_central_differences_and_pullbacks() {
    for (rows, columns) in [(7, 5), (3, 17), (5, 2)] {
        let inputs = inputs(rows, columns, 1);
        let x = inputs[0].reshape((1, rows, 1, columns)).unwrap();
        let inputs = [x.clone(), inputs[1].clone(), inputs[2].clone()];
        let live = |t: &[Tensor]| Ok(batch_norm(&t[0], &t[1], &t[2], 0.1)?.result);
        assert_gradients(&inputs, live);
        assert_pullback(&inputs, live, |t| {
            let (batch, pullback) = batch_norm_with_pullback(&t[0], &t[1], &t[2], 0.1)?;
            Ok((batch.result, pullback))
        });
        assert_gradients(&inputs, |t| layer_norm(&t[0], &t[1], &t[2], 0.1));
        let with_pullback = |t: &[Tensor]| layer_norm_with_pullback(&t[0], &t[1], &t[2], 0.1);
        assert_pullback(&inputs, |t| layer_norm(&t[0], &t[1], &t[2], 0.1), with_pullback);
        assert_gradients(from_ref(&x), |t| l2_normalize(&t[0]));
        assert_pullback(from_ref(&x), |t| l2_normalize(&t[0]), |t| l2_normalize_with_pullback(&t[0]));
    }
}

#[test]
fn gradients_are_right_for_strided_inputs() {
    let inputs = inputs(6, 6, 2);
    assert_gradients(&inputs, |t| Ok(batch_norm(&t[0].t()?, &t[1], &t[2], 0.1)?.result));
    assert_gradients(&inputs, |t| layer_norm(&t[0].t()?, &t[1], &t[2], 0.1));
    assert_gradients(&inputs[..1], |t| l2_normalize(&t[0].t()?));
}

#[test]
fn a_row_of_zeros_has_the_finite_gradient_of_its_divisor() {
    let x = Var::from_tensor(&tensor(&[0.0, 0.0, 3.0, 4.0], &[2, 2])).unwrap();
    let y = l2_normalize(&x).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_close(&y, &[0.0, 0.0, 0.6, 0.8], 1e-15);
    assert_close(gradients.get(&x).unwrap(), &[1e12, 1e12, 0.032, -0.024], 1e-9);
}

#[test]
fn statistics_keep_their_digits_where_the_mean_is_large() {
    let (rows, channels) = (1_000_000, 2);
    let values: Vec<f32> = (0..rows * channels).map(|index| 1000.0 + (index / channels % 2) as f32).collect();
    let x = Tensor::from_vec(values, (rows, channels), &Device::Cpu).unwrap();
    let [weight, bias] = [Tensor::ones(2, DType::F32, &Device::Cpu), Tensor::zeros(2, DType::F32, &Device::Cpu)];

    let batch = batch_norm(&x, &weight.unwrap(), &bias.unwrap(), 0.0).unwrap();

    assert_eq!(flat(&batch.mean), [1000.5; 2]);
    assert_close(&batch.variance, &[0.25 * 1e6 / (1e6 - 1.0); 2], 1e-7);
    assert_close(&batch.result.narrow(0, 0, 2).unwrap(), &[-1.0, -1.0, 1.0, 1.0], 1e-6);
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_say_what_is_needed() {
    let [x, c, other] = [&[2, 3][..], &[3], &[4]].map(|shape| random(shape, &mut rng(3)));
    assert!(message(batch_norm(&x, &other, &c, EPSILON)).contains("a weight of 3 values"));
    assert!(message(batch_norm(&x.narrow(0, 0, 1).unwrap(), &c, &c, EPSILON)).contains("at least two values"));
    assert!(message(layer_norm(&x, &c, &other, EPSILON)).contains("a bias of 3 values"));
    assert!(message(l2_normalize(&x.to_dtype(DType::U8).unwrap())).contains("f32 or f64"));
}
