//! Every operation against a naive loop, and every gradient against central differences in float64.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{DType, Device, Result, Tensor, Var};
use holdfast_ops::{conv2d, conv2d_pool_relu, linear, max_pool2d, relu};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Uniform in [-1, 1], float64. No two elements are equal, so no maximum is tied.
fn random(shape: &[usize], rng: &mut ChaCha8Rng) -> Tensor {
    let elements = shape.iter().product();
    let values: Vec<f64> = (0..elements).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A scalar in which every output element has its own weight.
fn weighted_sum(output: &Tensor) -> Result<Tensor> {
    let weights = random(output.dims(), &mut ChaCha8Rng::seed_from_u64(99));
    (output * weights)?.sum_all()
}

/// Asserts that the gradients of `weighted_sum(operation(inputs))` equal central differences, for every element.
fn assert_gradients(inputs: &[Tensor], operation: impl Fn(&[Tensor]) -> Result<Tensor>) {
    const STEP: f64 = 1e-5;
    let vars: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let gradients = weighted_sum(&operation(&tensors).unwrap()).unwrap().backward().unwrap();
    for (which, var) in vars.iter().enumerate() {
        let got = flat(gradients.get(var).expect("a gradient for every tracked input"));
        let values = flat(&inputs[which]);
        for index in 0..values.len() {
            let value_at = |offset: f64| {
                let mut moved = values.clone();
                moved[index] += offset;
                let mut inputs = inputs.to_vec();
                inputs[which] = Tensor::from_vec(moved, inputs[which].dims(), &Device::Cpu).unwrap();
                weighted_sum(&operation(&inputs).unwrap()).unwrap().to_scalar::<f64>().unwrap()
            };
            let want = (value_at(STEP) - value_at(-STEP)) / (2.0 * STEP);
            assert!(
                (got[index] - want).abs() < 1e-7,
                "input {which}, element {index}: {} but differences say {want}",
                got[index]
            );
        }
    }
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Convolution as its definition, one sum an output.
fn naive_conv2d(x: &Tensor, w: &Tensor, b: &Tensor, stride: usize, padding: usize) -> Vec<f64> {
    let ((batch, channels, height, width), (outputs, _, kh, kw)) = (x.dims4().unwrap(), w.dims4().unwrap());
    let (out_h, out_w) = ((height + 2 * padding - kh) / stride + 1, (width + 2 * padding - kw) / stride + 1);
    let (x, w, b) = (flat(x), flat(w), flat(b));
    let mut out = Vec::new();
    for (n, o, row, column) in cartesian(batch, outputs, out_h, out_w) {
        let mut sum = b[o];
        for (c, dy, dx, _) in cartesian(channels, kh, kw, 1) {
            let (y, z) = ((row * stride + dy).wrapping_sub(padding), (column * stride + dx).wrapping_sub(padding));
            if y < height && z < width {
                sum += x[((n * channels + c) * height + y) * width + z] * w[((o * channels + c) * kh + dy) * kw + dx];
            }
        }
        out.push(sum);
    }
    out
}

fn cartesian(a: usize, b: usize, c: usize, d: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).flat_map(move |k| (0..d).map(move |l| (i, j, k, l)))))
}

