//! Adam with coupled weight decay, update by update.

use candle_core::{Tensor, Var};
use holdfast_model::testing::{Golden, assert_tensors_close};
use holdfast_trainer::optimizer::{Adam, AdamSettings};

use crate::RELATIVE;

#[test]
fn every_update_of_adam_agrees() {
    let Some(golden) = Golden::open("adam") else { return };
    let parameter = Var::from_tensor(&golden.tensor("p0")).unwrap();
    let settings = AdamSettings { learning_rate: golden.scalar("lr"), weight_decay: golden.scalar("weight_decay") };
    let mut adam = Adam::new(vec![("p".to_owned(), parameter.clone())], settings).unwrap();
    let (gradients, expected) = (golden.tensor("grads"), golden.tensor("p_after"));

    for update in 0..gradients.dim(0).unwrap() {
        // The gradient of ⟨p, g⟩ is g.
        let gradient: Tensor = gradients.get(update).unwrap();
        let loss = (parameter.as_tensor() * gradient).unwrap().sum_all().unwrap();
        adam.step(&loss.backward().unwrap()).unwrap();

        let what = format!("parameters after update {}", update + 1);
        assert_tensors_close(&what, &parameter, &expected.get(update).unwrap(), RELATIVE);
    }
}
