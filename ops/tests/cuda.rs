//! Every operation on the first CUDA device against the same operation on the CPU, in value and in gradient.
//!
//! Where there is no such device, nothing is compared and every test says so.

#![cfg(feature = "cuda")]
#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{DType, Device, Result, Tensor, Var};
use holdfast_ops::{
    AdamMoments, AdamRates, Conv, Math, PgdStep, adam_step, add_relu, affine, affine_add_relu, affine_relu, attention,
    avg_pool2d, batch_norm, channels_first, channels_last, conv2d, conv2d_pool_relu, gelu, gelu_tanh, global_avg_pool,
    l2_normalize, layer_norm, linear, max_pool2d, relu, relu6, softmax, upsample_bicubic2d, upsample_bilinear2d,
    upsample_nearest2d,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The device, or `None` and a line that says that the test compares nothing.
fn gpu() -> Option<Device> {
    match Device::new_cuda(0) {
        Ok(device) => Some(device),
        Err(error) => {
            eprintln!("skipped, nothing was compared: no CUDA device ({})", error.to_string().lines().next().unwrap());
            None
        }
    }
}

/// Uniform in [-1, 1], of this type.
fn random(shape: &[usize], dtype: DType, rng: &mut ChaCha8Rng) -> Tensor {
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

type Operation = dyn Fn(&[Tensor]) -> Result<Tensor>;

/// The result and the gradients of all inputs, of a sum in which every element of the result has its own weight.
fn run(operation: &Operation, inputs: &[Tensor], device: &Device) -> Vec<Vec<f64>> {
    let on_device = inputs.iter().map(|input| Var::from_tensor(&input.to_device(device).unwrap()).unwrap());
    let vars: Vec<Var> = on_device.collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let result = operation(&tensors).unwrap();
    let weights = random(result.dims(), result.dtype(), &mut ChaCha8Rng::seed_from_u64(99)).to_device(device).unwrap();
    let gradients = (&result * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let gradients = vars.iter().map(|var| flat(gradients.get(var).expect("a gradient for every tracked input")));
    std::iter::once(flat(&result)).chain(gradients).collect()
}

/// Fails unless the largest difference is within `tolerance` of the largest value.
fn assert_close(name: &str, which: usize, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{name}, output {which}");
    let scale = want.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
    let difference = got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max);
    assert!(
        difference <= tolerance * scale,
        "{name}, output {which} (0 is the result): off by {difference} of {scale}"
    );
}

/// Compares an operation in both types that the CPU knows.
fn assert_agreement(name: &str, shapes: &[&[usize]], operation: &Operation) {
    let Some(device) = gpu() else { return };
    for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-12)] {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let inputs: Vec<Tensor> = shapes.iter().map(|shape| random(shape, dtype, rng)).collect();
        let (got, want) = (run(operation, &inputs, &device), run(operation, &inputs, &Device::Cpu));
        for (which, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_close(&format!("{name} in {dtype:?}"), which, got, want, tolerance);
        }
    }
}

/// Compares the result in bf16 with the CPU's in f32, from inputs that bf16 holds exactly.
fn assert_agreement_in_bf16(name: &str, shapes: &[&[usize]], operation: &Operation) {
    let Some(device) = gpu() else { return };
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let inputs: Vec<Tensor> = shapes.iter().map(|shape| random(shape, DType::BF16, rng)).collect();
    let single: Vec<Tensor> = inputs.iter().map(|input| input.to_dtype(DType::F32).unwrap()).collect();
    let there: Vec<Tensor> = inputs.iter().map(|input| input.to_device(&device).unwrap()).collect();

    let (got, want) = (operation(&there).unwrap(), operation(&single).unwrap());

    assert_eq!(got.dtype(), DType::BF16);
    assert_close(&format!("{name} in bf16"), 0, &flat(&got), &flat(&want), 0.02);
}