fn assert_equal(got: &Tensor, want: &[f64], tolerance: f64) {
    let got = flat(got);
    assert_eq!(got.len(), want.len());
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= tolerance, "element {index}: {got}, expected {want}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn convolution_equals_its_definition(
        seed: u64, batch in 1..4usize, channels in 1..4usize, outputs in 1..4usize, height in 3..9usize, width in 3..9usize,
        kernel_height in 1..4usize, kernel_width in 1..4usize, stride in 1..4usize, padding in 0..3usize,
    ) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let x = random(&[batch, channels, height, width], rng);
        let w = random(&[outputs, channels, kernel_height, kernel_width], rng);
        let b = random(&[outputs], rng);
        let want = naive_conv2d(&x, &w, &b, stride, padding);

        assert_equal(&conv2d(&x, &w, Some(&b), stride, padding).unwrap(), &want, 1e-12);
        let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
        assert_equal(&conv2d(&single(&x), &single(&w), Some(&single(&b)), stride, padding).unwrap(), &want, 1e-5);
    }

    #[test]
    fn the_fused_block_equals_its_three_operations_in_value_and_gradient(
        seed: u64, batch in 1..11usize, channels in 1..3usize, outputs in 1..4usize, height in 4..9usize, width in 4..9usize,
        kernel in 1..4usize, stride in 1..3usize, levels in 1..5u8,
    ) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        // Few levels make ties, which must go to the same element.
        let coarse = |shape: &[usize], rng: &mut ChaCha8Rng| (random(shape, rng) * f64::from(levels)).unwrap().round().unwrap();
        let inputs = [coarse(&[batch, channels, height, width], rng), coarse(&[outputs, channels, kernel, kernel], rng), coarse(&[outputs], rng)];
        prop_assume!((height + 2 - kernel) / stride >= 1 && (width + 2 - kernel) / stride >= 1);
        let run = |operation: &dyn Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>| {
            let vars = inputs.each_ref().map(|input| Var::from_tensor(input).unwrap());
            let out = operation(&vars[0], &vars[1], &vars[2]).unwrap();
            let gradients = weighted_sum(&out).unwrap().backward().unwrap();
            let gradients = vars.map(|var| flat(gradients.get(&var).unwrap()));
            (flat(&out), gradients)
        };

        let fused = run(&|x, w, b| conv2d_pool_relu(x, w, Some(b), stride, 1));
        let apart = run(&|x, w, b| max_pool2d(&relu(&conv2d(x, w, Some(b), stride, 1)?)?, 2, 2, 0));

        prop_assert_eq!(&fused.0, &apart.0);
        for (fused, apart) in fused.1.iter().zip(&apart.1) {
            prop_assert!(fused.iter().zip(apart).all(|(f, a)| (f - a).abs() < 1e-10), "{:?} against {:?}", fused, apart);
        }
    }

    #[test]
    fn max_pooling_equals_its_definition(
        seed: u64, planes in 1..4usize, height in 3..9usize, width in 3..9usize, kernel in 1..4usize, stride in 1..4usize,
        padding in 0..2usize,
    ) {
        let padding = padding.min(kernel / 2);
        let x = random(&[1, planes, height, width], &mut ChaCha8Rng::seed_from_u64(seed));
        let size = |input: usize| (input + 2 * padding - kernel) / stride + 1;
        let values = flat(&x);
        let want: Vec<f64> = cartesian(1, planes, size(height), size(width)).map(|(_, c, row, column)| {
            let inside = |offset: usize, start: usize, end: usize| (start * stride + offset).checked_sub(padding).filter(|&p| p < end);
            let window = cartesian(kernel, kernel, 1, 1).filter_map(|(dy, dx, ..)| {
                Some(values[(c * height + inside(dy, row, height)?) * width + inside(dx, column, width)?])
            });
            window.fold(f64::NEG_INFINITY, f64::max)
        }).collect();

        assert_equal(&max_pool2d(&x, kernel, stride, padding).unwrap(), &want, 0.0);
    }
}

#[test]
fn convolution_gradients_match_central_differences_on_odd_sizes_and_strides() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    for (height, width, kernel, stride, padding) in
        [(5, 7, 3, 1, 1), (7, 5, 3, 2, 1), (7, 7, 5, 2, 2), (6, 9, 2, 3, 0), (4, 4, 1, 2, 0)]
    {
        let inputs = [random(&[2, 2, height, width], rng), random(&[3, 2, kernel, kernel], rng), random(&[3], rng)];
        assert_gradients(&inputs, |t| conv2d(&t[0], &t[1], Some(&t[2]), stride, padding));
    }
}

#[test]
fn gradients_of_the_fused_block_match_central_differences() {
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    for (height, width, kernel, stride, padding) in [(6, 7, 3, 1, 1), (9, 8, 5, 2, 2), (5, 4, 1, 1, 0)] {
        let inputs = [random(&[2, 2, height, width], rng), random(&[3, 2, kernel, kernel], rng), random(&[3], rng)];
        assert_gradients(&inputs, |t| conv2d_pool_relu(&t[0], &t[1], Some(&t[2]), stride, padding));
    }
}

#[test]
fn a_weight_gradient_is_the_same_sum_when_pictures_span_several_groups() {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let inputs = [random(&[19, 1, 4, 4], rng), random(&[2, 1, 3, 3], rng), random(&[2], rng)];
    assert_gradients(&inputs, |t| conv2d(&t[0], &t[1], Some(&t[2]), 1, 1));
}

#[test]
fn pooling_gradients_match_central_differences_with_overlap_and_padding() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    for (size, kernel, stride, padding) in [(6, 2, 2, 0), (7, 3, 2, 1), (5, 3, 1, 1), (7, 2, 3, 0)] {
        assert_gradients(&[random(&[2, 3, size, size + 1], rng)], |t| max_pool2d(&t[0], kernel, stride, padding));
    }
}

