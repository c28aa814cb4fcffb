//! What every registered defense promises.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use holdfast_attack::Pgd;
use holdfast_model::Embedder;
use holdfast_model::testing::values;
use holdfast_trainer::batch::{Batch, Progress};
use holdfast_trainer::config::TrainConfig;
use holdfast_trainer::defense::attacked_triplet::AttackedTripletConfig;
use holdfast_trainer::defense::inner_attack::InnerAttack;
use holdfast_trainer::defense::{DEFENSES, DefenseConfig, StepLoss};
use holdfast_trainer::miner::{Hardness, Mining};
use holdfast_trainer::train::train;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{pictures, small_net};

/// A step of the second half of a training, when every defense attacks.
const LATE: Progress = Progress { done: 5, steps: 8 };

/// The defense of this name with this attack budget, if it has one.
fn with_budget(name: &str, epsilon: f64, alpha: f64, steps: usize) -> DefenseConfig {
    let budget = format!("{{ epsilon = {epsilon}, alpha = {alpha}, steps = {steps} }}");
    let overrides = [("defense.name", name), ("defense.pgd", budget.as_str())];
    let budgeted = TrainConfig::from_toml("", &overrides);
    budgeted.or_else(|_| TrainConfig::from_toml("", &overrides[..1])).unwrap().defense
}

/// Every registered defense, and combinations that the product is about.
fn defenses(epsilon: f64, alpha: f64, steps: usize) -> Vec<DefenseConfig> {
    let combinations = ["HM[S,gLGA]&ICS", "HM[S,M]&ICS(gamma=0.2)", "HM[R,gB(S)]", "HM[S,g1/2](u=1)"];
    let names = DEFENSES.iter().map(|entry| entry.name).chain(combinations);
    names.map(|name| with_budget(name, epsilon, alpha, steps)).collect()
}

/// A batch of 8 pairs from 4 classes.
fn batch(seed: u64, dtype: DType) -> Batch {
    let dataset = pictures(4, 4, seed);
    let rows: Vec<usize> = (0..16).collect();
    Batch::new(dataset.gather(&rows, &Device::Cpu, dtype).unwrap(), dataset.labels.clone()).unwrap().at(LATE)
}

/// Three steps of a defense on one batch, without a change of the net.
fn steps(config: &DefenseConfig, batch: &Batch, seed: u64) -> Vec<StepLoss> {
    let (net, mut rng) = (small_net(DType::F32, 11), ChaCha8Rng::seed_from_u64(seed));
    let mut defense = config.build();
    (0..3).map(|_| defense.loss(&net, batch, &mut rng).unwrap()).collect()
}

