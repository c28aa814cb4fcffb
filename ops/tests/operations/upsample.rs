//! `upsample_nearest2d`, `upsample_bilinear2d`, `upsample_bicubic2d`.

use crate::support::*;
use candle_core::Tensor;
use holdfast_ops::*;
use proptest::prelude::*;
use std::slice::from_ref;

/// Each output as the sum of all inputs, weighted by `weight(distance of the input's column to the output, in pixels)`
/// in both directions; beyond the border the outermost pixels are repeated.
fn naive(x: &Tensor, size: [usize; 2], weight: impl Fn(f64) -> f64) -> Vec<f64> {
    let (batch, height, width, channels) = x.dims4().unwrap();
    let values = flat(x);
    let terms = |inputs: usize, outputs: usize, output: usize| {
        let centre = (output as f64 + 0.5) * inputs as f64 / outputs as f64 - 0.5;
        let at = |position: isize| (position.clamp(0, inputs as isize - 1) as usize, weight(position as f64 - centre));
        (-3..inputs as isize + 3).map(at).filter(|term| term.1 != 0.0).collect::<Vec<_>>()
    };
    let value = |[picture, row, column, channel]: [usize; 4]| {
        let mut sum = 0.0;
        for (y, of_row) in terms(height, size[0], row) {
            for (x, of_column) in terms(width, size[1], column) {
                sum += of_row * of_column * values[((picture * height + y) * width + x) * channels + channel];
            }
        }
        sum
    };
    indices([batch, size[0], size[1], channels]).map(value).collect()
}

fn cubic(distance: f64) -> f64 {
    let (a, x) = (-0.75, distance.abs());
    match x {
        x if x <= 1.0 => (a + 2.0) * x.powi(3) - (a + 3.0) * x * x + 1.0,
        x if x < 2.0 => a * x.powi(3) - 5.0 * a * x * x + 8.0 * a * x - 4.0 * a,
        _ => 0.0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn upsampling_equals_its_definition(
        seed: u64, batch in 1..3usize, from in [1..7usize, 1..7usize], to in [1..16usize, 1..16usize], channels in 1..5usize,
    ) {
        let x = random(&[batch, from[0], from[1], channels], &mut rng(seed));
        let values = flat(&x);
        let nearest = |[picture, row, column, channel]: [usize; 4]| {
            let (y, x) = (row * from[0] / to[0], column * from[1] / to[1]);
            values[((picture * from[0] + y) * from[1] + x) * channels + channel]
        };
        let nearest: Vec<f64> = indices([batch, to[0], to[1], channels]).map(nearest).collect();
        let linear = naive(&x, to, |distance| (1.0 - distance.abs()).max(0.0));
        let cubic = naive(&x, to, cubic);
        let check = |want: &[f64], f: &dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>| assert_equals_definition(from_ref(&x), want, f);

        check(&nearest, &|t| upsample_nearest2d(&t[0], to[0], to[1]));
        check(&linear, &|t| upsample_bilinear2d(&t[0], to[0], to[1], false));
        check(&cubic, &|t| upsample_bicubic2d(&t[0], to[0], to[1]));
    }
}

#[test]
fn aligned_corners_stay_and_the_rest_lies_evenly_between() {
    let x = tensor(&[0.0, 4.0, 8.0, 12.0], &[1, 2, 2, 1]);
    let got = upsample_bilinear2d(&x, 3, 5, true).unwrap();
    assert_close(&got, &[0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0, 6.0, 7.0, 8.0, 8.0, 9.0, 10.0, 11.0, 12.0], 1e-12);
    assert_close(&upsample_bilinear2d(&x, 1, 1, true).unwrap(), &[0.0], 0.0);
}

#[test]
fn gradients_match_central_differences_and_pullbacks() {
    for (from, to) in [([3, 2], [5, 7]), ([1, 4], [3, 4]), ([5, 5], [2, 3])] {
        let x = random(&[2, from[0], from[1], 3], &mut rng(1));
        let x = from_ref(&x);
        let [height, width] = to;
        assert_gradients(x, |t| upsample_nearest2d(&t[0], height, width));
        let with_pullback = |t: &[Tensor]| upsample_nearest2d_with_pullback(&t[0], height, width);
        assert_pullback(x, |t| upsample_nearest2d(&t[0], height, width), with_pullback);
        for corners in [false, true] {
            assert_gradients(x, |t| upsample_bilinear2d(&t[0], height, width, corners));
            let with_pullback = |t: &[Tensor]| upsample_bilinear2d_with_pullback(&t[0], height, width, corners);
            assert_pullback(x, |t| upsample_bilinear2d(&t[0], height, width, corners), with_pullback);
        }
        assert_gradients(x, |t| upsample_bicubic2d(&t[0], height, width));
        let with_pullback = |t: &[Tensor]| upsample_bicubic2d_with_pullback(&t[0], height, width);
        assert_pullback(x, |t| upsample_bicubic2d(&t[0], height, width), with_pullback);
        assert_gradients(x, |t| upsample_bilinear2d(&t[0].transpose(1, 2)?, height, width, false));
    }
}

#[test]
fn a_picture_without_pixels_is_an_error() {
    let x = random(&[1, 2, 2, 1], &mut rng(2));
    assert!(message(upsample_nearest2d(&x, 0, 3)).contains("0×3"));
}