#[test]
fn linear_and_relu_gradients_match_central_differences() {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    let inputs = [random(&[5, 7], rng), random(&[3, 7], rng), random(&[3], rng)];
    assert_gradients(&inputs, |t| linear(&t[0], &t[1], Some(&t[2])));
    assert_gradients(&[random(&[3, 5], rng)], |t| relu(&t[0]));
}

#[test]
fn gradients_are_right_for_strided_inputs() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let inputs = [random(&[7, 5], rng), random(&[7, 3], rng)];
    assert_gradients(&inputs, |t| linear(&t[0].t()?, &t[1].t()?, None));
    let image = [random(&[1, 5, 6, 2], rng), random(&[2, 2, 3, 3], rng)];
    assert_gradients(&image, |t| relu(&conv2d(&t[0].permute((0, 3, 1, 2))?, &t[1], None, 1, 1)?));
}

#[test]
fn the_derivative_of_relu_at_zero_is_zero() {
    let x = Var::new(&[-1.0f32, 0.0, 2.0], &Device::Cpu).unwrap();
    let gradients = relu(&x).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0, 1.0]);
}

#[test]
fn a_value_that_is_not_a_number_stays_one() {
    let x = Tensor::new(&[[f32::NAN, -1.0]], &Device::Cpu).unwrap();
    assert!(flat(&relu(&x).unwrap())[0].is_nan());
    let weight = Tensor::full(f32::NAN, (1, 1, 1, 1), &Device::Cpu).unwrap();
    let picture = Tensor::ones((1, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
    assert!(flat(&conv2d_pool_relu(&picture, &weight, None, 1, 0).unwrap())[0].is_nan());
}

#[test]
fn a_tied_maximum_sends_its_gradient_to_the_first_in_row_major_order() {
    let x = Var::from_tensor(&Tensor::zeros((1, 1, 4, 4), DType::F32, &Device::Cpu).unwrap()).unwrap();
    let gradients = max_pool2d(&x, 2, 2, 0).unwrap().sum_all().unwrap().backward().unwrap();
    let rows = gradients.get(&x).unwrap().reshape((4, 4)).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(rows, [[1., 0., 1., 0.], [0.; 4], [1., 0., 1., 0.], [0.; 4]]);
}

#[test]
fn untracked_weights_get_no_gradient() {
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    let x = Var::from_tensor(&random(&[2, 1, 5, 5], rng)).unwrap();
    let (w, b) = (random(&[2, 1, 3, 3], rng), random(&[2], rng));
    let features = conv2d(&x, &w, Some(&b), 1, 1).unwrap().flatten_from(1).unwrap();
    let v = random(&[4, 50], rng);
    let gradients = linear(&features, &v, None).unwrap().sum_all().unwrap().backward().unwrap();

    assert!(gradients.get(&x).is_some());
    for untracked in [&w, &b, &v] {
        assert!(gradients.get(untracked).is_none());
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let rng = &mut ChaCha8Rng::seed_from_u64(7);
            let tensors = [&[37, 3, 11, 11][..], &[16, 3, 3, 3], &[16], &[64, 16 * 25], &[64]]
                .map(|s| random(s, rng).to_dtype(DType::F32).unwrap());
            let vars = tensors.map(|t| Var::from_tensor(&t).unwrap());
            let hidden = conv2d_pool_relu(&vars[0], &vars[1], Some(&vars[2]), 1, 1).unwrap();
            let out = linear(&hidden.flatten_from(1).unwrap(), &vars[3], Some(&vars[4])).unwrap();
            let gradients = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            vars.map(|var| flat(gradients.get(&var).unwrap()))
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_name_both_sides() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let message = |result: Result<Tensor>| result.unwrap_err().to_string();
    assert!(message(conv2d(&zeros(&[1, 2, 5, 5]), &zeros(&[1, 3, 3, 3]), None, 1, 0)).contains("2 channels"));
    assert!(message(conv2d(&zeros(&[1, 1, 2, 2]), &zeros(&[1, 1, 5, 5]), None, 1, 0)).contains("does not fit"));
    assert!(message(conv2d(&zeros(&[1, 1, 5, 5]), &zeros(&[1, 1, 3, 3]), None, 0, 0)).contains("stride 0"));
    assert!(message(linear(&zeros(&[1, 4]), &zeros(&[2, 5]), None)).contains("4 features"));
    assert!(message(max_pool2d(&zeros(&[1, 1, 4, 4]), 2, 2, 2)).contains("half the kernel"));
}
