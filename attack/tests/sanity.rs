//! Nets whose robustness is not real, each seen through; and an honest one, which is not suspected.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod support;

use candle_core::{DType, Device, Tensor};
use holdfast_attack::{
    Error, EvaluateOptions, Profile, Report, Sanity, Suspicion, TestSet, by_names, evaluate, sanity::Measured,
};
use holdfast_model::{Embedder, InputShape, Result};
use support::{Health, Linear, World, profile};

/// What a net does to pixels before it looks at them.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trick {
    /// Nothing.
    Honest,
    /// Rounds them to sixteenths: the slope of that is 0 wherever there is one.
    Quantised,
    /// Lays a ripple over them, steep and short: slopes follow the ripple, not the picture.
    Rippled,
    /// Hardly looks at them: all pictures are in nearly one place.
    Collapsed,
}

#[derive(Debug)]
struct Tricky {
    trick: Trick,
    linear: Linear,
}

impl Tricky {
    fn new(trick: Trick) -> Self {
        Self { trick, linear: Linear::new(Health::Sound, DType::F64) }
    }
}

impl Embedder for Tricky {
    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let seen = match self.trick {
            Trick::Honest => pixels.clone(),
            Trick::Quantised => {
                let seen = (pixels.detach() * 16.0)?.round()?.affine(1.0 / 16.0, 0.0)?;
                ((pixels * pixels.zeros_like()?)? + seen)? // there is a path to the pixels, and its slope is 0
            }
            Trick::Rippled => (pixels + (pixels * 900.0)?.sin()?.affine(0.02, 0.0)?)?,
            Trick::Collapsed => {
                let one_picture = Tensor::full(0.9, pixels.shape(), &Device::Cpu)?;
                ((pixels * 1e-9)? + one_picture)?
            }
        };
        self.linear.embed(&seen)
    }

    fn input(&self) -> InputShape {
        self.linear.input()
    }

    fn dim(&self) -> usize {
        self.linear.dim()
    }

    fn dtype(&self) -> DType {
        self.linear.dtype()
    }

    fn device(&self) -> &Device {
        self.linear.device()
    }
}

/// Two hundred pictures, so that every attack of the score can be mounted.
fn report(trick: Trick, queries: usize) -> Report {
    let world = World::new(200);
    let profile = Profile { alpha: 0.01, steps: 16, ..profile(50) };
    let options = EvaluateOptions { profile, queries: Some(50), seed: 5, sanity: queries };
    let attacks = by_names("all").unwrap();
    evaluate(&Tricky::new(trick), &world.set(), &attacks, &options, &mut |_, _, _| ()).unwrap()
}

fn sanity(trick: Trick) -> Sanity {
    report(trick, 32).sanity.unwrap()
}

fn suspicions(sanity: &Sanity) -> Vec<Suspicion> {
    sanity.flags.iter().map(|flag| flag.suspicion).collect()
}

#[test]
fn an_honest_net_is_not_suspected() {
    let sanity = sanity(Trick::Honest);

    assert_eq!((sanity.queries, suspicions(&sanity)), (32, vec![]), "{:?}", sanity.measured);
    let Measured { shift, shift_half_the_steps, shift_one_step, shift_black_box, shift_noise, .. } = sanity.measured;
    assert!(shift > shift_half_the_steps && shift > shift_one_step, "{:?}", sanity.measured);
    assert!(shift > shift_black_box && shift_black_box > shift_noise, "{:?}", sanity.measured);
}

#[test]
fn a_net_that_quantises_has_no_gradient_and_noise_and_black_boxes_show_it() {
    let sanity = sanity(Trick::Quantised);

    assert_eq!((sanity.measured.zero_gradient_pixels, sanity.measured.zero_gradient_queries), (1.0, 1.0));
    let suspected = suspicions(&sanity);
    for suspicion in [Suspicion::ZeroGradients, Suspicion::BlackBoxStronger, Suspicion::NoiseAsStrong] {
        assert!(suspected.contains(&suspicion), "{suspicion} is missing in {suspected:?}: {:?}", sanity.measured);
    }
    assert!(sanity.flags[0].explanation.contains("100.0 % of the pixels"), "{}", sanity.flags[0].explanation);
}

#[test]
fn a_net_whose_slopes_lead_astray_is_harmed_more_by_one_step_than_by_many() {
    let sanity = sanity(Trick::Rippled);

    let suspected = suspicions(&sanity);
    for suspicion in [Suspicion::MoreStepsWeaker, Suspicion::BlackBoxStronger] {
        assert!(suspected.contains(&suspicion), "{suspicion} is missing in {suspected:?}: {:?}", sanity.measured);
    }
    assert!(!suspected.contains(&Suspicion::ZeroGradients), "{suspected:?}");
}