/// (picture, weight, convolution): odd sizes, strides, one tap, one channel, groups, one kernel a channel.
const CONVOLUTIONS: [([usize; 4], [usize; 4], Conv); 7] = [
    ([2, 9, 7, 8], [16, 8, 3, 3], Conv { stride: 1, padding: 1, groups: 1 }),
    ([2, 9, 8, 3], [8, 3, 7, 7], Conv { stride: 2, padding: 3, groups: 1 }),
    ([3, 7, 7, 16], [8, 16, 1, 1], Conv { stride: 2, padding: 0, groups: 1 }),
    ([2, 8, 8, 1], [4, 1, 5, 5], Conv { stride: 1, padding: 2, groups: 1 }),
    ([2, 6, 9, 8], [12, 4, 2, 3], Conv { stride: 1, padding: 0, groups: 2 }),
    ([2, 7, 7, 33], [33, 1, 3, 3], Conv { stride: 1, padding: 1, groups: 33 }),
    ([2, 7, 8, 24], [24, 1, 5, 5], Conv { stride: 2, padding: 2, groups: 24 }),
];

#[test]
fn convolution_agrees() {
    for (x, weight, conv) in CONVOLUTIONS {
        let operation = move |t: &[Tensor]| conv2d(&t[0], &t[1], Some(&t[2]), conv);
        assert_agreement(&format!("{conv:?}"), &[&x, &weight, &weight[..1]], &operation);
        assert_agreement_in_bf16(&format!("{conv:?}"), &[&x, &weight, &weight[..1]], &operation);
    }
}

#[test]
fn the_block_of_convolution_pooling_and_relu_agrees() {
    for (x, weight, conv) in CONVOLUTIONS.iter().filter(|(.., conv)| conv.groups == 1) {
        let Conv { stride, padding, .. } = *conv;
        let operation = move |t: &[Tensor]| conv2d_pool_relu(&t[0], &t[1], Some(&t[2]), stride, padding);
        assert_agreement(&format!("{conv:?}"), &[x, weight, &weight[..1]], &operation);
        assert_agreement_in_bf16(&format!("{conv:?}"), &[x, weight, &weight[..1]], &operation);
    }
}

#[test]
fn convolution_and_matrix_products_in_tf32_are_near() {
    let Some(device) = gpu() else { return };
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let inputs = [&[4, 14, 14, 64][..], &[64, 64, 3, 3]].map(|shape| random(shape, DType::F32, rng));
    let operation = |t: &[Tensor]| conv2d(&t[0], &t[1], None, Conv::new(1, 1));
    let want = run(&operation, &inputs, &Device::Cpu);

    Math::Tf32.set();
    let got = run(&operation, &inputs, &device);
    Math::Exact.set();

    for (which, (got, want)) in got.iter().zip(&want).enumerate() {
        assert_close("conv2d in tf32", which, got, want, 2e-3);
    }
}

#[test]
fn a_second_convolution_of_the_same_shape_uses_its_own_values() {
    let Some(device) = gpu() else { return };
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let operation = |t: &[Tensor]| conv2d(&t[0], &t[1], None, Conv::new(1, 1));
    for round in 0..3 {
        let inputs = [&[2, 5, 5, 4][..], &[4, 4, 3, 3]].map(|shape| random(shape, DType::F32, rng));
        let (got, want) = (run(&operation, &inputs, &device), run(&operation, &inputs, &Device::Cpu));
        for (which, (got, want)) in got.iter().zip(&want).enumerate() {
            assert_close(&format!("round {round}"), which, got, want, 1e-5);
        }
    }
}

#[test]
fn the_linear_layer_agrees() {
    let operation = |t: &[Tensor]| linear(&t[0], &t[1], Some(&t[2]));
    assert_agreement("linear", &[&[5, 37], &[19, 37], &[19]], &operation);
    assert_agreement_in_bf16("linear", &[&[5, 37], &[19, 37], &[19]], &operation);
}

