//! Pretrained backbones at their full size against torchvision's outputs and gradients, read as published files.

use crate::drawn::{BASE, STRIDE, parameter, uniform};
use candle_core::{DType, Device, Tensor, Var};
use holdfast_model::pretrained::Published;
use holdfast_model::testing::{Golden, assert_close, values};
use holdfast_model::{Embedder, EmbeddingNet, InputShape, backbone};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, HashMap};

/// The names under which the weights of a case are published, with their shapes: those in the file, else ours.
fn published_shapes(golden: &Golden, name: &str) -> BTreeMap<String, Vec<usize>> {
    let prefix = format!("{name}/shape/");
    let stored =
        golden.keys().into_iter().filter_map(|key| Some((key.strip_prefix(&prefix)?.to_owned(), golden.indices(key))));
    let stored: BTreeMap<String, Vec<usize>> = stored.collect();
    if !stored.is_empty() {
        return stored;
    }
    let specs = backbone::architecture(name).unwrap().specs().into_iter();
    specs.filter(|spec| !spec.name.starts_with("fc.")).map(|spec| (spec.name, spec.shape)).collect()
}

/// The net over generated weights, which took the way of a published file.
fn generated(golden: &Golden, name: &str, dtype: DType) -> EmbeddingNet {
    let seeds = (0..).map(|k| BASE + 7_000_003 + 1_000_003 * k);
    let shapes = published_shapes(golden, name).into_iter().zip(seeds);
    let mut tensors: HashMap<String, Tensor> =
        shapes.map(|((name, shape), seed)| (name.clone(), parameter(&name, &shape, seed))).collect();
    for (spec, seed) in
        backbone::architecture(name).unwrap().specs().iter().filter(|spec| spec.name.starts_with("fc.")).zip([91, 92])
    {
        tensors.insert(spec.name.clone(), parameter(&spec.name, &spec.shape, BASE + seed));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("published.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let (published, rng) = (Published::read(&path, None).unwrap(), &mut ChaCha8Rng::seed_from_u64(1));
    let net = EmbeddingNet::pretrained(name, &published, &Device::Cpu, dtype, rng).unwrap();
    let sides = golden.indices(&format!("{name}/sides"));
    net.with_input(InputShape { channels: 3, height: sides[0], width: sides[1] }).unwrap()
}

/// ⟨raw, upstream⟩ differentiated: by candle's graph over tracked weights.
fn gradient(net: &EmbeddingNet, pixels: &Var) -> Vec<f64> {
    let upstream = Tensor::from_vec(uniform(BASE + 93, net.dim()), (1, net.dim()), &Device::Cpu).unwrap();
    let raw = net.raw(pixels).unwrap();
    let gradients = (raw * upstream.to_dtype(net.dtype()).unwrap()).unwrap().sum_all().unwrap().backward().unwrap();
    values(gradients.get(pixels).unwrap())
}

fn check(name: &str) {
    let golden = Golden::committed("backbones");
    let pixels = |net: &EmbeddingNet| {
        let InputShape { channels, height, width } = net.input();
        let drawn = Tensor::from_vec(uniform(BASE + 90, net.input().len()), (1, channels, height, width), &Device::Cpu);
        Var::from_tensor(&drawn.unwrap().to_dtype(net.dtype()).unwrap()).unwrap()
    };
    let want = |what: &str| golden.f64s(&format!("{name}/{what}"));

    let net = generated(&golden, name, DType::F64);
    let pixels_f64 = pixels(&net);
    assert_close(&format!("{name}, raw"), &values(&net.raw(&pixels_f64).unwrap()), &want("raw"), 1e-10);
    let picked: Vec<f64> = gradient(&net, &pixels_f64).into_iter().step_by(STRIDE).collect();
    assert_close(&format!("{name}, gradient"), &picked, &want("gradient"), 1e-9);

    let net = generated(&golden, name, DType::F32);
    assert_close(&format!("{name}, raw in f32"), &values(&net.raw(&pixels(&net)).unwrap()), &want("raw"), 1e-4);
}

#[test]
fn squeezenet_reproduces_torchvisions() {
    check("squeezenet1_1");
}

#[test]
fn resnet50_reproduces_torchvisions() {
    check("resnet50");
}

#[test]
fn mobilenet_v2_reproduces_torchvisions_from_weights_whose_batch_norm_is_folded_in() {
    check("mobilenetv2_100");
}

#[test]
fn mobilenet_v2_with_tensorflows_padding_reproduces_torchvisions_so_padded() {
    check("mobilenet_v2");
}

#[test]
fn deit_reproduces_torchvisions_vision_transformer() {
    check("deit_tiny_patch16_224");
}

#[test]
fn a_vision_transformer_interpolates_its_positions_as_torch_does() {
    check("vit_small_patch16_224");
}

#[test]
fn dinov2_reproduces_torchvisions_vision_transformer_with_layer_scale() {
    check("dinov2_vits14");
}
