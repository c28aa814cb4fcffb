//! Networks and distances against the reference implementation's numbers, in float64.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{DType, Tensor, Var};
use holdfast_model::distance::{cosine_similarity, distance_matrix, normalize, pairwise_distance};
use holdfast_model::testing::{Golden, assert_close, assert_tensors_close, golden_net, values};
use holdfast_model::{Embedder, EmbeddingNet, Parameters};
use std::collections::BTreeMap;

#[test]
fn the_network_reproduces_the_references_outputs() {
    for (dtype, tag, tolerance) in [(DType::F64, "f64", 1e-12), (DType::F32, "f32", 1e-5)] {
        let Some((net, golden)) = golden_net(dtype) else { return };
        let pictures = |key: &str| golden.tensor(key).to_dtype(dtype).unwrap();
        let check = |what: &str, got: &Tensor| {
            assert_tensors_close(&format!("{tag}/{what}"), got, &golden.tensor(&format!("{tag}/{what}")), tolerance);
        };
        check("raw", &net.raw(&pictures("images")).unwrap());
        check("emb", &net.embed(&pictures("images")).unwrap());
        check("gallery_emb", &net.embed(&pictures("gallery_images")).unwrap());
    }
}

/// Two inputs as variables, so that gradients can be asked for.
fn vars(golden: &Golden, x: &str, y: &str) -> (Var, Var) {
    (Var::from_tensor(&golden.tensor(x)).unwrap(), Var::from_tensor(&golden.tensor(y)).unwrap())
}

#[test]
fn distances_and_their_gradients_reproduce_the_references() {
    let Some(golden) = Golden::open("primitives") else { return };
    let (x, y) = vars(&golden, "pd/x", "pd/y");
    let distance = pairwise_distance(&x, &y).unwrap();
    assert_tensors_close("pd", &distance, &golden.tensor("pd/out"), 1e-12);
    let gradients = distance.sum_all().unwrap().backward().unwrap();
    assert_tensors_close("pd/grad_x", gradients.get(&x).unwrap(), &golden.tensor("pd/grad_x"), 1e-9);
    assert_tensors_close("pd/grad_y", gradients.get(&y).unwrap(), &golden.tensor("pd/grad_y"), 1e-9);

    let (x, y) = vars(&golden, "cos/x", "cos/y");
    let cosine = cosine_similarity(&x, &y).unwrap();
    assert_tensors_close("cos", &cosine, &golden.tensor("cos/out"), 1e-12);
    let gradients = cosine.sum_all().unwrap().backward().unwrap();
    assert_tensors_close("cos/grad_x", gradients.get(&x).unwrap(), &golden.tensor("cos/grad_x"), 1e-9);
    assert_tensors_close("cdist", &distance_matrix(&x, &y).unwrap(), &golden.tensor("cdist/out"), 1e-9);
}

#[test]
fn normalisation_reproduces_the_references() {
    let Some(golden) = Golden::open("primitives") else { return };
    let x = Var::from_tensor(&golden.tensor("normalize/x")).unwrap();
    let unit = normalize(&x).unwrap();
    assert_tensors_close("normalize", &unit, &golden.tensor("normalize/out"), 1e-12);
    let upstream = golden.tensor("normalize/upstream");
    let gradients = (unit * upstream).unwrap().sum_all().unwrap().backward().unwrap();
    assert_tensors_close("normalize/grad_x", gradients.get(&x).unwrap(), &golden.tensor("normalize/grad_x"), 1e-9);
}

/// SplitMix64 as the golden files' README defines it: u(seed, i) in [0, 1).
fn uniform(seed: u64, count: usize) -> impl Iterator<Item = f64> {
    (1..=count as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f64 / f64::from(1 << 24)
    })
}

#[test]
fn the_full_size_c2f2_reproduces_the_references_outputs_and_gradients() {
    const BASE: u64 = 20_220_301;
    let Some(golden) = Golden::open("architectures") else { return };
    let shapes: [(&str, &[usize], f64); 4] = [
        ("conv1", &[32, 1, 5, 5], 25.),
        ("conv2", &[64, 32, 5, 5], 800.),
        ("fc1", &[1024, 3136], 3136.),
        ("fc2", &[512, 1024], 1024.),
    ];
    let mut tensors = BTreeMap::new();
    let kinds = shapes
        .iter()
        .flat_map(|(name, shape, fan_in)| [(name, "weight", *shape, fan_in), (name, "bias", &shape[..1], fan_in)]);
    for (k, (name, kind, shape, fan_in)) in kinds.enumerate() {
        let bound = 1.0 / fan_in.sqrt();
        let single =
            uniform(BASE + 1_000_003 * k as u64, shape.iter().product()).map(|u| (bound * (2.0 * u - 1.0)) as f32);
        let tensor = Tensor::from_vec(single.collect::<Vec<f32>>(), shape, &candle_core::Device::Cpu).unwrap();
        tensors.insert(format!("{name}.{kind}"), tensor.to_dtype(DType::F64).unwrap());
    }
    let net = EmbeddingNet::new("c2f2", Parameters::new(tensors)).unwrap();
    let pixels: Vec<f64> = uniform(BASE + 77, 4 * 784).collect();
    let pixels =
        Var::from_tensor(&Tensor::from_vec(pixels, (4, 1, 28, 28), &candle_core::Device::Cpu).unwrap()).unwrap();

    assert_tensors_close("raw", &net.raw(&pixels).unwrap(), &golden.tensor("c2f2/f64/raw"), 1e-9);
    let embeddings = net.embed(&pixels).unwrap();
    let row = |i: usize| embeddings.narrow(0, i, 1).unwrap();
    let hardness =
        (pairwise_distance(&row(0), &row(1)).unwrap() - pairwise_distance(&row(0), &row(2)).unwrap()).unwrap();
    assert_close("hardness", &values(&hardness), &golden.f64s("c2f2/f64/hardness_012"), 1e-9);
    let gradients = hardness.sum_all().unwrap().backward().unwrap();
    assert_tensors_close("grad_input", gradients.get(&pixels).unwrap(), &golden.tensor("c2f2/f64/grad_input"), 1e-9);
}
