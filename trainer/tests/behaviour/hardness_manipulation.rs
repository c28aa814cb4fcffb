//! The attack inside hardness manipulation, against a plain loop written from its definition.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor, Var};
use holdfast_attack::Pgd;
use holdfast_model::Embedder;
use holdfast_model::testing::values;
use holdfast_trainer::batch::Batch;
use holdfast_trainer::defense::hardness_manipulation::climb::{Climb, Coverage};
use holdfast_trainer::defense::hardness_manipulation::hardness_to_reach;
use holdfast_trainer::defense::inner_attack::Attacked;
use holdfast_trainer::defense::{StepLoss, notation};
use holdfast_trainer::miner::{Hardness, Triplets};
use holdfast_trainer::triplet::Embedded;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{pictures, small_net};

const TRIPLETS: usize = 6;

/// A stack of triplets `[anchors; positives; negatives]` of pictures from two classes.
fn stack(dtype: DType, seed: u64) -> Tensor {
    let dataset = pictures(2, 2 * TRIPLETS, seed);
    let rows: Vec<usize> = (0..TRIPLETS).chain(TRIPLETS..2 * TRIPLETS).chain(2 * TRIPLETS..3 * TRIPLETS).collect();
    dataset.gather(&rows, &Device::Cpu, dtype).unwrap()
}

/// H = d(a, p) − d(a, n) with d(x, y) = ‖x − y + 1e-6‖, in plain loops.
fn naive_hardness(embeddings: &Tensor) -> Vec<f64> {
    let rows = embeddings.to_dtype(DType::F64).unwrap().to_vec2::<f64>().unwrap();
    let distance = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - y + 1e-6).powi(2)).sum::<f64>().sqrt();
    (0..TRIPLETS)
        .map(|i| distance(&rows[i], &rows[TRIPLETS + i]) - distance(&rows[i], &rows[2 * TRIPLETS + i]))
        .collect()
}

/// The definition: every triplet alone, each gradient from its own backward pass.
fn naive_attack(benign: &Tensor, net: &dyn Embedder, destination: &[f64], pgd: &Pgd) -> Vec<f64> {
    let origin = values(benign);
    let mut pixels = origin.clone();
    let size = origin.len() / (3 * TRIPLETS);
    for _ in 0..pgd.steps {
        let at = Var::from_tensor(&Tensor::from_slice(&pixels, benign.dims(), &Device::Cpu).unwrap()).unwrap();
        let hardness = naive_hardness(&net.embed(&at).unwrap().detach());
        for i in (0..TRIPLETS).filter(|&i| hardness[i] < destination[i]) {
            let embeddings = net.embed(&at).unwrap();
            let row = |part: usize| embeddings.get(part * TRIPLETS + i).unwrap();
            let norm = |difference: Tensor| (difference + 1e-6).unwrap().sqr().unwrap().sum_all().unwrap().sqrt();
            let to_positive = norm((row(0) - row(1)).unwrap()).unwrap();
            let rising = (to_positive - norm((row(0) - row(2)).unwrap()).unwrap()).unwrap().backward().unwrap();
            let gradient = values(rising.get(&at).unwrap());
            for pixel in
                [0, 1, 2].into_iter().flat_map(|part| (part * TRIPLETS + i) * size..(part * TRIPLETS + i + 1) * size)
            {
                let sign = if gradient[pixel] == 0.0 { 0.0 } else { gradient[pixel].signum() };
                let moved = pixels[pixel] + pgd.alpha * sign;
                let (low, high) = (origin[pixel] - pgd.epsilon, origin[pixel] + pgd.epsilon);
                pixels[pixel] = moved.clamp(low, high).clamp(0.0, 1.0);
            }
        }
    }
    pixels
}

/// How many steps the anchor of each triplet is away from its benign pixels.
fn steps_moved(benign: &Tensor, pixels: &[f64], pgd: &Pgd) -> Vec<usize> {
    let farthest = |(a, b): (&[f64], &[f64])| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let origin = values(benign);
    let size = origin.len() / (3 * TRIPLETS);
    let anchors = origin.chunks(size).zip(pixels.chunks(size)).take(TRIPLETS);
    anchors.map(farthest).map(|distance| (distance / pgd.alpha).round() as usize).collect()
}