#[test]
fn the_loss_goes_down_under_every_defense() {
    let dataset = pictures(4, 8, 1);
    for defense in defenses(16.0 / 255.0, 8.0 / 255.0, 3) {
        let name = defense.build().name();
        let config = TrainConfig { pairs: 8, steps: 24, learning_rate: 3e-3, defense, ..TrainConfig::default() };

        let trained = train(small_net(DType::F32, 2), &dataset, &config, &mut |_| ControlFlow::Continue(())).unwrap();

        let mean = |steps: &[f64]| steps.iter().sum::<f64>() / steps.len() as f64;
        let losses: Vec<f64> = trained.log.iter().map(|step| step.triplet).collect();
        let (first, last) = (mean(&losses[..4]), mean(&losses[16..]));
        assert!(last < 0.5 * first, "{name}: {first} at the beginning, {last} at the end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_attack_moves_pictures_of_the_batch_inside_the_ball_and_the_range_of_intensities(
        seed in 0u64..1000, epsilon in 0.005f64..0.3, relative in 0.1f64..1.5, updates in 2usize..5,
    ) {
        let batch = batch(seed, DType::F32);
        let own: Vec<Vec<f64>> = values(batch.pixels()).chunks(28 * 28).map(<[f64]>::to_vec).collect();
        for config in defenses(epsilon, (relative * epsilon).min(1.0), updates) {
            let name = config.build().name();
            for attack in steps(&config, &batch, seed).into_iter().filter_map(|step| step.attack) {
                let (benign, moved) = (values(&attack.benign), values(&attack.pixels));
                prop_assert!(benign.chunks(28 * 28).all(|picture| own.iter().any(|own| own == picture)), "{name}");
                prop_assert!(moved.iter().all(|pixel| (0.0..=1.0).contains(pixel)), "{name} leaves [0, 1]");
                let farthest = benign.iter().zip(&moved).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                prop_assert!(farthest <= epsilon + 1e-6, "{name}: {farthest} from the benign pixels");
                prop_assert!(attack.objectives.len() <= updates, "{name}");
            }
        }
    }
}

#[test]
fn every_defense_but_none_attacks_and_gets_nearer_to_its_aim() {
    let batch = batch(3, DType::F32);
    for config in defenses(0.1, 0.02, 4) {
        let defense = config.build().name();
        let attacks: Vec<_> = steps(&config, &batch, 3).into_iter().filter_map(|step| step.attack).collect();

        let attacked = attacks.iter().any(|attack| attack.objectives.len() > 1);
        assert_eq!(attacked, defense != "N/A[R]", "{defense}");
        for attack in attacks {
            let (first, last) = (attack.objectives.first(), attack.objectives.last());
            assert!(last <= first, "{defense}: {:?}", attack.objectives);
        }
    }
}

#[test]
fn a_seed_decides_every_bit_of_the_loss_and_of_the_attacked_pictures() {
    let batch = batch(5, DType::F32);
    let bits = |config: &DefenseConfig, seed| -> Vec<f64> {
        let of = |step: StepLoss| match step.attack {
            Some(attack) => [values(&step.loss), values(&attack.pixels)].concat(),
            None => values(&step.loss),
        };
        steps(config, &batch, seed).into_iter().flat_map(of).collect()
    };
    for config in defenses(0.1, 0.02, 3) {
        let name = config.build().name();

        assert!(bits(&config, 1) == bits(&config, 1), "{name} repeats itself differently");
        assert!((2..8).any(|seed| bits(&config, seed) != bits(&config, 1)), "{name} does not look at its seed");
    }
}

#[test]
fn every_parameter_learns_from_every_defense() {
    let (net, parameters) = small_net(DType::F64, 11).trainable().unwrap();
    let batch = batch(5, DType::F64);
    for config in defenses(0.1, 0.02, 3) {
        let mut defense = config.build();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _turn in 0..2 {
            let gradients = defense.loss(&net, &batch, &mut rng).unwrap().loss.backward().unwrap();
            for (parameter, variable) in &parameters {
                let gradient = gradients.get(variable).map(values).unwrap_or_default();
                let name = defense.name();
                assert!(gradient.iter().any(|slope| *slope != 0.0), "{name} teaches {parameter} nothing");
                assert!(gradient.iter().all(|slope| slope.is_finite()), "{name}, {parameter}");
            }
        }
    }
}

#[test]
fn the_embedding_shifted_triplet_is_mined_among_the_attacked_pictures() {
    let (net, batch) = (small_net(DType::F32, 11), batch(5, DType::F32));
    let config = TrainConfig::from_toml("defense = \"EST[H]\"", &[]).unwrap().defense;

    let step = config.build().loss(&net, &batch, &mut ChaCha8Rng::seed_from_u64(1)).unwrap();

    // The hardest negative takes no random number, so that only the pictures decide.
    let loss_among = |mined: &Tensor, pictures: &Tensor| {
        let embeddings = [mined, pictures].map(|pixels| net.embed(pixels).unwrap());
        let mining = Mining::new(&embeddings[0], batch.labels()).unwrap();
        let triplets = mining.draw(Hardness::Hardest, 0.2, &mut ChaCha8Rng::seed_from_u64(2)).unwrap();
        values(&triplets.embedded(&embeddings[1]).unwrap().loss(0.2).unwrap())
    };
    let attacked = &step.attack.as_ref().unwrap().pixels;
    assert_eq!(values(&step.loss), loss_among(attacked, attacked));
    assert_ne!(values(&step.loss), loss_among(batch.pixels(), attacked));
}

#[test]
fn defenses_that_attack_mined_triplets_mine_with_the_published_codes_margin() {
    for name in ["ACT[M]", "REST[M]", "AMD[M]"] {
        let margin = |overrides: &[(&str, &str)]| {
            let config = TrainConfig::from_toml(&format!("defense = \"{name}\""), overrides).unwrap();
            let json = serde_json::to_value(config.defense).unwrap();
            json["mining_margin"].as_f64().unwrap()
        };
        assert_eq!((margin(&[]), margin(&[("defense.mining_margin", "0.2")])), (1.0, 0.2), "{name}");
    }
    let losses = |margin: f64| {
        let config = AttackedTripletConfig { source: Hardness::Semihard, mining_margin: margin, ..Default::default() };
        let config = AttackedTripletConfig { pgd: Pgd::new(0.1, 0.05, 2).unwrap(), ..config };
        let steps = |seed| steps(&DefenseConfig::Act(config.clone()), &batch(5, DType::F32), seed);
        (0..4).flat_map(steps).map(|step| step.hardness.source).collect::<Vec<_>>()
    };
    assert_ne!(losses(1.0), losses(0.04), "the margin does not reach the miner");
}

#[test]
fn an_attack_that_has_enough_makes_no_further_update() {
    let (net, batch) = (small_net(DType::F32, 11), batch(5, DType::F32));
    let pgd = Pgd::new(0.1, 0.02, 4).unwrap();
    let run = |enough| {
        let attack = InnerAttack { net: &net, pgd: &pgd, enough: Some(enough) };
        attack.run(batch.pixels(), &mut |_, embeddings| Ok(embeddings.sum_all()?), &mut |_| {}).unwrap()
    };
    let unstopped = run(f64::NEG_INFINITY);
    assert_eq!(unstopped.objectives.len(), 4);

    let after_two = run((unstopped.objectives[1] + unstopped.objectives[2]) / 2.0);
    let at_once = run(f64::INFINITY);

    assert_eq!(after_two.objectives, unstopped.objectives[..2]);
    assert!(values(&after_two.pixels) != values(&unstopped.pixels));
    assert!(values(&at_once.pixels) == values(batch.pixels()), "an update was made all the same");
}
