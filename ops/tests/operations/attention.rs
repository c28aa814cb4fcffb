//! `softmax`, `attention`.

use crate::support::*;
use candle_core::{Device, Result, Tensor};
use holdfast_ops::{attention, attention_with_pullback, softmax, softmax_with_pullback};
use proptest::prelude::*;
use std::slice::from_ref;

fn naive_softmax(x: &[f64]) -> Vec<f64> {
    let total: f64 = x.iter().map(|x| x.exp()).sum();
    x.iter().map(|x| x.exp() / total).collect()
}

/// One sum an output.
fn naive_attention(inputs: &[Tensor], scale: f64) -> Vec<f64> {
    let (_, _, tokens, features) = inputs[0].dims4().unwrap();
    let [q, k, v] = [0, 1, 2].map(|index| flat(&inputs[index]));
    let head = |((q, k), v): ((&[f64], &[f64]), &[f64])| {
        let mut out = Vec::new();
        for query in q.chunks(features) {
            let score = |key: &[f64]| scale * query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>();
            let weights = naive_softmax(&k.chunks(features).map(score).collect::<Vec<_>>());
            out.extend((0..features).map(|f| (0..tokens).map(|t| weights[t] * v[t * features + f]).sum::<f64>()));
        }
        out
    };
    let len = tokens * features;
    q.chunks(len).zip(k.chunks(len)).zip(v.chunks(len)).flat_map(head).collect()
}

fn qkv(shape: [usize; 4], seed: u64) -> Vec<Tensor> {
    let rng = &mut rng(seed);
    (0..3).map(|_| random(&shape, rng)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn softmax_equals_its_definition(seed: u64, rows in 1..50usize, columns in 1..300usize) {
        let x = (random(&[rows, columns], &mut rng(seed)) * 5.0).unwrap();
        let want: Vec<f64> = flat(&x).chunks(columns).flat_map(naive_softmax).collect();

        assert_equals_definition(&[x], &want, |t| softmax(&t[0]));
    }

    #[test]
    fn attention_equals_its_definition(
        seed: u64, batch in 1..3usize, heads in 1..4usize, tokens in 1..20usize, features in 1..20usize, scale in 0.1..2.0f64,
    ) {
        let inputs = qkv([batch, heads, tokens, features], seed);
        let want = naive_attention(&inputs, scale);

        assert_equals_definition(&inputs, &want, |t| attention(&t[0], &t[1], &t[2], scale));
    }
}

#[test]
fn gradients_match_central_differences_and_pullbacks() {
    let x = random(&[2, 3, 7], &mut rng(1));
    assert_gradients(from_ref(&x), |t| softmax(&t[0]));
    assert_gradients(from_ref(&x), |t| softmax(&t[0].transpose(1, 2)?));
    assert_pullback(from_ref(&x), |t| softmax(&t[0]), |t| softmax_with_pullback(&t[0]));
    for shape in [[2, 2, 5, 3], [1, 1, 1, 4], [1, 3, 4, 1]] {
        let inputs = qkv(shape, 2);
        assert_gradients(&inputs, |t| attention(&t[0], &t[1], &t[2], 0.7));
        let with_pullback = |t: &[Tensor]| attention_with_pullback(&t[0], &t[1], &t[2], 0.7);
        assert_pullback(&inputs, |t| attention(&t[0], &t[1], &t[2], 0.7), with_pullback);
    }
}

#[test]
fn heads_may_be_cut_from_one_projection() {
    // (tokens, 3, heads, features), as a vision transformer's one linear layer writes q, k and v.
    let projection = random(&[5, 3, 2, 3], &mut rng(3));
    let part = |t: &Tensor, index: usize| -> Result<Tensor> { t.narrow(1, index, 1)?.permute((1, 2, 0, 3)) };
    assert_gradients(&[projection], |t| attention(&part(&t[0], 0)?, &part(&t[0], 1)?, &part(&t[0], 2)?, 0.5));
}

#[test]
fn large_values_do_not_overflow_and_a_value_that_is_not_a_number_shows() {
    let x =
        Tensor::new(&[[1000.0f32, 1000.0], [-1000.0, 0.0], [f32::NAN, 0.0], [0.0, f32::NAN]], &Device::Cpu).unwrap();
    let y = flat(&softmax(&x).unwrap());
    assert_eq!(y[..4], [0.5, 0.5, 0.0, 1.0]);
    assert!(y[4..].iter().all(|value| value.is_nan()), "{y:?}");
}

#[test]
fn shapes_that_differ_are_an_error_that_names_them() {
    let (q, k) = (random(&[1, 2, 3, 4], &mut rng(4)), random(&[1, 2, 5, 4], &mut rng(5)));
    let error = message(attention(&q, &k, &k, 1.0));
    assert!(error.contains("[1, 2, 3, 4]") && error.contains("[1, 2, 5, 4]"), "{error}");
}
