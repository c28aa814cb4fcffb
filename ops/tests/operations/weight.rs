//! Weights that are laid out once.

use crate::support::*;
use candle_core::{Result, Tensor, Var};
use holdfast_ops::{
    Conv, Pullback, Weight, conv2d, conv2d_pool_relu_with_pullback, conv2d_with_pullback, linear_with_pullback,
};

type Operation = fn(&Tensor, Weight) -> Result<(Tensor, Pullback)>;

/// Each operation with a weight, the shapes of its input and its weight.
const OPERATIONS: &[(&[usize], &[usize], Operation)] = &[
    (&[5, 40], &[9, 40], |x, weight| linear_with_pullback(x, weight, None)),
    (&[2, 7, 6, 3], &[5, 3, 3, 3], |x, weight| conv2d_with_pullback(x, weight, None, Conv::new(2, 1))),
    (&[2, 7, 6, 4], &[6, 2, 3, 3], |x, weight| {
        conv2d_with_pullback(x, weight, None, Conv { stride: 1, padding: 1, groups: 2 })
    }),
    (&[2, 8, 8, 3], &[5, 3, 3, 3], |x, weight| conv2d_pool_relu_with_pullback(x, weight, None, 1, 1)),
];

#[test]
fn a_packed_weight_gives_the_bits_of_a_plain_one_in_every_pass() {
    let rng = &mut rng(31);
    for (index, (input, weight, operation)) in OPERATIONS.iter().enumerate() {
        let weight = single(&random(weight, rng));
        let packed = Weight::packed(weight.clone());
        for pass in 0..2 {
            let x = single(&random(input, rng));
            let bits = |weight: Weight| {
                let (value, pullback) = operation(&x, weight).unwrap();
                (flat(&value), flat(&pullback(&upstream(&value)).unwrap()))
            };
            assert_eq!(bits(packed.clone()), bits(Weight::from(&weight)), "operation {index}, pass {pass}");
        }
    }
}

#[test]
fn a_packed_weight_is_laid_out_when_it_is_first_needed_and_never_again() {
    let rng = &mut rng(32);
    let (x, weight) = (random(&[1, 4, 4, 2], rng), Var::from_tensor(&random(&[3, 2, 3, 3], rng)).unwrap());
    let packed = Weight::packed(weight.as_detached_tensor());
    let value = |weight: &Weight| flat(&conv2d(&x, weight, None, Conv::new(1, 1)).unwrap());
    let other = random(&[3, 2, 3, 3], rng);
    weight.set(&other).unwrap();

    let first = value(&packed);
    weight.set(&random(&[3, 2, 3, 3], rng)).unwrap();

    assert_eq!(first, value(&Weight::from(&other)));
    assert_eq!(value(&packed), first);
}
