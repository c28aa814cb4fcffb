//! Steps of training with live batch norms against PyTorch's in training mode: `tests/golden/live_batch_norm.py`.

use crate::drawn::{BASE, STRIDE, parameter, uniform};
use candle_core::{DType, Device, Tensor, Var};
use holdfast_model::testing::{Golden, assert_close, values};
use holdfast_model::{BatchNorm, Embedder, EmbeddingNet, InputShape, Parameters, backbone};
use std::num::NonZeroUsize;

const STEPS: usize = 3;
const RATE: f64 = 0.01;
const PICTURES: usize = 4;
const INPUT: InputShape = InputShape { channels: 3, height: 33, width: 40 };
/// The length of an embedding.
const DIM: usize = 64;

/// ResNet-18 with an eighth of the channels, over drawn weights.
fn net() -> EmbeddingNet {
    let narrow = |side: usize| if side < 64 { side } else { side / 8 };
    let mut specs = backbone::architecture("resnet18").unwrap().specs();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    let tensors = specs.into_iter().zip(0u64..).map(|(spec, k)| {
        let shape: Vec<usize> = spec.shape.into_iter().map(narrow).collect();
        let drawn = parameter(&spec.name, &shape, BASE + 7_000_003 + 1_000_003 * k);
        (spec.name, drawn.to_dtype(DType::F64).unwrap())
    });
    EmbeddingNet::new("resnet18", Parameters::new(tensors.collect())).unwrap().with_input(INPUT).unwrap()
}

fn drawn(seed: u64, shape: &[usize]) -> Tensor {
    Tensor::from_vec(uniform(seed, shape.iter().product()), shape, &Device::Cpu).unwrap()
}

fn pictures(step: u64) -> Tensor {
    drawn(BASE + 100 + step, &[PICTURES, 3, INPUT.height, INPUT.width])
}

/// What the file stores of a gradient.
fn picked(gradient: &Tensor) -> Vec<f64> {
    let all = values(gradient);
    let stride = if all.len() > 1000 { STRIDE } else { 1 };
    all.into_iter().step_by(stride).collect()
}

fn running(net: &EmbeddingNet) -> Vec<f64> {
    net.parameters().iter().filter(|(name, _)| name.contains(".running_")).flat_map(|(_, t)| values(t)).collect()
}

#[test]
fn steps_of_training_reproduce_pytorchs_down_to_the_running_statistics() {
    let golden = Golden::committed("live_batch_norm");
    let (net, vars) = net().trainable().unwrap();
    let net = net.with_batch_norm(BatchNorm::Live).unwrap();
    for step in 0..STEPS {
        let pixels = Var::from_tensor(&pictures(step as u64)).unwrap();
        let embeddings = net.embed_in_training(&pixels).unwrap();
        assert_close(
            &format!("step {step}, embeddings"),
            &values(&embeddings),
            &golden.f64s(&format!("{step}/embeddings")),
            1e-9,
        );
        let upstream = drawn(BASE + 200 + step as u64, &[PICTURES, DIM]);
        let gradients = (embeddings * upstream).unwrap().sum_all().unwrap().backward().unwrap();
        let all = vars.iter().map(|(name, var)| (name.as_str(), var)).chain([("pixels", &pixels)]);
        for (name, var) in all {
            let (key, gradient) = (format!("{step}/gradient/{name}"), gradients.get(var).unwrap());
            if golden.has(&key) {
                assert_close(&key, &picked(gradient), &golden.f64s(&key), 1e-8);
            }
            if name != "pixels" {
                var.set(&(var.as_tensor() - (gradient * RATE).unwrap()).unwrap()).unwrap();
            }
        }
    }
    assert_close("running statistics", &running(&net), &golden.f64s("running"), 1e-9);
    let at_rest = values(&net.embed(&pictures(0)).unwrap());
    assert_close("embeddings at rest", &at_rest, &golden.f64s("at_rest"), 1e-8);
}

#[test]
fn a_frozen_copy_follows_the_running_statistics_and_never_moves_them() {
    let (learner, _vars) = net().trainable().unwrap();
    let learner = learner.with_batch_norm(BatchNorm::Live).unwrap();
    let frozen = learner.frozen().unwrap();
    let (before, bits) = (values(&frozen.embed(&pictures(0)).unwrap()), running(&learner));

    frozen.embed_in_training(&pictures(1)).unwrap();
    learner.embed(&pictures(1)).unwrap();
    assert_eq!(running(&learner), bits, "only a pass of training of the live net moves statistics");

    learner.embed_in_training(&pictures(1)).unwrap();
    assert_ne!(running(&learner), bits);
    assert_ne!(values(&frozen.embed(&pictures(0)).unwrap()), before);
}

#[test]
fn batches_that_come_in_parts_and_nets_without_batch_norm_are_refused() {
    let live = net().with_batch_norm(BatchNorm::Live).unwrap().in_parts(NonZeroUsize::new(3).unwrap());
    let message = live.embed_in_training(&pictures(0)).unwrap_err().to_string();
    assert!(message.contains("statistics of all 4 pictures") && message.contains("takes 3 at a time"), "{message}");

    let other = EmbeddingNet::init(
        "c2f2",
        &Device::Cpu,
        DType::F32,
        &mut <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1),
    );
    let message = other.unwrap().with_batch_norm(BatchNorm::Live).err().unwrap().to_string();
    assert_eq!(message, "c2f2 has no batch norm that could be live; those that have: resnet18, resnet50");
}
