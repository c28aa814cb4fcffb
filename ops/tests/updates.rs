//! The updates of pixels and of parameters, against their formulas as chains of tensor operations.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{DType, Device, Result, Tensor, Var};
use holdfast_ops::{AdamMoments, AdamRates, PgdStep, adam_step};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// More elements than one task handles.
const MANY: usize = 40_000;

fn uniform(count: usize, range: std::ops::Range<f64>, rng: &mut ChaCha8Rng) -> Tensor {
    let values: Vec<f64> = (0..count).map(|_| rng.random_range(range.clone())).collect();
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn largest_difference(left: &Tensor, right: &Tensor) -> f64 {
    flat(left).iter().zip(flat(right)).map(|(left, right)| (left - right).abs()).fold(0.0, f64::max)
}

/// The rates of step number `step`, from 1.
fn rates(step: i32) -> AdamRates {
    AdamRates {
        weight_decay: 0.02,
        first_decay: 0.9,
        second_decay: 0.999,
        step_size: 0.01 / (1.0 - 0.9f64.powi(step)),
        second_scale: (1.0 - 0.999f64.powi(step)).sqrt(),
        epsilon: 1e-8,
    }
}

/// Adam's formula, one tensor operation after the other: (parameter, first, second) after the step.
fn adam_by_formula([p, m, v]: &[Tensor; 3], gradient: &Tensor, rates: &AdamRates) -> Result<[Tensor; 3]> {
    let slope = (gradient + (p * rates.weight_decay)?)?;
    let m = ((m * rates.first_decay)? + (&slope * (1.0 - rates.first_decay))?)?;
    let v = ((v * rates.second_decay)? + (slope.sqr()? * (1.0 - rates.second_decay))?)?;
    let scale = ((v.sqrt()? / rates.second_scale)? + rates.epsilon)?;
    let p = (p - (&m / scale)? * rates.step_size)?;
    Ok([p, m, v])
}

#[test]
fn adam_is_its_formula_step_after_step() {
    for (dtype, tolerance) in [(DType::F64, 1e-14), (DType::F32, 1e-6)] {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let start = uniform(MANY, -1.0..1.0, rng).to_dtype(dtype).unwrap();
        let zeros = start.zeros_like().unwrap();
        let parameter = Var::from_tensor(&start).unwrap();
        let mut moments = AdamMoments::zeros(&parameter).unwrap();
        let mut expected = [start, zeros.clone(), zeros];

        for step in 1..=4 {
            let gradient = uniform(MANY, -1.0..1.0, rng).to_dtype(dtype).unwrap();
            adam_step(&parameter, &gradient, &mut moments, &rates(step)).unwrap();
            expected = adam_by_formula(&expected, &gradient, &rates(step)).unwrap();
        }

        let difference = largest_difference(&parameter, &expected[0]);
        assert!(difference < tolerance, "{dtype:?}: {difference}");
    }
}

#[test]
fn adam_goes_on_from_moments_that_were_read() {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let mut draw = || uniform(15, -1.0..1.0, rng).reshape((3, 5)).unwrap();
    let (whole, gradients) = (draw(), [draw(), draw()]);
    let mut moments = AdamMoments::zeros(&whole).unwrap();
    adam_step(&whole, &gradients[0], &mut moments, &rates(1)).unwrap();
    let [first, second] = moments.tensors(&whole).unwrap();
    let paused = whole.copy().unwrap();

    adam_step(&whole, &gradients[1], &mut moments, &rates(2)).unwrap();
    let mut read = AdamMoments::from_tensors([&first, &second]).unwrap();
    adam_step(&paused, &gradients[1], &mut read, &rates(2)).unwrap();

    assert_eq!(flat(&paused), flat(&whole));
    assert_ne!(flat(&first), flat(&moments.tensors(&whole).unwrap()[0]), "what was read is a copy");
}

#[test]
fn adam_takes_a_strided_gradient_for_what_it_is() {
    let start = uniform(6, -1.0..1.0, &mut ChaCha8Rng::seed_from_u64(2)).reshape((2, 3)).unwrap();
    let gradient = uniform(6, -1.0..1.0, &mut ChaCha8Rng::seed_from_u64(3)).reshape((3, 2)).unwrap().t().unwrap();
    let moved = |gradient: &Tensor| {
        let parameter = Var::from_tensor(&start).unwrap();
        adam_step(&parameter, gradient, &mut AdamMoments::zeros(&parameter).unwrap(), &rates(1)).unwrap();
        flat(&parameter)
    };

    assert_eq!(moved(&gradient), moved(&gradient.contiguous().unwrap()));
}

#[test]
fn adam_refuses_a_gradient_of_another_shape_or_type() {
    let parameter = Var::zeros((2, 3), DType::F64, &Device::Cpu).unwrap();
    let refusal = |shape: (usize, usize), dtype| {
        let gradient = Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
        let mut moments = AdamMoments::zeros(&parameter).unwrap();
        adam_step(&parameter, &gradient, &mut moments, &rates(1)).unwrap_err().to_string()
    };

    assert!(refusal((3, 2), DType::F64).contains("its gradient [3, 2]"));
    refusal((2, 3), DType::F32);
}

/// One step by tensor operations.
fn pgd_by_formula(pixels: &Tensor, benign: &Tensor, slopes: &Tensor, step: PgdStep) -> Result<Tensor> {
    let full = |value: f64| Tensor::full(value, pixels.shape(), &Device::Cpu)?.to_dtype(pixels.dtype());
    let moved = (pixels - (slopes.sign()? * &full(step.stride)?)?)?;
    let moved = moved.minimum(&(benign + &full(step.radius)?)?)?.maximum(&(benign - &full(step.radius)?)?)?;
    moved.clamp(0.0, 1.0)
}

proptest! {
    #[test]
    fn a_pgd_step_is_its_formula(seed: u64, stride in 0.001..0.5f64, radius in 0.001..0.5f64, double: bool) {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let dtype = if double { DType::F64 } else { DType::F32 };
        let [benign, noise] = [uniform(99, 0.0..1.0, rng), uniform(99, -radius..radius, rng)];
        let pixels = (&benign + noise).unwrap().clamp(0.0, 1.0).unwrap().to_dtype(dtype).unwrap();
        let benign = benign.to_dtype(dtype).unwrap();
        // Few levels, so that some slopes are exactly 0.
        let slopes = uniform(99, -2.0..2.0, rng).round().unwrap().to_dtype(dtype).unwrap();
        let step = PgdStep { stride, radius };

        let moved = step.descend(&pixels, &benign, &slopes).unwrap().unwrap();

        let expected = pgd_by_formula(&pixels, &benign, &slopes, step).unwrap();
        prop_assert_eq!(largest_difference(&moved, &expected), 0.0);
        prop_assert_eq!(moved.dtype(), dtype);
    }
}

#[test]
fn a_slope_that_is_not_finite_makes_no_step() {
    let pixels = Tensor::full(0.5f32, MANY, &Device::Cpu).unwrap();
    for slope in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut slopes = vec![1.0; MANY];
        slopes[MANY - 1] = slope;
        let slopes = Tensor::new(slopes, &Device::Cpu).unwrap();

        let moved = PgdStep { stride: 0.1, radius: 0.2 }.descend(&pixels, &pixels, &slopes).unwrap();

        assert!(moved.is_none(), "{slope}");
    }
}

#[test]
fn a_step_refuses_tensors_that_do_not_go_together() {
    let of = |count: usize, dtype| Tensor::zeros(count, dtype, &Device::Cpu).unwrap();
    let step = PgdStep { stride: 0.1, radius: 0.2 };
    let shapes = step.descend(&of(3, DType::F32), &of(3, DType::F32), &of(4, DType::F32)).unwrap_err();

    assert!(shapes.to_string().contains("slopes [4]"), "{shapes}");
    step.descend(&of(3, DType::F32), &of(3, DType::F64), &of(3, DType::F32)).unwrap_err();
}
