//! What the training loop promises.

use std::error::Error as _;
use std::ops::ControlFlow;

use candle_core::DType;
use holdfast_model::{EmbeddingNet, InputShape};
use holdfast_trainer::Error;
use holdfast_trainer::config::TrainConfig;
use holdfast_trainer::dataset::{Dataset, Pixels};
use holdfast_trainer::train::{Trained, train};

use crate::{pictures, small_net};

/// A short run of the published method.
fn config(overrides: &[(&str, &str)]) -> TrainConfig {
    let text = r#"
        steps = 5
        pairs = 8
        seed = 3
        [defense]
        name = "hardness_manipulation"
        destination = "gradual"
        intra_class_structure = { weight = 0.5 }
        pgd = { epsilon = "16/255", alpha = "8/255", steps = 3 }
    "#;
    TrainConfig::from_toml(text, overrides).unwrap()
}

fn run(dataset: &Dataset, config: &TrainConfig) -> Result<Trained, Error> {
    train(small_net(DType::F32, 1), dataset, config, &mut |_| ControlFlow::Continue(()))
}

fn bytes(net: &EmbeddingNet) -> Vec<u32> {
    let values = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    net.parameters().iter().flat_map(|(_, tensor)| values(tensor)).map(f32::to_bits).collect()
}

#[test]
fn a_defense_knows_how_far_the_run_is() {
    let defense = "{ name = \"CA-TRIDE\", epochs = 2, pgd = { epsilon = \"16/255\", alpha = \"8/255\", steps = 2 } }";
    let config = config(&[("steps", "4"), ("defense", defense)]);

    let log = run(&pictures(4, 5, 7), &config).unwrap().log;

    // Its first epoch attacks nothing.
    let attack_steps: Vec<usize> = log.iter().map(|step| step.pgd_steps).collect();
    assert!(attack_steps[..2] == [0, 0] && attack_steps[2..].iter().all(|&steps| steps > 0), "{attack_steps:?}");
}

#[test]
fn config_seed_and_data_decide_every_bit_of_the_parameters() {
    let dataset = pictures(4, 5, 7);

    let [first, again] = [0, 1].map(|_| bytes(&run(&dataset, &config(&[])).unwrap().net));
    let other_seed = bytes(&run(&dataset, &config(&[("seed", "4")])).unwrap().net);

    assert!(first == again, "two runs of one configuration differ");
    assert!(first != other_seed, "the seed has no effect");
    assert!(first != bytes(&small_net(DType::F32, 1)), "training has no effect");
}

#[test]
fn every_step_is_logged_with_its_parts() {
    let log = run(&pictures(4, 5, 7), &config(&[])).unwrap().log;

    assert_eq!(log.iter().map(|step| step.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for step in &log {
        let total = step.triplet + 0.5 * step.intra_class.unwrap();
        assert!((step.loss - total).abs() < 1e-6, "{step:?}");
        assert!(step.pgd_steps >= 1 && step.pgd_steps <= 3, "{step:?}");
    }
    // 20 pictures are two batches of 8 pairs and one of 4.
    assert_eq!(log.iter().map(|step| step.pictures).collect::<Vec<_>>(), [16, 16, 8, 16, 16]);
}

#[test]
fn the_gradual_destination_follows_the_previous_steps_loss() {
    let log = run(&pictures(4, 5, 7), &config(&[])).unwrap().log;

    assert!((log[0].destination_hardness.unwrap() + 0.2).abs() < 1e-6, "{:?}", log[0]);
    for pair in log.windows(2) {
        let expected = -pair[0].triplet.clamp(0.0, 0.2);
        assert!((pair[1].destination_hardness.unwrap() - expected).abs() < 1e-6, "{pair:?}");
    }
}

#[test]
fn the_watcher_may_end_the_run_and_keeps_what_was_learned() {
    let dataset = pictures(4, 5, 7);
    let mut seen = 0;

    let stopped = train(small_net(DType::F32, 1), &dataset, &config(&[]), &mut |_| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();

    assert!(stopped.interrupted);
    assert_eq!((stopped.steps, stopped.log.len()), (2, 2));
    let two_steps = run(&dataset, &config(&[("steps", "2")])).unwrap();
    assert!(!two_steps.interrupted);
    assert!(bytes(&stopped.net) == bytes(&two_steps.net), "an interrupted run is not a short run");
}

#[test]
fn numbers_that_are_not_finite_stop_the_run_and_name_the_step() {
    for defense in ["{ name = \"vanilla\" }", "{ name = \"hardness_manipulation\" }"] {
        let config = config(&[("learning_rate", "1e30"), ("defense", defense)]);

        let error = run(&pictures(4, 5, 7), &config).unwrap_err();

        assert!(error.to_string().starts_with("training step "), "{error}");
        let cause = error.source().unwrap().to_string();
        assert!(cause.contains("not finite") && cause.contains("learning rate"), "{cause}");
    }
}

#[test]
fn data_that_cannot_train_the_net_is_refused_before_the_first_step() {
    let colour = Dataset {
        input: InputShape { channels: 3, height: 28, width: 28 },
        pixels: Pixels::Kept(vec![0; 3 * 28 * 28 * 20].into()),
        ..pictures(4, 5, 7)
    };

    for (dataset, complaint) in [(colour, "(3, 28, 28)"), (pictures(1, 5, 7), "two classes")] {
        let message = run(&dataset, &config(&[])).unwrap_err().to_string();
        assert!(message.contains(complaint) && message.contains("\"patterns\""), "{message}");
    }
}
