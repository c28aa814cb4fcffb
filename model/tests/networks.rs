//! Every registered backbone, held to one list of properties.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{DType, Device, Tensor, Var};
use holdfast_model::backbone::{self, BACKBONES};
use holdfast_model::testing::values;
use holdfast_model::{Embedder, EmbeddingNet, InputShape, Parameters};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn net(name: &str, seed: u64) -> EmbeddingNet {
    EmbeddingNet::init(name, &Device::Cpu, DType::F64, &mut rng(seed)).unwrap()
}

/// Pictures of noise, uniform in [0, 1].
fn pictures(count: usize, input: InputShape, seed: u64) -> Tensor {
    let (mut rng, InputShape { channels, height, width }) = (rng(seed), input);
    let values: Vec<f64> = (0..count * input.len()).map(|_| rng.random()).collect();
    Tensor::from_vec(values, (count, channels, height, width), &Device::Cpu).unwrap()
}

/// A scalar that depends on every feature.
fn objective(net: &EmbeddingNet, pixels: &Tensor) -> candle_core::Result<Tensor> {
    let embeddings = net.embed(pixels).unwrap();
    let weights = pictures(1, InputShape { channels: 1, height: embeddings.dims()[0], width: net.dim() }, 5);
    (embeddings * weights.squeeze(0)?.squeeze(0)?)?.sum_all()
}

#[test]
fn names_are_unique_and_each_architecture_is_found_by_its_name() {
    let names = backbone::names();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), BACKBONES.len());
    for name in names {
        assert_eq!(backbone::architecture(name).unwrap().name(), name);
    }
    let message = backbone::architecture("resnet999").err().unwrap().to_string();
    assert_eq!(message, "unknown backbone \"resnet999\"; known: c2f2, c3f1");
}

#[test]
fn every_parameter_and_the_input_receive_a_gradient() {
    for name in backbone::names() {
        let (net, vars) = net(name, 1).trainable().unwrap();
        let pixels = Var::from_tensor(&pictures(3, net.input(), 2)).unwrap();
        let gradients = objective(&net, &pixels).unwrap().backward().unwrap();
        let all = vars.iter().map(|(name, var)| (name.as_str(), var)).chain([("pixels", &pixels)]);
        for (parameter, var) in all {
            let gradient = gradients.get(var).unwrap_or_else(|| panic!("{name}: no gradient for {parameter}"));
            assert_eq!(gradient.dims(), var.dims(), "{name}: {parameter}");
            assert!(values(gradient).iter().any(|&g| g != 0.0), "{name}: the gradient of {parameter} is all zero");
        }
    }
}

#[test]
fn gradients_match_central_differences() {
    const STEP: f64 = 1e-6;
    for name in backbone::names() {
        let net = net(name, 3);
        let pixels = pictures(2, net.input(), 4);
        let var = Var::from_tensor(&pixels).unwrap();
        let gradients = objective(&net, &var).unwrap().backward().unwrap();
        let (got, base) = (values(gradients.get(&var).unwrap()), values(&pixels));
        for index in (0..base.len()).step_by(base.len() / 23) {
            let at = |offset: f64| {
                let mut moved = base.clone();
                moved[index] += offset;
                let moved = Tensor::from_vec(moved, pixels.dims(), &Device::Cpu).unwrap();
                objective(&net, &moved).unwrap().to_scalar::<f64>().unwrap()
            };
            let want = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            assert!(
                (got[index] - want).abs() < 1e-7,
                "{name}, pixel {index}: {} but differences say {want}",
                got[index]
            );
        }
    }
}

#[test]
fn embeddings_are_unit_vectors() {
    for name in backbone::names() {
        let net = net(name, 6);
        let embeddings = net.embed(&pictures(4, net.input(), 7)).unwrap();
        assert_eq!(embeddings.dims(), [4, net.dim()]);
        let norms = values(&embeddings.sqr().unwrap().sum(1).unwrap());
        assert!(norms.iter().all(|norm| (norm - 1.0).abs() < 1e-12), "{name}: {norms:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_network_and_another_seed_another() {
    let all = |seed| net("c3f1", seed).parameters().iter().map(|(_, tensor)| values(tensor)).collect::<Vec<_>>();
    assert_eq!(all(8), all(8));
    assert_ne!(all(8), all(9));
}

#[test]
fn fresh_parameters_stay_within_pytorchs_bounds() {
    for (name, tensor) in net("c2f2", 10).parameters().iter() {
        let fan_in = match name.split('.').next().unwrap() {
            "conv1" => 25.0,
            "conv2" => 800.0,
            "fc1" => 3136.0,
            _ => 1024.0_f64,
        };
        let largest = values(tensor).into_iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        let bound = 1.0 / fan_in.sqrt();
        assert!(largest <= bound && largest > 0.7 * bound, "{name}: largest value {largest}, bound {bound}");
    }
}

#[test]
fn a_frozen_network_sees_later_updates_and_takes_no_gradient() {
    let (net, vars) = net("c2f2", 11).trainable().unwrap();
    let frozen = net.frozen().unwrap();
    let pixels = Var::from_tensor(&pictures(1, net.input(), 12)).unwrap();

    let gradients = objective(&frozen, &pixels).unwrap().backward().unwrap();
    assert!(gradients.get(&pixels).is_some());
    assert!(vars.iter().all(|(_, var)| gradients.get(var).is_none()), "a weight of a frozen network got a gradient");

    for (_, var) in &vars {
        var.set(&var.affine(0.5, 0.01).unwrap()).unwrap();
    }
    assert_eq!(values(&frozen.embed(&pixels).unwrap()), values(&net.embed(&pixels).unwrap()));
}

#[test]
fn widths_come_from_the_tensors_and_must_fit_together() {
    let build = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let mut tensors = BTreeMap::new();
        for (name, weight) in
            [("conv1", &[3, 1, 5, 5][..]), ("conv2", &[4, 3, 5, 5]), ("fc1", &[8, 196]), ("fc2", &[6, 8])]
        {
            tensors.insert(format!("{name}.weight"), zeros(weight));
            tensors.insert(format!("{name}.bias"), zeros(&weight[..1]));
        }
        change(&mut tensors);
        EmbeddingNet::new("c2f2", Parameters::new(tensors))
    };
    let message = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| build(change).unwrap_err().to_string();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();

    assert_eq!(build(&|_| ()).unwrap().dim(), 6);
    assert!(message(&|t| drop(t.remove("fc1.bias"))).contains("needs the parameter \"fc1.bias\""));
    assert!(message(&|t| drop(t.insert("fc3.bias".into(), zeros(&[1])))).contains("has no parameter \"fc3.bias\""));
    assert!(message(&|t| drop(t.insert("fc1.weight".into(), zeros(&[8, 195])))).contains("must be (outputs, 196)"));
}

#[test]
fn pixels_of_another_shape_are_refused() {
    let grey = InputShape { channels: 1, height: 28, width: 28 };
    let message = net("c3f1", 13).embed(&pictures(1, grey, 14)).unwrap_err().to_string();
    assert_eq!(message, "c3f1 takes pixels of shape (B, 3, 64, 64), got [1, 1, 28, 28]; resize the pictures first");
}
