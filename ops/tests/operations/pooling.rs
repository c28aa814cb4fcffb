//! `max_pool2d`, `avg_pool2d`, `global_avg_pool`.

use crate::support::*;
use candle_core::{DType, Device, Tensor, Var};
use holdfast_ops::{
    avg_pool2d, avg_pool2d_with_pullback, global_avg_pool, global_avg_pool_with_pullback, max_pool2d,
    max_pool2d_with_pullback,
};
use proptest::prelude::*;
use std::slice::from_ref;

/// f(the values inside each window), in the order of the result.
fn naive(x: &Tensor, kernel: usize, stride: usize, padding: usize, f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let (batch, height, width, channels) = x.dims4().unwrap();
    let size = |input: usize| (input + 2 * padding - kernel) / stride + 1;
    let values = flat(x);
    let window = |[picture, row, column, channel]: [usize; 4]| {
        let inside = |start: usize, offset: usize, end: usize| {
            (start * stride + offset).checked_sub(padding).filter(|&position| position < end)
        };
        let window: Vec<f64> = indices([kernel, kernel])
            .filter_map(|[dy, dx]| {
                let (y, x) = (inside(row, dy, height)?, inside(column, dx, width)?);
                Some(values[((picture * height + y) * width + x) * channels + channel])
            })
            .collect();
        f(&window)
    };
    indices([batch, size(height), size(width), channels]).map(window).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pooling_equals_its_definition(
        seed: u64, batch in 1..4usize, height in 3..9usize, width in 3..9usize, channels in 1..40usize, kernel in 1..4usize,
        stride in 1..5usize, padding in 0..2usize,
    ) {
        let padding = padding.min(kernel / 2);
        let x = random(&[batch, height, width, channels], &mut rng(seed));
        let want = |f: &dyn Fn(&[f64]) -> f64| naive(&x, kernel, stride, padding, f);
        let check = |want: Vec<f64>, f: &dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>| assert_equals_definition(from_ref(&x), &want, f);

        let largest = want(&|window| window.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        check(largest.clone(), &|t| max_pool2d(&t[0], kernel, stride, padding));
        check(largest, &|t| Ok(max_pool2d_with_pullback(&t[0], kernel, stride, padding)?.0));
        check(want(&|w| w.iter().sum::<f64>() / w.len() as f64), &|t| avg_pool2d(&t[0], kernel, stride, padding, false));
        check(want(&|w| w.iter().sum::<f64>() / (kernel * kernel) as f64), &|t| avg_pool2d(&t[0], kernel, stride, padding, true));
    }

    #[test]
    fn global_average_pooling_equals_its_definition(
        seed: u64, batch in 1..4usize, height in 1..40usize, width in 1..40usize, channels in 1..40usize,
    ) {
        let x = random(&[batch, height, width, channels], &mut rng(seed));
        let values = flat(&x);
        let pixels = height * width;
        let mean = |[picture, channel]: [usize; 2]| {
            (0..pixels).map(|pixel| values[(picture * pixels + pixel) * channels + channel]).sum::<f64>() / pixels as f64
        };
        let want: Vec<f64> = indices([batch, channels]).map(mean).collect();

        assert_equals_definition(&[x], &want, |t| global_avg_pool(&t[0]));
    }
}

#[test]
fn gradients_match_central_differences_and_pullbacks_with_overlap_and_padding() {
    let rng = &mut rng(3);
    for (size, kernel, stride, padding) in [(6, 2, 2, 0), (7, 3, 2, 1), (5, 3, 1, 1), (7, 2, 3, 0), (4, 4, 4, 2)] {
        let x = [random(&[2, size, size + 1, 3], rng)];
        assert_gradients(&x, |t| max_pool2d(&t[0], kernel, stride, padding));
        let with_pullback = |t: &[Tensor]| max_pool2d_with_pullback(&t[0], kernel, stride, padding);
        assert_pullback(&x, |t| max_pool2d(&t[0], kernel, stride, padding), with_pullback);
        for count in [false, true] {
            assert_gradients(&x, |t| avg_pool2d(&t[0], kernel, stride, padding, count));
            let with_pullback = |t: &[Tensor]| avg_pool2d_with_pullback(&t[0], kernel, stride, padding, count);
            assert_pullback(&x, |t| avg_pool2d(&t[0], kernel, stride, padding, count), with_pullback);
        }
        assert_gradients(&x, |t| global_avg_pool(&t[0]));
        assert_pullback(&x, |t| global_avg_pool(&t[0]), |t| global_avg_pool_with_pullback(&t[0]));
    }
}

#[test]
fn gradients_are_right_for_strided_inputs() {
    let x = [random(&[2, 3, 5, 4], &mut rng(4))];
    assert_gradients(&x, |t| max_pool2d(&t[0].permute((0, 2, 3, 1))?, 3, 2, 1));
    assert_gradients(&x, |t| global_avg_pool(&t[0].permute((0, 2, 3, 1))?));
}

#[test]
fn a_tied_maximum_sends_its_gradient_to_the_first_in_row_major_order() {
    let x = Var::from_tensor(&Tensor::zeros((1, 4, 4, 1), DType::F32, &Device::Cpu).unwrap()).unwrap();
    let gradients = max_pool2d(&x, 2, 2, 0).unwrap().sum_all().unwrap().backward().unwrap();
    let rows = gradients.get(&x).unwrap().reshape((4, 4)).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(rows, [[1., 0., 1., 0.], [0.; 4], [1., 0., 1., 0.], [0.; 4]]);
}

#[test]
fn padding_never_wins_and_a_value_that_is_not_a_number_always_does() {
    let x = Tensor::full(-1.0f32, (1, 3, 3, 1), &Device::Cpu).unwrap();
    assert_eq!(flat(&max_pool2d(&x, 3, 1, 1).unwrap()), [-1.0; 9]);
    for place in 0..4 {
        let mut values = [1.0, 2.0, 3.0, 4.0];
        values[place] = f64::NAN;
        let x = Var::from_tensor(&tensor(&values, &[1, 2, 2, 1])).unwrap();
        let y = max_pool2d(&x, 2, 2, 0).unwrap();
        assert!(flat(&y)[0].is_nan());
        let gradients = y.sum_all().unwrap().backward().unwrap();
        assert_eq!(flat(gradients.get(&x).unwrap())[place], 1.0);
        assert!(flat(&max_pool2d(x.as_detached_tensor().as_ref(), 2, 2, 0).unwrap())[0].is_nan());
    }
}

#[test]
fn windows_that_do_not_fit_are_errors_that_say_why() {
    let x = random(&[1, 4, 4, 1], &mut rng(5));
    assert!(message(max_pool2d(&x, 2, 2, 2)).contains("half the kernel"));
    assert!(message(max_pool2d(&x, 5, 1, 0)).contains("does not fit"));
    assert!(message(max_pool2d(&x, 300, 1, 0)).contains("65536"));
    assert!(message(avg_pool2d(&x, 2, 0, 0, true)).contains("stride 0"));
    assert!(message(global_avg_pool(&x.reshape((1, 16)).unwrap())).contains("rank"));
}
