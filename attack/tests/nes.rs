//! Gradients from answers alone: right on average, counted, and within budget.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod support;

use candle_core::{DType, Device, Tensor};
use holdfast_attack::{AttackedBatch, Error, Nes, Pgd, Pictures, Protocol, Result, Rules, attack_batch, by_names};
use holdfast_model::testing::values;
use support::{Health, Linear, World, rng, uniform};

/// A loss with another slope in each pixel: the slopes, and the loss of each picture (2, 1, 1, 6).
fn sloped() -> (Vec<f64>, impl Fn(&Tensor) -> Result<Vec<f64>>) {
    let slopes = uniform(12, -1.0, 1.0, 4);
    let weights = Tensor::from_vec(slopes.clone(), (2, 1, 1, 6), &Device::Cpu).unwrap();
    (slopes, move |pixels: &Tensor| Ok((pixels * &weights)?.flatten_from(1)?.sum(1)?.to_vec1()?))
}

fn grey() -> Tensor {
    Tensor::full(0.5, (2, 1, 1, 6), &Device::Cpu).unwrap()
}

#[test]
fn the_mean_of_many_probes_is_the_slope_of_each_pixel() {
    let (slopes, losses) = sloped();
    let nes = Nes { samples: 20_000, query_budget: 20_000, ..Nes::default() };

    let gradient = nes.estimate(&grey(), &mut |pixels| losses(pixels), 0, &mut rng(1)).unwrap();

    // One probe's error in a pixel is the length of the gradient, about 2; of 10,000 pairs it is about 0.02.
    for (estimate, slope) in values(&gradient.slopes).iter().zip(&slopes) {
        assert!((estimate - slope).abs() < 0.1, "{estimate} for {slope}");
    }
    let mean = losses(&grey()).unwrap().iter().sum::<f64>() / 2.0;
    assert!((gradient.objective - mean).abs() < 1e-4, "{} for {mean}", gradient.objective);
}

#[test]
fn opposite_probes_cancel_what_a_loss_is_without_slope() {
    let nes = Nes { samples: 2, query_budget: 2, ..Nes::default() };

    let gradient = nes.estimate(&grey(), &mut |_| Ok(vec![3.0, 7.0]), 0, &mut rng(1)).unwrap();

    assert_eq!(values(&gradient.slopes), [0.0; 12]);
    assert_eq!(gradient.objective, 5.0);
}

#[test]
fn a_picture_is_judged_by_its_own_loss() {
    let (slopes, losses) = sloped();
    let nes = Nes { samples: 2000, query_budget: 2000, ..Nes::default() };
    let mut louder = |pixels: &Tensor| losses(pixels).map(|losses| vec![losses[0], 1e6 * losses[1]]);

    let gradient = nes.estimate(&grey(), &mut louder, 0, &mut rng(1)).unwrap();

    for (estimate, slope) in values(&gradient.slopes)[..6].iter().zip(&slopes) {
        assert!((estimate - slope).abs() < 0.3, "{estimate} for {slope}");
    }
}

#[test]
fn probes_are_pictures_that_a_service_would_take() {
    let black = Tensor::zeros((1, 1, 1, 6), DType::F32, &Device::Cpu).unwrap();
    let mut inside = |pixels: &Tensor| {
        assert!(values(pixels).iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        Ok(vec![0.0])
    };

    Nes { sigma: 0.5, ..Nes::default() }.estimate(&black, &mut inside, 0, &mut rng(1)).unwrap();
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_that_names_the_step() {
    let error = Nes::default().estimate(&grey(), &mut |_| Ok(vec![0.0, f64::NAN]), 4, &mut rng(1)).unwrap_err();

    assert!(matches!(error, Error::NotFinite { quantity: "the loss", step: 4, .. }), "{error}");
}

fn blind(nes: Nes) -> Result<AttackedBatch> {
    let world = World::new(200);
    let pixels = world.pixels.narrow(0, 0, 16).unwrap();
    let pictures = Pictures { pixels: &pixels, labels: Some(&world.labels[..16]), protocol: Protocol::LeaveOneOut };
    let rules = Rules { nes, ..Rules::from(Pgd::new(0.1, 0.02, 8).unwrap()) };
    // Without a gradient to look at: the attack must do without.
    let embedder = Linear::new(Health::Detached, DType::F64);
    attack_batch(&embedder, pictures, &world.gallery(), by_names("NES").unwrap()[0], &rules, &mut rng(3))
}

#[test]
fn the_queries_are_counted_and_the_budget_ends_the_attack() {
    let shift = |batch: &AttackedBatch| batch.embedding_shift.iter().sum::<f64>() / 16.0;

    let whole = blind(Nes::default()).unwrap();
    let half = blind(Nes { query_budget: 249, ..Nes::default() }).unwrap();

    assert_eq!((whole.model_queries, half.model_queries), (Some(400), Some(200)));
    assert!(shift(&half) > 0.05 && shift(&whole) > 1.2 * shift(&half), "{} {}", shift(&half), shift(&whole));
    assert_eq!(whole.outcomes.iter().map(|outcome| outcome.name).collect::<Vec<_>>(), ["NES:D", "NES:R"]);
    assert_eq!(whole.outcomes[0].raw, whole.embedding_shift, "of the final pixels");
}

#[test]
fn settings_that_make_no_sense_are_all_named() {
    let nes = Nes { samples: 3, sigma: 0.0, query_budget: 2 };

    let problems: Vec<String> = nes.problems().iter().map(ToString::to_string).collect();

    assert_eq!(problems.len(), 3, "{problems:?}");
    for (problem, name) in problems.iter().zip(["nes.samples", "nes.sigma", "nes.query_budget"]) {
        assert!(problem.starts_with(name), "{problem}");
    }
    assert!(matches!(blind(nes), Err(Error::Parameter { name: "nes.samples", .. })));
}