#[test]
fn a_collapsed_net_is_told_from_a_robust_one_by_what_it_finds() {
    let World { pixels, .. } = World::new(200);
    // Labels that have nothing to do with the pictures, so that a net without opinion finds what chance finds.
    let labels = (0..200).map(|picture| (picture * 7 / 3 % 10) as u32).collect();
    let world = World { pixels, labels };
    let options = EvaluateOptions { profile: profile(50), queries: Some(50), seed: 5, sanity: 32 };
    let attacks = by_names("all").unwrap();
    let report = evaluate(&Tricky::new(Trick::Collapsed), &world.set(), &attacks, &options, &mut |_, _, _| ()).unwrap();

    let sanity = report.sanity.clone().unwrap();
    assert!(report.ers.unwrap() > 20.0, "{report}");
    assert!(suspicions(&sanity).contains(&Suspicion::Collapsed), "{report}");
    assert!((sanity.measured.chance_recall_at_1 - 9.5).abs() < 0.5, "{:?}", sanity.measured);
    assert!(report.to_string().contains("suspicious, collapsed: R@1 is"), "{report}");
}

/// Numbers of a net that nothing can be said against.
const FINE: Measured = Measured {
    zero_gradient_pixels: 0.3,
    zero_gradient_queries: 0.0,
    shift: 1.0,
    shift_half_the_steps: 0.8,
    shift_one_step: 0.4,
    shift_black_box: 0.5,
    shift_noise: 0.2,
    chance_recall_at_1: 10.0,
};

#[test]
fn each_flag_has_its_own_condition() {
    let of = |measured: Measured, recall, ers| -> Vec<Suspicion> {
        measured.flags(recall, ers).iter().map(|flag| flag.suspicion).collect()
    };

    assert_eq!(of(FINE, 80.0, Some(40.0)), []);
    assert_eq!(of(Measured { zero_gradient_pixels: 0.95, ..FINE }, 80.0, None), [Suspicion::ZeroGradients]);
    assert_eq!(of(Measured { zero_gradient_queries: 0.1, ..FINE }, 80.0, None), [Suspicion::ZeroGradients]);
    assert_eq!(of(Measured { shift_half_the_steps: 1.2, ..FINE }, 80.0, None), [Suspicion::MoreStepsWeaker]);
    assert_eq!(of(Measured { shift_one_step: 1.2, ..FINE }, 80.0, None), [Suspicion::MoreStepsWeaker]);
    assert_eq!(of(Measured { shift_black_box: 1.1, ..FINE }, 80.0, None), [Suspicion::BlackBoxStronger]);
    assert_eq!(of(Measured { shift_noise: 0.95, ..FINE }, 80.0, None), [Suspicion::NoiseAsStrong]);
    assert_eq!(of(FINE, 15.0, Some(29.7)), [Suspicion::Collapsed]);
    assert_eq!(of(FINE, 15.0, None), [Suspicion::Collapsed]);
    assert_eq!(of(FINE, 15.0, Some(5.0)), [], "no score that anybody could mistake for robustness");
}

#[test]
fn chance_knows_the_protocol() {
    let world = World::new(8); // two of each of four classes
    let options = EvaluateOptions { profile: profile(8), queries: None, seed: 1, sanity: 8 };
    let chance = |set: &TestSet<'_>| {
        let report = evaluate(&Linear::sound(), set, &[], &options, &mut |_, _, _| ()).unwrap();
        report.sanity.unwrap().measured.chance_recall_at_1
    };

    assert!((chance(&world.set()) - 100.0 / 7.0).abs() < 1e-9, "one of seven others");
    let separate = TestSet::QueryGallery { queries: world.labelled(), gallery: world.labelled() };
    assert!((chance(&separate) - 25.0).abs() < 1e-9, "two of eight items");
}

#[test]
fn nobody_looks_where_nothing_is_asked_for_and_a_look_changes_no_score() {
    let (unseen, seen) = (report(Trick::Honest, 0), report(Trick::Honest, 8));

    assert_eq!(unseen.sanity, None);
    assert_eq!(seen.sanity.as_ref().unwrap().queries, 8);
    assert_eq!(Report { sanity: None, ..seen }, unseen);
}

#[test]
fn a_net_without_a_path_to_the_pixels_is_an_error_and_not_a_flag() {
    let world = World::new(200);
    let options = EvaluateOptions { profile: profile(50), queries: Some(50), seed: 5, sanity: 8 };

    let error = evaluate(&Linear::new(Health::Detached, DType::F64), &world.set(), &[], &options, &mut |_, _, _| ());

    assert!(matches!(error, Err(Error::NoGradient { step: 0 })), "{error:?}");
}

#[test]
fn flags_survive_json() {
    let sanity = sanity(Trick::Quantised);

    let text = serde_json::to_string(&sanity).unwrap();

    assert!(text.contains("\"suspicion\":\"zero_gradients\""), "{text}");
    let read: Sanity = serde_json::from_str(&text).unwrap();
    assert_eq!((read.queries, read.flags), (sanity.queries, sanity.flags));
}
