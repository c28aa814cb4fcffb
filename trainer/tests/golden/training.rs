//! Several training steps in a row: attack, loss, gradients, optimizer and the gradual adversary together.

use candle_core::{DType, Tensor};
use holdfast_model::testing::{Golden, assert_close, assert_tensors_close};
use holdfast_trainer::defense::gradual_adversary::Gradual;
use holdfast_trainer::defense::hardness_manipulation::{HardnessManipulation, HardnessManipulationConfig};
use holdfast_trainer::defense::intra_class_structure::IntraClassStructure;
use holdfast_trainer::optimizer::{Adam, AdamSettings};

use crate::{RELATIVE, World, budget, triplets};

#[test]
fn steps_of_gradual_hardness_manipulation_with_structure_lead_to_the_recorded_parameters() {
    let Some(golden) = Golden::open("train_hm_S_gLGA_ICS") else { return };
    let Some(world) = World::open(DType::F64) else { return };
    let settings =
        AdamSettings { learning_rate: golden.scalar("cfg/lr"), weight_decay: golden.scalar("cfg/weight_decay") };
    let mut defense = HardnessManipulation::new(HardnessManipulationConfig {
        intra_class_structure: Some(IntraClassStructure::default()),
        pgd: budget(&golden, ""),
        ..HardnessManipulationConfig::default()
    });
    let mut adam = Adam::new(world.parameters.clone(), settings).unwrap();
    let (losses, previous) = (golden.f64s("loss"), golden.f64s("l_prev"));

    for (step, expected) in losses.iter().enumerate() {
        assert_close(&format!("l_prev before step {step}"), &[defense.previous_loss()], &[previous[step]], RELATIVE);
        let source = triplets(&golden, &format!("step{step}/src"));
        let destination = Gradual::default().hardness(defense.previous_loss());
        let destination = Tensor::full(destination, source.len(), world.images.device()).unwrap();

        let (net, images) = (&world.net, &world.images);
        let embeddings = defense.embed(net, images).unwrap();
        let made = defense.loss_of(net, images, &embeddings, &source, Some(&destination), &mut |_| {}).unwrap();
        adam.step(&made.loss.backward().unwrap()).unwrap();

        let key = format!("step{step}/J");
        assert_close(&key, &made.attack.objectives, &golden.f64s(&key), RELATIVE);
        let loss = made.loss.to_scalar::<f64>().unwrap();
        assert_close(&format!("loss of step {step}"), &[loss], &[*expected], RELATIVE);
    }
    assert_close("l_prev at the end", &[defense.previous_loss()], &previous[losses.len()..], RELATIVE);
    for (name, variable) in &world.parameters {
        let key = format!("final_param/{name}");
        assert_tensors_close(&key, variable, &golden.tensor(&key), RELATIVE);
    }
}
