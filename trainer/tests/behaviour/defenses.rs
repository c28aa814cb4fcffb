//! What every registered defense promises.

use std::ops::ControlFlow;

use candle_core::DType;
use holdfast_attack::Pgd;
use holdfast_trainer::config::TrainConfig;
use holdfast_trainer::defense::hardness_manipulation::HardnessManipulationConfig;
use holdfast_trainer::defense::intra_class_structure::IntraClassStructure;
use holdfast_trainer::defense::{DEFENSES, DefenseConfig};
use holdfast_trainer::train::train;

use crate::{pictures, small_net};

/// Every default, with a budget that fits a test, and the one combination that the product is about.
fn defenses() -> Vec<DefenseConfig> {
    let pgd = Pgd::new(16.0 / 255.0, 8.0 / 255.0, 3).unwrap();
    let affordable = |mut defense: DefenseConfig| {
        if let DefenseConfig::HardnessManipulation(settings) = &mut defense {
            settings.pgd = pgd;
        }
        defense
    };
    let structured = DefenseConfig::HardnessManipulation(HardnessManipulationConfig {
        intra_class_structure: Some(IntraClassStructure::default()),
        ..HardnessManipulationConfig::default()
    });
    DEFENSES.iter().map(|entry| (entry.default)()).chain([structured]).map(affordable).collect()
}

#[test]
fn the_loss_goes_down_under_every_defense() {
    let dataset = pictures(4, 8, 1);
    for defense in defenses() {
        let name = defense.build().name();
        let config = TrainConfig { pairs: 8, steps: 24, learning_rate: 3e-3, defense, ..TrainConfig::default() };

        let trained = train(small_net(DType::F32, 2), &dataset, &config, &mut |_| ControlFlow::Continue(())).unwrap();

        let mean = |steps: &[f64]| steps.iter().sum::<f64>() / steps.len() as f64;
        let losses: Vec<f64> = trained.log.iter().map(|step| step.triplet).collect();
        let (first, last) = (mean(&losses[..4]), mean(&losses[16..]));
        assert!(last < 0.5 * first, "{name}: {first} at the beginning, {last} at the end");
    }
}
