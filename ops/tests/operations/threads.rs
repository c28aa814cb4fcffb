//! Results do not depend on the number of threads.

use crate::support::*;
use candle_core::{Result, Tensor};
use holdfast_ops::{
    Conv, affine_add_relu, attention, avg_pool2d, batch_norm, channels_last, conv2d, conv2d_pool_relu, global_avg_pool,
    layer_norm, linear, max_pool2d, upsample_bicubic2d,
};

/// Asserts that result and gradients of `operation` have the same bits on one thread as on three.
fn assert_same_on_any_number_of_threads(shapes: &[&[usize]], operation: impl Fn(&[Tensor]) -> Result<Tensor> + Sync) {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let inputs: Vec<Tensor> = shapes.iter().map(|shape| single(&random(shape, &mut rng(7)))).collect();
            let gradients = gradients(&inputs, &operation).iter().map(flat).collect::<Vec<_>>();
            (flat(&operation(&inputs).unwrap()), gradients)
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn results_and_gradients_have_the_same_bits_on_any_number_of_threads() {
    let pictures: &[usize] = &[5, 33, 31, 24];
    assert_same_on_any_number_of_threads(&[pictures, &[24], &[24], pictures], |t| {
        affine_add_relu(&t[0], &t[1], &t[2], &t[3])
    });
    assert_same_on_any_number_of_threads(&[pictures], |t| max_pool2d(&t[0], 3, 2, 1));
    assert_same_on_any_number_of_threads(&[pictures], |t| avg_pool2d(&t[0], 3, 2, 1, false));
    assert_same_on_any_number_of_threads(&[pictures], |t| global_avg_pool(&t[0]));
    assert_same_on_any_number_of_threads(&[pictures], |t| channels_last(&t[0]));
    let small: &[usize] = &[37, 11, 11, 3];
    assert_same_on_any_number_of_threads(&[small, &[16, 3, 3, 3], &[16]], |t| {
        conv2d(&t[0], &t[1], Some(&t[2]), Conv::new(2, 1))
    });
    assert_same_on_any_number_of_threads(&[small, &[16, 3, 3, 3], &[16]], |t| {
        conv2d_pool_relu(&t[0], &t[1], Some(&t[2]), 1, 1)
    });
    assert_same_on_any_number_of_threads(&[&[300, 700], &[40, 700], &[40]], |t| linear(&t[0], &t[1], Some(&t[2])));
    assert_same_on_any_number_of_threads(&[pictures, &[24], &[24]], |t| {
        Ok(batch_norm(&t[0], &t[1], &t[2], 1e-5)?.result)
    });
    assert_same_on_any_number_of_threads(&[pictures, &[24], &[24]], |t| layer_norm(&t[0], &t[1], &t[2], 1e-5));
    assert_same_on_any_number_of_threads(&[pictures], |t| upsample_bicubic2d(&t[0], 40, 50));
    let heads: &[usize] = &[2, 3, 50, 32];
    assert_same_on_any_number_of_threads(&[heads, heads, heads], |t| attention(&t[0], &t[1], &t[2], 0.2));
}
