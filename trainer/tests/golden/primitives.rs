//! Losses and destinations as pure functions of embeddings. Of the objectives that align source and destination
//! hardness, only ET is offered and compared.

use candle_core::{Tensor, Var};
use holdfast_model::distance::normalize;
use holdfast_model::testing::{Golden, assert_close, assert_tensors_close, values};
use holdfast_trainer::defense::gradual_adversary::{Boosted, DEFAULT_U, Gradual, Shape, normalized};
use holdfast_trainer::defense::hardness_manipulation::climb::{mean_square, shortfall};
use holdfast_trainer::defense::intra_class_structure;
use holdfast_trainer::miner::Hardness;
use holdfast_trainer::triplet::Embedded;

use crate::{RELATIVE, triplets};

fn variable(golden: &Golden, key: &str) -> Var {
    Var::from_tensor(&golden.tensor(key)).unwrap()
}

/// Compares the gradients of `loss` in the variables with the recorded ones.
fn assert_gradients(golden: &Golden, loss: &Tensor, variables: &[(&Var, &str)]) {
    let gradients = loss.backward().unwrap();
    for (variable, key) in variables {
        assert_tensors_close(key, gradients.get(variable).unwrap(), &golden.tensor(key), RELATIVE);
    }
}

#[test]
fn triplet_loss_and_hardness_agree_at_every_recorded_margin() {
    let Some(golden) = Golden::open("primitives") else { return };
    let margins: Vec<&str> =
        golden.keys().into_iter().filter_map(|key| key.strip_prefix("triplet_m")?.strip_suffix("/loss")).collect();
    assert!(!margins.is_empty());

    for margin in margins {
        let key = |name: &str| format!("triplet_m{margin}/{name}");
        let [a, p, n] = ["a", "p", "n"].map(|name| variable(&golden, &key(name)));
        let embedded = Embedded {
            anchors: a.as_tensor().clone(),
            positives: p.as_tensor().clone(),
            negatives: n.as_tensor().clone(),
        };

        let loss = embedded.loss(margin.parse().unwrap()).unwrap();

        assert_close(&key("loss"), &values(&loss), &golden.f64s(&key("loss")), RELATIVE);
        let hardness = embedded.hardness().unwrap();
        assert_tensors_close(&key("hardness"), &hardness, &golden.tensor(&key("hardness")), RELATIVE);
        assert_gradients(&golden, &loss, &[(&a, &key("grad_a")), (&p, &key("grad_p")), (&n, &key("grad_n"))]);
    }
}

#[test]
fn the_intra_class_structure_term_agrees() {
    let Some(golden) = Golden::open("primitives") else { return };
    let [a, attacked, p] = ["ics/a", "ics/a_adv", "ics/p"].map(|key| variable(&golden, key));

    let term = intra_class_structure::loss(&a, &attacked, &p, 0.0).unwrap();
    let weighted = (term * golden.scalar("ics/lambda")).unwrap();

    assert_close("ics/weighted_loss", &values(&weighted), &golden.f64s("ics/weighted_loss"), RELATIVE);
    let gradients = [(&a, "ics/grad_a"), (&attacked, "ics/grad_a_adv"), (&p, "ics/grad_p")];
    assert_gradients(&golden, &weighted, &gradients);
}

#[test]
fn the_gradual_functions_agree() {
    let Some(golden) = Golden::open("primitives") else { return };
    let losses = golden.f64s("ga/l_prev");
    let compare = |key: &str, function: &dyn Fn(f64) -> f64| {
        let got: Vec<f64> = losses.iter().map(|&loss| function(loss)).collect();
        assert_close(key, &got, &golden.f64s(key), RELATIVE);
    };

    compare("ga/lbar", &|loss| normalized(loss, DEFAULT_U));
    for (key, shape) in [("ga/g_lga", Shape::Linear), ("ga/g_2", Shape::Square), ("ga/g_half", Shape::SquareRoot)] {
        compare(key, &|loss| Gradual { shape, ..Gradual::default() }.hardness(loss));
    }
    let boosted = Boosted { mined: Hardness::Semihard, xi: 0.1, u: DEFAULT_U };
    let hardness = golden.f64s("ga/gB_HD");
    let boosted: Vec<f64> =
        losses.iter().flat_map(|&loss| hardness.iter().map(move |&benign| benign + boosted.boost(loss))).collect();
    assert_close("ga/gB_out", &boosted, &golden.f64s("ga/gB_out"), RELATIVE);
}

#[test]
fn the_whole_loss_from_raw_outputs_agrees_in_both_precisions() {
    let Some(golden) = Golden::open("primitives") else { return };
    let triplets = triplets(&golden, "batch_triplet");

    for (precision, relative) in [("f64", RELATIVE), ("f32", 1e-5)] {
        let key = |name: &str| format!("batch_triplet/{precision}/{name}");
        let raw = variable(&golden, &key("raw"));

        let loss = triplets.embedded(&normalize(&raw).unwrap()).unwrap().loss(0.2).unwrap();

        assert_close(&key("loss"), &values(&loss), &golden.f64s(&key("loss")), relative);
        let gradients = loss.backward().unwrap();
        let gradient = gradients.get(&raw).unwrap();
        assert_tensors_close(&key("grad_raw"), gradient, &golden.tensor(&key("grad_raw")), relative);
    }
}

#[test]
fn the_thresholded_objective_agrees() {
    let Some(golden) = Golden::open("primitives") else { return };
    let hardness = variable(&golden, "align/HS");
    let triplets = hardness.elem_count();

    let missing = shortfall(&hardness, &golden.tensor("align/HD")).unwrap();
    let objective = mean_square(&missing, triplets).unwrap();

    assert_close("align/ET/J", &values(&objective), &golden.f64s("align/ET/J"), RELATIVE);
    assert_gradients(&golden, &objective, &[(&hardness, "align/ET/grad_HS")]);
}
