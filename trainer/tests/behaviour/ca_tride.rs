//! Whose turn it is in CA-TRIDE, and how its attack and its miner follow the training.

use candle_core::{DType, Device};
use holdfast_trainer::batch::{Batch, Progress};
use holdfast_trainer::defense::ca_tride::{CaTride, CaTrideConfig, Ramp, mining_margin};
use holdfast_trainer::defense::{Defense, StepLoss};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{pictures, small_net};

const PAIRS: usize = 6;

fn step(defense: &mut CaTride, done: usize) -> StepLoss {
    let dataset = pictures(3, 4, 9);
    let rows: Vec<usize> = (0..2 * PAIRS).collect();
    let pixels = dataset.gather(&rows, &Device::Cpu, DType::F32).unwrap();
    let batch = Batch::new(pixels, dataset.labels.clone()).unwrap().at(Progress { done, steps: 8 });
    defense.loss(&small_net(DType::F32, 11), &batch, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
}

/// How many pictures the attack of a step worked on.
fn attacked(step: &StepLoss) -> usize {
    step.attack.as_ref().unwrap().benign.dim(0).unwrap()
}

#[test]
fn candidates_and_anchors_are_attacked_in_turn() {
    let mut defense = CaTride::new(CaTrideConfig::default());

    let turns: Vec<usize> = (4..8).map(|done| attacked(&step(&mut defense, done))).collect();

    assert_eq!(turns, [2 * PAIRS, PAIRS, 2 * PAIRS, PAIRS]);
}

#[test]
fn whose_turn_it_is_can_be_kept_and_taken_up() {
    let mut first = CaTride::new(CaTrideConfig::default());
    step(&mut first, 4);
    let kept: Vec<(String, f64)> = first.state().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();

    let mut second = CaTride::new(CaTrideConfig::default());
    second.restore(&kept).unwrap();

    assert_eq!(attacked(&step(&mut second, 5)), PAIRS);
    assert!(second.restore(&[("previous_loss".to_owned(), 1.0)]).is_err());
}

#[test]
fn the_first_epoch_attacks_nothing_and_the_step_size_grows_until_the_last() {
    let config = CaTrideConfig { epochs: 4, ..CaTrideConfig::default() };
    let alphas: Vec<f64> = (1..4).map(|epoch| config.budget(epoch).unwrap().alpha / config.pgd.alpha).collect();

    assert!(config.budget(0).is_none());
    assert_eq!(alphas, [0.25, 0.5, 0.75]);
    assert!(step(&mut CaTride::new(config.clone()), 0).attack.unwrap().objectives.is_empty());
    assert!(!step(&mut CaTride::new(config.clone()), 7).attack.unwrap().objectives.is_empty());
    let constant = CaTrideConfig { ramp: Ramp::Constant, ..config };
    assert_eq!(constant.budget(0), Some(constant.pgd));
}

#[test]
fn mined_negatives_get_nearer_to_their_positives_as_the_training_goes_on() {
    assert_eq!(mining_margin(0, 8), 0.2);
    assert!((1..8).all(|epoch| mining_margin(epoch, 8) < mining_margin(epoch - 1, 8)));
    assert!((mining_margin(74, 75) - 0.2 * (1.0 - 74.0 / 150.0f64).powi(2)).abs() < 1e-15);
}
