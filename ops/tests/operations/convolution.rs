//! Convolution, and the block with pooling and ReLU.

use crate::support::*;
use candle_core::{DType, Device, Result, Tensor, Var};
use holdfast_ops::{
    Conv, conv2d, conv2d_pool_relu, conv2d_pool_relu_with_pullback, conv2d_with_pullback, max_pool2d, relu,
};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;

/// Convolution as its definition, one sum an output.
fn naive_conv2d(x: &Tensor, w: &Tensor, b: &Tensor, conv: Conv) -> Vec<f64> {
    let ((batch, height, width, channels), (outputs, of_group, kh, kw)) = (x.dims4().unwrap(), w.dims4().unwrap());
    let Conv { stride, padding, groups } = conv;
    let (out_h, out_w) = ((height + 2 * padding - kh) / stride + 1, (width + 2 * padding - kw) / stride + 1);
    let (x, w, b) = (flat(x), flat(w), flat(b));
    let outputs_of = |[n, row, column, o]: [usize; 4]| {
        let first = o / (outputs / groups) * of_group;
        let products = indices([of_group, kh, kw]).filter_map(|[c, dy, dx]| {
            let y = (row * stride + dy).checked_sub(padding).filter(|&y| y < height)?;
            let z = (column * stride + dx).checked_sub(padding).filter(|&z| z < width)?;
            let weight = w[((o * of_group + c) * kh + dy) * kw + dx];
            Some(weight * x[((n * height + y) * width + z) * channels + first + c])
        });
        b[o] + products.sum::<f64>()
    };
    indices([batch, out_h, out_w, outputs]).map(outputs_of).collect()
}

