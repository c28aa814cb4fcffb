//! Networks and distances against the reference implementation's numbers, in float64.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{DType, Device, Tensor, Var};
use holdfast_model::distance::{cosine_similarity, distance_matrix, normalize, pairwise_distance};
use holdfast_model::testing::{Golden, assert_close, assert_tensors_close, golden_net, values};
use holdfast_model::{Embedder, EmbeddingNet, Init, ParameterSpec, Parameters, backbone};
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

/// The first seed of the generated weights and pictures.
const BASE: u64 = 20_220_301;

/// The value in [-bound, bound] that a draw in [0, 1) stands for, rounded to f32 as the reference's parameters are.
fn symmetric(bound: f64) -> impl Fn(f64) -> f64 {
    move |u| f64::from((bound * (2.0 * u - 1.0)) as f32)
}

/// Pictures that the reference was given, as a variable.
fn generated_pictures(seed: u64, shape: (usize, usize, usize, usize), dtype: DType) -> Var {
    let values: Vec<f64> = uniform(seed, shape.0 * shape.1 * shape.2 * shape.3).collect();
    let pixels = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    Var::from_tensor(&pixels.to_dtype(dtype).unwrap()).unwrap()
}

#[test]
fn the_full_size_c2f2_reproduces_the_references_outputs_and_gradients() {
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
        let draws = uniform(BASE + 1_000_003 * k as u64, shape.iter().product());
        let values: Vec<f64> = draws.map(symmetric(1.0 / fan_in.sqrt())).collect();
        tensors.insert(format!("{name}.{kind}"), Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    }
    let net = EmbeddingNet::new("c2f2", Parameters::new(tensors)).unwrap();
    let pixels = generated_pictures(BASE + 77, (4, 1, 28, 28), DType::F64);

    assert_tensors_close("raw", &net.raw(&pixels).unwrap(), &golden.tensor("c2f2/f64/raw"), 1e-9);
    let embeddings = net.embed(&pixels).unwrap();
    let row = |i: usize| embeddings.narrow(0, i, 1).unwrap();
    let hardness =
        (pairwise_distance(&row(0), &row(1)).unwrap() - pairwise_distance(&row(0), &row(2)).unwrap()).unwrap();
    assert_close("hardness", &values(&hardness), &golden.f64s("c2f2/f64/hardness_012"), 1e-9);
    let gradients = hardness.sum_all().unwrap().backward().unwrap();
    assert_tensors_close("grad_input", gradients.get(&pixels).unwrap(), &golden.tensor("c2f2/f64/grad_input"), 1e-9);
}

/// The reference's rule for each kind of ResNet parameter.
fn generated_resnet_parameter(spec: &ParameterSpec, seed: u64) -> Tensor {
    let statistic = |u: f64| f64::from((1.0 + 0.2 * u) as f32);
    let around_one = |u: f64| f64::from((1.0 + symmetric(0.1)(u)) as f32);
    let rule: Box<dyn Fn(f64) -> f64> = match (spec.init, spec.name.rsplit('.').next().unwrap()) {
        (Init::Normal(deviation), _) => Box::new(symmetric(3f64.sqrt() * deviation)),
        (Init::Uniform(_), _) => Box::new(symmetric(1.0 / 512f64.sqrt())),
        (_, "running_var") => Box::new(statistic),
        (_, "weight") => Box::new(around_one),
        _ => Box::new(symmetric(0.1)),
    };
    let values: Vec<f64> = uniform(seed, spec.shape.iter().product()).map(rule).collect();
    Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu).unwrap()
}

/// The full-size ResNet-18, its tensors in the order of the reference's state dictionary.
fn generated_resnet(golden: &Golden, dtype: DType) -> EmbeddingNet {
    let specs = backbone::architecture("resnet18").unwrap().specs();
    let seeds = (0..).map(|k| BASE + 5_000_011 + 1_000_003 * k);
    let tensors: Vec<Tensor> =
        specs.iter().zip(seeds).map(|(spec, seed)| generated_resnet_parameter(spec, seed)).collect();
    let sums: Vec<f64> = tensors.iter().map(|tensor| values(tensor).iter().sum()).collect();
    assert_close("checksums", &sums, &golden.f64s("resnet18/param_checksum"), 1e-12);
    let cast = |tensor: Tensor| tensor.to_dtype(dtype).unwrap();
    let named = specs.into_iter().zip(tensors).map(|(spec, tensor)| (spec.name, cast(tensor)));
    EmbeddingNet::new("resnet18", Parameters::new(named.collect())).unwrap()
}

#[test]
fn the_full_size_resnet18_reproduces_the_references_outputs_and_gradients() {
    let Some(golden) = Golden::open("architectures") else { return };
    // The reference's own gradients in f32 are 1 % off those in f64: some ReLU and maxima fall the other way.
    for (dtype, tag, of_outputs, of_gradients) in [(DType::F64, "f64", 1e-9, 1e-9), (DType::F32, "f32", 1e-5, 2e-2)] {
        let check = |what: &str, got: &[f64]| {
            let key = format!("resnet18/{tag}/{what}");
            let tolerance = if what.starts_with("grad") { of_gradients } else { of_outputs };
            assert_close(&key, got, &golden.f64s(&key), tolerance);
        };
        let (net, variables) = generated_resnet(&golden, dtype).trainable().unwrap();
        let pixels = generated_pictures(BASE + 78, (2, 3, 224, 224), dtype);
        check("raw", &values(&net.raw(&pixels.as_detached_tensor()).unwrap()));

        let distance = |net: &EmbeddingNet| {
            let embeddings = net.embed(&pixels).unwrap();
            pairwise_distance(&embeddings.narrow(0, 0, 1).unwrap(), &embeddings.narrow(0, 1, 1).unwrap()).unwrap()
        };
        let picked: Vec<usize> = uniform(BASE + 79, golden.f64s("resnet18/grad_pick_index").len())
            .map(|u| (u * pixels.elem_count() as f64) as usize)
            .collect();
        assert_eq!(picked, golden.indices("resnet18/grad_pick_index"));
        let training = distance(&net);
        check("pd_01", &values(&training));
        let gradients = training.sum_all().unwrap().backward().unwrap();
        let (_, bn1) = variables.iter().find(|(name, _)| name == "bn1.weight").unwrap();
        check("grad_bn1_weight", &values(gradients.get(bn1).unwrap()));
        let attack = distance(&net.frozen().unwrap()).sum_all().unwrap().backward().unwrap();
        for gradients in [gradients, attack] {
            let all = values(gradients.get(&pixels).unwrap());
            check("grad_input_picked", &picked.iter().map(|&index| all[index]).collect::<Vec<_>>());
        }
    }
}
