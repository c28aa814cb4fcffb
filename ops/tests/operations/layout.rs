//! `channels_last`, `channels_first`.

use crate::support::*;
use candle_core::Tensor;
use holdfast_ops::{channels_first, channels_first_with_pullback, channels_last, channels_last_with_pullback};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layouts_are_permutations(seed: u64, batch in 1..4usize, a in 1..70usize, b in 1..70usize, c in 1..70usize) {
        let x = random(&[batch, a, b, c], &mut rng(seed));
        let permuted = |axes: [usize; 4]| flat(&x.permute(axes).unwrap());

        let (last, first) = (channels_last(&x).unwrap(), channels_first(&x).unwrap());
        prop_assert_eq!(last.dims(), [batch, b, c, a]);
        prop_assert_eq!(flat(&last), permuted([0, 2, 3, 1]));
        prop_assert_eq!(first.dims(), [batch, c, a, b]);
        prop_assert_eq!(flat(&first), permuted([0, 3, 1, 2]));
        prop_assert_eq!(flat(&channels_last(&single(&x)).unwrap()), flat(&single(&last)));
    }
}

#[test]
fn gradients_match_central_differences_and_pullbacks() {
    for shape in [[2, 3, 5, 4], [1, 1, 3, 2], [3, 2, 1, 1]] {
        let x = [random(&shape, &mut rng(1))];
        assert_gradients(&x, |t| channels_last(&t[0]));
        assert_gradients(&x, |t| channels_first(&t[0]));
        assert_gradients(&x, |t| channels_first(&t[0].transpose(1, 2)?));
        assert_pullback(&x, |t| channels_last(&t[0]), |t| channels_last_with_pullback(&t[0]));
        assert_pullback(&x, |t| channels_first(&t[0]), |t| channels_first_with_pullback(&t[0]));
    }
}

#[test]
fn a_tensor_without_four_axes_is_an_error() {
    let x: Tensor = random(&[4, 4], &mut rng(2));
    assert!(message(channels_last(&x)).contains("rank"));
    assert!(message(channels_first_with_pullback(&x)).contains("rank"));
}