/// Pictures (B, H, W, C), a weight and a bias.
fn inputs(picture: [usize; 4], kernel: [usize; 2], outputs: usize, groups: usize, rng: &mut ChaCha8Rng) -> [Tensor; 3] {
    let weight = [outputs, picture[3] / groups, kernel[0], kernel[1]];
    [random(&picture, rng), random(&weight, rng), random(&[outputs], rng)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn convolution_equals_its_definition(
        seed: u64, batch in 1..4usize, of_group in 1..20usize, height in 3..9usize, width in 3..9usize, kernel_height in 1..4usize,
        kernel_width in 1..4usize, stride in 1..4usize, padding in 0..3usize, groups in 1..4usize, outputs in 1..20usize,
    ) {
        let (rng, picture) = (&mut rng(seed), [batch, height, width, of_group * groups]);
        let inputs = inputs(picture, [kernel_height, kernel_width], outputs * groups, groups, rng);
        let conv = Conv { stride, padding, groups };
        let want = naive_conv2d(&inputs[0], &inputs[1], &inputs[2], conv);

        assert_equals_definition(&inputs, &want, |t| conv2d(&t[0], &t[1], Some(&t[2]), conv));
    }

    #[test]
    fn single_precision_gradients_equal_double_precision_ones(
        seed: u64, batch in 1..20usize, of_group in 1..40usize, size in 3..12usize, kernel in 1..6usize, stride in 1..3usize,
        groups in 1..3usize, outputs in 1..40usize,
    ) {
        let (rng, picture) = (&mut rng(seed), [batch, size, size + 1, of_group * groups]);
        let inputs = inputs(picture, [kernel, kernel], outputs * groups, groups, rng);
        let conv = Conv { stride, padding: kernel / 2, groups };
        let operation = |t: &[Tensor]| conv2d(&t[0], &t[1], Some(&t[2]), conv);

        let want = gradients(&inputs, operation);
        let got = gradients(&inputs.each_ref().map(single), operation);

        for (got, want) in got.iter().zip(&want) {
            let scale = flat(want).iter().fold(1.0f64, |most, value| most.max(value.abs()));
            assert_close(got, &flat(want), 1e-5 * scale);
        }
    }

    #[test]
    fn the_fused_block_equals_its_three_operations_in_value_and_gradient(
        seed: u64, batch in 1..11usize, channels in 1..3usize, outputs in 1..20usize, height in 4..9usize, width in 4..9usize,
        kernel in 1..5usize, stride in 1..3usize, levels in 1..5u8,
    ) {
        let rng = &mut rng(seed);
        // Few levels make ties, which must go to the same element.
        let coarse = |shape: &[usize], rng: &mut ChaCha8Rng| (random(shape, rng) * f64::from(levels)).unwrap().round().unwrap();
        let inputs = [coarse(&[batch, height, width, channels], rng), coarse(&[outputs, channels, kernel, kernel], rng), coarse(&[outputs], rng)];
        prop_assume!((height + 2 - kernel) / stride >= 1 && (width + 2 - kernel) / stride >= 1);
        // The numbers are small whole ones: exact in either precision, and in any order of summation.
        for inputs in [inputs.clone(), inputs.each_ref().map(single)] {
            let whole = |output: &Tensor| (output * upstream(output).affine(8.0, 0.0)?.round()?)?.sum_all();
            let run = |operation: &dyn Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>| {
                let vars = inputs.each_ref().map(|input| Var::from_tensor(input).unwrap());
                let out = operation(&vars[0], &vars[1], &vars[2]).unwrap();
                let gradients = whole(&out).unwrap().backward().unwrap();
                (flat(&out), vars.map(|var| flat(gradients.get(&var).unwrap())))
            };

            let fused = run(&|x, w, b| conv2d_pool_relu(x, w, Some(b), stride, 1));
            let apart = run(&|x, w, b| relu(&max_pool2d(&conv2d(x, w, Some(b), Conv::new(stride, 1))?, 2, 2, 0)?));

            prop_assert_eq!(&fused.0, &apart.0);
            prop_assert_eq!(&fused.1, &apart.1);
        }
    }
}

#[test]
fn convolution_gradients_match_central_differences_on_odd_sizes_and_strides() {
    let rng = &mut rng(1);
    for (height, width, kernel, stride, padding, groups) in [
        (5, 7, 3, 1, 1, 1),
        (7, 5, 3, 2, 1, 1),
        (7, 7, 5, 2, 2, 1),
        (6, 9, 2, 3, 0, 1),
        (4, 4, 1, 2, 0, 1),
        (5, 6, 3, 2, 1, 2),
        (6, 5, 3, 1, 1, 4),
    ] {
        let (inputs, conv) =
            (inputs([2, height, width, 4], [kernel; 2], 8, groups, rng), Conv { stride, padding, groups });
        assert_gradients(&inputs, |t| conv2d(&t[0], &t[1], Some(&t[2]), conv));
        assert_pullback(
            &inputs,
            |t| conv2d(&t[0], &t[1], Some(&t[2]), conv),
            |t| conv2d_with_pullback(&t[0], &t[1], Some(&t[2]), conv),
        );
    }
}

#[test]
fn depthwise_convolution_is_as_many_groups_as_channels() {
    let rng = &mut rng(2);
    let (inputs, conv) = (inputs([2, 6, 5, 7], [3; 2], 7, 7, rng), Conv { stride: 2, padding: 1, groups: 7 });
    assert_equals_definition(&inputs, &naive_conv2d(&inputs[0], &inputs[1], &inputs[2], conv), |t| {
        conv2d(&t[0], &t[1], Some(&t[2]), conv)
    });
    assert_gradients(&inputs, |t| conv2d(&t[0], &t[1], Some(&t[2]), conv));
}

#[test]
fn gradients_of_the_fused_block_match_central_differences() {
    let rng = &mut rng(8);
    for (height, width, kernel, stride, padding) in [(6, 7, 3, 1, 1), (9, 8, 5, 2, 2), (5, 4, 1, 1, 0)] {
        let inputs = inputs([2, height, width, 2], [kernel; 2], 3, 1, rng);
        assert_gradients(&inputs, |t| conv2d_pool_relu(&t[0], &t[1], Some(&t[2]), stride, padding));
        assert_pullback(
            &inputs,
            |t| conv2d_pool_relu(&t[0], &t[1], Some(&t[2]), stride, padding),
            |t| conv2d_pool_relu_with_pullback(&t[0], &t[1], Some(&t[2]), stride, padding),
        );
    }
}

#[test]
fn a_weight_gradient_is_the_same_sum_when_pictures_are_summed_in_parts() {
    let inputs = inputs([19, 4, 4, 1], [3; 2], 2, 1, &mut rng(2));
    assert_gradients(&inputs, |t| conv2d(&t[0], &t[1], Some(&t[2]), Conv::new(1, 1)));
}

#[test]
fn convolution_takes_strided_inputs() {
    let rng = &mut rng(5);
    let image = [random(&[1, 2, 5, 6], rng), random(&[2, 2, 3, 3], rng)];
    assert_gradients(&image, |t| conv2d(&t[0].permute((0, 2, 3, 1))?, &t[1], None, Conv::new(1, 1)));
}

#[test]
fn a_value_that_is_not_a_number_stays_one() {
    let weight = Tensor::full(f32::NAN, (1, 1, 1, 1), &Device::Cpu).unwrap();
    let picture = Tensor::ones((1, 2, 2, 1), DType::F32, &Device::Cpu).unwrap();
    assert!(flat(&conv2d_pool_relu(&picture, &weight, None, 1, 0).unwrap())[0].is_nan());
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_name_both_sides() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let refused = |x: &[usize], w: &[usize], conv| message(conv2d(&zeros(x), zeros(w), None, conv));
    assert!(refused(&[1, 5, 5, 2], &[1, 3, 3, 3], Conv::new(1, 0)).contains("2 channels"));
    assert!(refused(&[1, 2, 2, 1], &[1, 1, 5, 5], Conv::new(1, 0)).contains("does not fit"));
    assert!(refused(&[1, 5, 5, 1], &[1, 1, 3, 3], Conv::new(0, 0)).contains("stride 0"));
    assert!(refused(&[1, 5, 5, 4], &[3, 2, 3, 3], Conv { groups: 2, ..Conv::new(1, 0) }).contains("each of 2 groups"));
}
