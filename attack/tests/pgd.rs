//! The gradient loop: its projection, its order, and what it refuses.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod support;

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use holdfast_attack::{Error, Pgd, Result};
use proptest::prelude::*;
use support::uniform;

const PIXELS: usize = 24;

fn picture(values: Vec<f64>, dtype: DType) -> Tensor {
    let side = values.len() / 2;
    Tensor::from_vec(values, (2, 1, 1, side), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// A loss with a different slope in every pixel, exactly 0 in some, that changes sign on the way.
fn wavy(weights: &[f64], pixels: &Tensor) -> Result<Tensor> {
    let weights = Tensor::from_vec(weights.to_vec(), pixels.shape(), &Device::Cpu)?.to_dtype(pixels.dtype())?;
    Ok((pixels.affine(9.0, 0.0)?.sin()? * weights)?.sum_all()?)
}

fn weights() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![Just(0.0), -1.0..1.0], PIXELS)
}

proptest! {
    #[test]
    fn pixels_never_leave_the_epsilon_ball_nor_the_unit_range(
        benign in prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0], PIXELS),
        weights in weights(),
        epsilon in 0.001..1.0f64,
        alpha in 0.001..1.0f64,
        steps in 1..12usize,
        dtype in prop_oneof![Just(DType::F32), Just(DType::F64)],
    ) {
        let benign = picture(benign, dtype);
        let rounding = if dtype == DType::F32 { 1e-7 } else { 1e-15 };

        let perturbed = Pgd::new(epsilon, alpha, steps).unwrap().perturb(&benign, &mut |x| wavy(&weights, x)).unwrap();

        prop_assert_eq!(perturbed.dtype(), dtype);
        for (moved, start) in values(&perturbed).into_iter().zip(values(&benign)) {
            prop_assert!((moved - start).abs() <= epsilon + rounding);
            prop_assert!((0.0..=1.0).contains(&moved));
        }
    }

    #[test]
    fn a_pixel_with_zero_gradient_stays_where_it_is(weights in weights(), steps in 1..6usize) {
        let benign = picture(uniform(PIXELS, 0.0, 1.0, 3), DType::F64);

        let perturbed = Pgd::new(0.3, 0.05, steps).unwrap().perturb(&benign, &mut |x| wavy(&weights, x)).unwrap();

        let moved = values(&perturbed).into_iter().zip(values(&benign)).zip(weights);
        for ((moved, start), weight) in moved {
            prop_assert!(weight != 0.0 || moved == start);
        }
    }

    #[test]
    fn each_update_is_the_written_formula(weights in weights(), epsilon in 0.01..0.2f64, steps in 1..6usize) {
        let benign = uniform(PIXELS, 0.0, 1.0, 5);
        let mut naive = benign.clone();
        let size = if steps == 1 { epsilon } else { 0.05 };
        for _ in 0..steps {
            for index in 0..PIXELS {
                let slope = weights[index] * 9.0 * (9.0 * naive[index]).cos();
                let sign = if slope == 0.0 { 0.0 } else { slope.signum() };
                let stepped = naive[index] - size * sign;
                naive[index] = stepped.min(benign[index] + epsilon).max(benign[index] - epsilon).clamp(0.0, 1.0);
            }
        }

        let pixels = picture(benign, DType::F64);
        let perturbed = Pgd::new(epsilon, 0.05, steps).unwrap().perturb(&pixels, &mut |x| wavy(&weights, x)).unwrap();

        prop_assert_eq!(values(&perturbed), naive);
    }
}

#[test]
fn a_single_step_goes_the_whole_radius() {
    let benign = picture(vec![0.5; 4], DType::F64);

    let perturbed = Pgd::new(0.25, 0.01, 1).unwrap().perturb(&benign, &mut |x| Ok(x.sum_all()?)).unwrap();

    assert_eq!(values(&perturbed), [0.25; 4]);
}

#[test]
fn an_observer_sees_the_old_loss_with_the_new_pixels_and_its_break_keeps_the_update() {
    let benign = picture(vec![0.5; 4], DType::F64);
    let mut seen = Vec::new();

    let perturbed =
        Pgd::new(0.25, 0.125, 9).unwrap().perturb_observed(&benign, &mut |x| Ok(x.sum_all()?), &mut |step| {
            seen.push((step.index, step.objective, values(step.pixels)[0]));
            if step.index == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });

    assert_eq!(seen, [(0, 2.0, 0.375), (1, 1.5, 0.25)]);
    assert_eq!(values(&perturbed.unwrap()), [0.25; 4]);
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_that_names_the_step() {
    let benign = picture(vec![0.5; 4], DType::F32);
    let mut calls = 0;

    let result = Pgd::new(0.3, 0.1, 4).unwrap().perturb(&benign, &mut |x| {
        calls += 1;
        Ok((x.sum_all()? * if calls == 3 { f64::NAN } else { 1.0 })?)
    });

    assert!(matches!(result, Err(Error::NotFinite { quantity: "the loss", step: 2, .. })), "{result:?}");
}

#[test]
fn a_gradient_that_is_not_finite_is_an_error_although_the_loss_is_fine() {
    let benign = picture(vec![0.0, 0.5, 0.5, 0.5], DType::F64);

    // The slope of a square root at 0 is infinite; its product with 0 would be NaN, whose sign is 0.
    let result = Pgd::new(0.3, 0.1, 4).unwrap().perturb(&benign, &mut |x| Ok(x.sqrt()?.sum_all()?));

    assert!(matches!(result, Err(Error::NotFinite { quantity: "the gradient", step: 0, .. })), "{result:?}");
}

#[test]
fn a_loss_without_a_path_to_the_pixels_is_an_error() {
    let benign = picture(vec![0.5; 4], DType::F64);

    let result = Pgd::new(0.3, 0.1, 4).unwrap().perturb(&benign, &mut |x| Ok(x.detach().sum_all()?));

    assert!(matches!(result, Err(Error::NoGradient { step: 0 })), "{result:?}");
}

#[test]
fn a_loss_that_is_not_a_scalar_is_an_error() {
    let benign = picture(vec![0.5; 4], DType::F64);

    let result = Pgd::new(0.3, 0.1, 4).unwrap().perturb(&benign, &mut |x| Ok(x.sum(3)?));

    assert!(matches!(result, Err(Error::NotScalar { .. })), "{result:?}");
}

#[test]
fn pixels_that_were_normalised_outside_the_net_are_refused() {
    let pgd = Pgd::new(0.3, 0.1, 4).unwrap();
    for value in [-2.1, 1.0001, f64::NAN] {
        let result = pgd.perturb(&picture(vec![0.5, value], DType::F64), &mut |x| Ok(x.sum_all()?));
        assert!(matches!(result, Err(Error::PixelRange { .. })), "{value}: {result:?}");
    }
}

#[test]
fn a_budget_out_of_range_is_refused() {
    for (epsilon, alpha, steps) in [(0.0, 0.1, 1), (8.0, 0.1, 1), (f64::NAN, 0.1, 1), (0.1, -0.1, 1), (0.1, 0.1, 0)] {
        assert!(Pgd::new(epsilon, alpha, steps).is_err(), "{epsilon} {alpha} {steps}");
    }
}