fn climb(benign: &Tensor, destination: &[f64], pgd: &Pgd, coverage: Coverage) -> Attacked {
    let net = small_net(benign.dtype(), 11);
    let destination = Tensor::new(destination, &Device::Cpu).unwrap().to_dtype(benign.dtype()).unwrap();
    let start = Embedded::split(&net.embed(benign).unwrap()).unwrap().hardness().unwrap();
    let climb = Climb::new(&net, &destination, coverage).unwrap().starting_at(&start).unwrap();
    climb.run(pgd, benign, true, &mut |_| {}).unwrap()
}

#[test]
fn the_attack_agrees_with_a_loop_over_single_triplets() {
    let benign = stack(DType::F64, 5);
    let net = small_net(DType::F64, 11);
    let start = naive_hardness(&net.embed(&benign).unwrap());
    // Some have arrived from the start, some arrive on the way, some never.
    let destination: Vec<f64> = start.iter().zip([-0.1, 0.01, 0.02, 0.05, 0.1, 1.0]).map(|(h, up)| h + up).collect();
    let pgd = Pgd::new(0.021, 0.003, 8).unwrap();

    let expected = naive_attack(&benign, &net, &destination, &pgd);

    for coverage in [Coverage::Every, Coverage::Moving] {
        let got = values(&climb(&benign, &destination, &pgd, coverage).pixels);
        let different = got.iter().zip(&expected).filter(|(a, b)| (*a - *b).abs() > 1e-12).count();
        assert_eq!(different, 0, "{coverage:?}");
    }
    let steps = steps_moved(&benign, &expected, &pgd);
    assert!(steps[0] == 0 && steps[5] == 7, "triplets moved {steps:?} steps, so this test shows little");
    assert!(steps[1..5].iter().collect::<BTreeSet<_>>().len() >= 3, "{steps:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn leaving_out_triplets_that_have_arrived_changes_neither_pixels_nor_objectives(
        seed in 0u64..1000, steps in 1usize..9, destination in prop::collection::vec(-0.2f64..0.1, TRIPLETS),
    ) {
        let pgd = Pgd::new(0.02, 0.003, steps).unwrap();

        let [every, moving] = [Coverage::Every, Coverage::Moving]
            .map(|coverage| climb(&stack(DType::F64, seed), &destination, &pgd, coverage));

        prop_assert!(values(&every.pixels) == values(&moving.pixels), "the pixels differ");
        prop_assert_eq!(every.objectives.len(), moving.objectives.len());
        for (every, moving) in every.objectives.iter().zip(&moving.objectives) {
            prop_assert!((every - moving).abs() < 1e-12);
        }
    }
}

#[test]
fn the_attack_computes_no_weight_gradient_although_the_net_is_being_trained() {
    let (net, parameters) = small_net(DType::F32, 11).trainable().unwrap();
    let pixels = Var::from_tensor(&stack(DType::F32, 5)).unwrap();
    let destination = Tensor::ones(TRIPLETS, DType::F32, &Device::Cpu).unwrap();

    let mut climb = Climb::new(&net, &destination, Coverage::Moving).unwrap();
    let inside = climb.objective(&pixels).unwrap().backward().unwrap();
    let outside = net.embed(&pixels).unwrap().sum_all().unwrap().backward().unwrap();

    assert!(inside.get(&pixels).is_some());
    for (name, parameter) in &parameters {
        assert!(inside.get(parameter).is_none(), "the attack differentiated {name}");
        assert!(outside.get(parameter).is_some(), "{name} is no parameter of the net, so this test shows nothing");
    }
}

#[test]
fn the_attack_sees_the_parameters_of_the_latest_update() {
    let (net, parameters) = small_net(DType::F64, 11).trainable().unwrap();
    let pixels = stack(DType::F64, 5);
    let objective = || {
        let destination = Tensor::ones(TRIPLETS, DType::F64, &Device::Cpu).unwrap();
        values(&Climb::new(&net, &destination, Coverage::Every).unwrap().objective(&pixels).unwrap())[0]
    };

    let before = objective();
    for (_, parameter) in &parameters {
        parameter.set(&(parameter.as_tensor() * 1.5).unwrap().detach()).unwrap();
    }

    assert!((before - objective()).abs() > 1e-6);
}