/// The name of an operation, the shapes of its inputs, and the operation.
type Case = (&'static str, &'static [&'static [usize]], fn(&[Tensor]) -> Result<Tensor>);

const CASES: [Case; 15] = [
    ("relu", &[&[3, 5, 7]], |t| relu(&t[0])),
    ("relu6", &[&[3, 5, 7]], |t| relu6(&(&t[0] * 9.0)?)),
    ("add_relu", &[&[3, 5, 7], &[3, 5, 7]], |t| add_relu(&t[0], &t[1])),
    ("gelu", &[&[3, 5, 7]], |t| gelu(&t[0])),
    ("gelu_tanh", &[&[3, 5, 7]], |t| gelu_tanh(&t[0])),
    ("affine", &[&[2, 3, 3, 7], &[7], &[7]], |t| affine(&t[0], &t[1], &t[2])),
    ("affine_relu", &[&[2, 3, 3, 7], &[7], &[7]], |t| affine_relu(&t[0], &t[1], &t[2])),
    ("affine_add_relu", &[&[2, 3, 3, 7], &[7], &[7], &[2, 3, 3, 7]], |t| affine_add_relu(&t[0], &t[1], &t[2], &t[3])),
    ("softmax", &[&[9, 197]], |t| softmax(&t[0])),
    ("l2_normalize", &[&[9, 33]], |t| l2_normalize(&t[0])),
    ("layer_norm", &[&[2, 5, 33], &[33], &[33]], |t| layer_norm(&t[0], &t[1], &t[2], 1e-6)),
    ("attention", &[&[2, 3, 7, 8], &[2, 3, 7, 8], &[2, 3, 7, 8]], |t| attention(&t[0], &t[1], &t[2], 0.35)),
    ("upsample_nearest2d", &[&[2, 3, 4, 5]], |t| upsample_nearest2d(&t[0], 7, 6)),
    ("upsample_bilinear2d", &[&[2, 3, 4, 5]], |t| upsample_bilinear2d(&t[0], 7, 6, false)),
    ("upsample_bicubic2d", &[&[2, 3, 4, 5]], |t| upsample_bicubic2d(&t[0], 7, 6)),
];

#[test]
fn operations_on_single_elements_and_rows_agree() {
    for (name, shapes, operation) in CASES {
        assert_agreement(name, shapes, &operation);
        assert_agreement_in_bf16(name, shapes, &operation);
    }
}

#[test]
fn batch_normalization_agrees_in_result_statistics_and_gradients() {
    assert_agreement("batch_norm", &[&[3, 4, 5, 37], &[37], &[37]], &|t| {
        Ok(batch_norm(&t[0], &t[1], &t[2], 1e-5)?.result)
    });
    let Some(device) = gpu() else { return };
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    let inputs = [&[3, 4, 5, 37][..], &[37], &[37]].map(|shape| random(shape, DType::F32, rng));
    let statistics = |device: &Device| {
        let [x, weight, bias] = inputs.each_ref().map(|input| input.to_device(device).unwrap());
        let normal = batch_norm(&x, &weight, &bias, 1e-5).unwrap();
        [flat(&normal.mean), flat(&normal.variance)]
    };
    let (got, want) = (statistics(&device), statistics(&Device::Cpu));
    for which in 0..2 {
        assert_close("the statistics of batch_norm", which, &got[which], &want[which], 1e-5);
    }
}

#[test]
fn affine_maps_with_frozen_parameters_agree() {
    assert_agreement("affine_relu", &[&[2, 3, 3, 7]], &|t| {
        let all = |value: f64| Tensor::full(value, 7, t[0].device())?.to_dtype(t[0].dtype());
        affine_relu(&t[0], &all(0.7)?, &all(-0.1)?)
    });
}

/// (kernel, stride, padding): apart, overlapping, with gaps.
const WINDOWS: [(usize, usize, usize); 5] = [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0), (4, 2, 2)];

#[test]
fn max_pooling_agrees_with_overlap_padding_and_ties() {
    for (kernel, stride, padding) in WINDOWS {
        assert_agreement("max_pool2d", &[&[2, 7, 6, 5]], &move |t| max_pool2d(&t[0], kernel, stride, padding));
        // ReLU makes ties, which must go to the same element.
        assert_agreement("max_pool2d of ties", &[&[2, 7, 6, 5]], &move |t| {
            max_pool2d(&relu(&t[0])?, kernel, stride, padding)
        });
        assert_agreement_in_bf16("max_pool2d", &[&[2, 7, 6, 5]], &move |t| max_pool2d(&t[0], kernel, stride, padding));
    }
}

#[test]
fn average_pooling_agrees() {
    for (kernel, stride, padding) in WINDOWS {
        for count_include_pad in [true, false] {
            let pool = move |t: &[Tensor]| avg_pool2d(&t[0], kernel, stride, padding, count_include_pad);
            assert_agreement("avg_pool2d", &[&[2, 7, 6, 5]], &pool);
            assert_agreement_in_bf16("avg_pool2d", &[&[2, 7, 6, 5]], &pool);
        }
    }
    assert_agreement("global_avg_pool", &[&[3, 7, 6, 37]], &|t| global_avg_pool(&t[0]));
    assert_agreement_in_bf16("global_avg_pool", &[&[3, 7, 6, 37]], &|t| global_avg_pool(&t[0]));
}

#[test]
fn the_order_of_channels_agrees() {
    assert_agreement("channels_last", &[&[2, 33, 5, 9]], &|t| channels_last(&t[0]));
    assert_agreement("channels_first", &[&[2, 5, 9, 33]], &|t| channels_first(&t[0]));
}

#[test]
fn a_pgd_step_is_the_same_to_the_last_bit() {
    let Some(device) = gpu() else { return };
    for dtype in [DType::F32, DType::F64] {
        let rng = &mut ChaCha8Rng::seed_from_u64(4);
        let benign = random(&[3, 1, 9, 9], dtype, rng).abs().unwrap();
        let pixels = (&benign + (random(&[3, 1, 9, 9], dtype, rng) * 0.02).unwrap()).unwrap().clamp(0.0, 1.0).unwrap();
        let slopes = (random(&[3, 1, 9, 9], dtype, rng) * 3.0).unwrap().round().unwrap();
        let step = PgdStep { stride: 2.0 / 255.0, radius: 8.0 / 255.0 };
        let there = |tensor: &Tensor| tensor.to_device(&device).unwrap();

        let got = step.descend(&there(&pixels), &there(&benign), &there(&slopes)).unwrap().unwrap();

        let want = step.descend(&pixels, &benign, &slopes).unwrap().unwrap();
        assert_eq!(flat(&got), flat(&want), "{dtype:?}");
    }
}

#[test]
fn a_slope_that_is_not_finite_makes_no_step() {
    let Some(device) = gpu() else { return };
    for slope in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut slopes = vec![1.0; 1000];
        slopes[999] = slope;
        let slopes = Tensor::new(slopes, &device).unwrap();
        let pixels = slopes.zeros_like().unwrap();

        assert!(PgdStep { stride: 0.1, radius: 0.2 }.descend(&pixels, &pixels, &slopes).unwrap().is_none(), "{slope}");
    }
}

#[test]
fn adam_agrees_step_after_step() {
    let Some(device) = gpu() else { return };
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let start = random(&[1000], DType::F32, rng);
    let variables = [Device::Cpu, device].map(|device| Var::from_tensor(&start.to_device(&device).unwrap()).unwrap());
    let mut moments = variables.each_ref().map(|variable| AdamMoments::zeros(variable).unwrap());
    for step in 1..=4 {
        let gradient = random(&[1000], DType::F32, rng);
        let rates = AdamRates {
            weight_decay: 0.02,
            first_decay: 0.9,
            second_decay: 0.999,
            step_size: 0.01 / (1.0 - 0.9f64.powi(step)),
            second_scale: (1.0 - 0.999f64.powi(step)).sqrt(),
            epsilon: 1e-8,
        };
        for (variable, moments) in variables.iter().zip(&mut moments) {
            adam_step(variable, &gradient.to_device(variable.device()).unwrap(), moments, &rates).unwrap();
        }
    }

    assert_close("adam", 0, &flat(&variables[1]), &flat(&variables[0]), 1e-5);
}