/// The first step of a defense in the paper's notation on a small batch.
fn first_step(name: &str) -> StepLoss {
    let dataset = pictures(3, 4, 9);
    let rows: Vec<usize> = (0..12).collect();
    let batch = Batch::new(dataset.gather(&rows, &Device::Cpu, DType::F32).unwrap(), dataset.labels.clone()).unwrap();
    let mut defense = notation::parse(name).unwrap().build();
    defense.loss(&small_net(DType::F32, 11), &batch, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
}

#[test]
fn two_different_miners_attack_and_the_same_miner_twice_attacks_nothing() {
    for source in Hardness::ALL.map(Hardness::letter) {
        for destination in Hardness::ALL.map(Hardness::letter) {
            let step = first_step(&format!("HM[{source},{destination}]"));

            assert_eq!(step.attack.is_none(), source == destination, "{source}, {destination}");
            assert_eq!(step.hardness.destination.is_none(), source == destination, "{source}, {destination}");
            if let Some(adversarial) = step.hardness.adversarial {
                assert!(adversarial >= step.hardness.source - 1e-4, "{source}, {destination}: {:?}", step.hardness);
            }
        }
    }
    let constant = first_step("HM[S,1]");
    assert!(constant.hardness.adversarial.unwrap() > constant.hardness.source + 0.01, "{:?}", constant.hardness);
}

#[test]
fn the_gradual_destinations_start_from_the_first_loss_and_their_own_u() {
    let destination = |name| first_step(name).hardness.destination.unwrap();
    let close = |name, expected: f64| {
        let got: f64 = destination(name);
        assert!((got - expected).abs() < 1e-6, "{name}: {got}, expected {expected}");
    };

    // The loss before the first step counts as 2.
    for name in ["HM[S,gLGA]", "HM[S,g2]", "HM[S,g1/2]"] {
        close(name, -0.2);
    }
    close("HM[S,gLGA](u=4)", -0.1);
    close("HM[S,g2](u=4)", -0.05);
    close("HM[S,g1/2](u=8)", -0.1);
    close("HM[S,-0.15]", -0.15);
    // Nothing is added to the mined hardness yet; half of 0.3 is, where 2 is half of u.
    close("HM[S,gB(M)]", destination("HM[S,M]"));
    close("HM[S,gB(M)](u=4,xi=0.3)", destination("HM[S,M]") + 0.15);
}

#[test]
fn the_structure_term_enters_with_its_weight_and_its_margin() {
    let plain = first_step("HM[S,gLGA]");
    let total = |step: &StepLoss| values(&step.loss)[0];
    for (name, weight) in [("HM[S,gLGA]&ICS(gamma=1.5)", 0.5), ("HM[S,gLGA]&ICS(gamma=1.5,lambda=0.05)", 0.05)] {
        let step = first_step(name);
        let term = step.intra_class.unwrap();

        assert!(term > 0.5, "a margin of 1.5 leaves {term}");
        assert!((total(&step) - total(&plain) - weight * term).abs() < 1e-5, "{name}");
    }
    assert!(first_step("HM[S,gLGA]&ICS").intra_class.unwrap() < 0.5);
    assert_eq!(plain.intra_class, None);
}

#[test]
fn a_triplet_that_is_its_own_destination_has_arrived() {
    let net = small_net(DType::F64, 11);
    let embeddings = net.embed(&stack(DType::F64, 5)).unwrap();
    let source = Triplets { anchors: vec![0, 2], positives: vec![1, 3], negatives: vec![12, 13] };
    let mined = Triplets { negatives: vec![12, 14], ..source.clone() };

    let source_hardness = values(&source.embedded(&embeddings).unwrap().hardness().unwrap());
    let mined_hardness = values(&mined.embedded(&embeddings).unwrap().hardness().unwrap());
    let destination = values(&hardness_to_reach(&source, &mined, &embeddings).unwrap());

    assert!(destination[0] < source_hardness[0] - 1e-5);
    assert_eq!(destination[1], mined_hardness[1]);
}
