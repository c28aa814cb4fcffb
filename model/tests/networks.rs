//! Every registered backbone, held to one list of properties.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{DType, Device, Tensor, Var};
use holdfast_model::backbone::{self, BACKBONES, Sides};
use holdfast_model::testing::{assert_close, assert_tensors_close, values};
use holdfast_model::{Embedder, EmbeddingNet, Init, InputShape, ParameterSpec, Parameters, Precision};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

/// Those built of our layers; `candle_transformers.rs` looks at the others.
fn built_of_layers() -> Vec<&'static str> {
    backbone::names().into_iter().filter(|name| !name.starts_with("candle_")).collect()
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn net(name: &str, seed: u64) -> EmbeddingNet {
    EmbeddingNet::init(name, &Device::Cpu, DType::F64, &mut rng(seed)).unwrap()
}

/// The same architecture over tensors an eighth as wide wherever they are wide, so that float64 does not take minutes.
/// Backbones read their widths from the tensors; layers and strides are the usual ones. Pictures are small where they
/// may be, with an odd and an even side.
fn narrow(name: &str, seed: u64) -> EmbeddingNet {
    narrow_in(DType::F64, name, seed)
}

fn narrow_in(dtype: DType, name: &str, seed: u64) -> EmbeddingNet {
    let architecture = backbone::architecture(name).unwrap();
    let specs: Vec<ParameterSpec> = architecture.specs().into_iter().map(narrowed).collect();
    let parameters = Parameters::init(&specs, &Device::Cpu, dtype, &mut rng(seed)).unwrap();
    let net = EmbeddingNet::new(name, parameters).unwrap();
    let (height, width) = match architecture.sides() {
        Sides::Usual => return net,
        Sides::MultiplesOf(1) => (53, 66),
        Sides::MultiplesOf(unit) => (3 * unit, 4 * unit),
    };
    net.with_input(InputShape { channels: 3, height, width }).unwrap()
}

/// Widths are multiples of 8, numbers of positions are not. Fewer terms in a sum are larger ones, so that the signal
/// neither fades nor grows on its way.
fn narrowed(mut spec: ParameterSpec) -> ParameterSpec {
    let terms = |shape: &[usize]| shape[1..].iter().product::<usize>() as f64;
    let before = terms(&spec.shape);
    for side in &mut spec.shape {
        *side = if *side < 64 || *side % 8 != 0 { *side } else { *side / 8 };
    }
    let factor = (before / terms(&spec.shape)).sqrt();
    spec.init = match spec.init {
        Init::Normal(deviation) => Init::Normal(factor * deviation),
        Init::Uniform(bound) => Init::Uniform(factor * bound),
        // Layer scale starts so small that a picture hardly reaches the embedding.
        Init::Constant(_) if spec.name.ends_with(".gamma") => Init::Constant(1.0),
        constant => constant,
    };
    spec
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
    (&embeddings * weights.squeeze(0)?.squeeze(0)?.to_dtype(embeddings.dtype())?)?.sum_all()
}

#[test]
fn names_are_unique_and_each_architecture_is_found_by_its_name() {
    let names = backbone::names();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), BACKBONES.len());
    for name in names {
        assert_eq!(backbone::architecture(name).unwrap().name(), name);
    }
    let message = backbone::architecture("resnet999").err().unwrap().to_string();
    assert!(message.starts_with("unknown backbone \"resnet999\"; known: c2f2, c3f1, resnet18, "), "{message}");
}

#[test]
fn every_parameter_and_the_input_receive_a_gradient() {
    for (name, dtype) in built_of_layers().into_iter().flat_map(|name| [(name, DType::F64), (name, DType::F32)]) {
        let (net, vars) = narrow_in(dtype, name, 1).trainable().unwrap();
        let pixels = Var::from_tensor(&pictures(3, net.input(), 2).to_dtype(dtype).unwrap()).unwrap();
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
    const STEP: f64 = 1e-7;
    for name in built_of_layers() {
        let net = narrow(name, 3);
        let pixels = pictures(2, net.input(), 4);
        let var = Var::from_tensor(&pixels).unwrap();
        let gradients = objective(&net, &var).unwrap().backward().unwrap();
        let (got, base) = (values(gradients.get(&var).unwrap()), values(&pixels));
        assert!(got.iter().any(|gradient| gradient.abs() > 1e-4), "{name}: gradients too small to be compared");
        let (centre, mut corners) = (objective(&net, &pixels).unwrap().to_scalar::<f64>().unwrap(), 0);
        for index in (0..base.len()).step_by(base.len() / 23) {
            let at = |offset: f64| {
                let mut moved = base.clone();
                moved[index] += offset;
                let moved = Tensor::from_vec(moved, pixels.dims(), &Device::Cpu).unwrap();
                objective(&net, &moved).unwrap().to_scalar::<f64>().unwrap()
            };
            let (below, above) = ((centre - at(-STEP)) / STEP, (at(STEP) - centre) / STEP);
            if (above - below).abs() > 2e-7 {
                corners += 1; // a ReLU or a maximum turns over within the step, so there is nothing to compare with
                continue;
            }
            let want = (above + below) / 2.0;
            assert!(
                (got[index] - want).abs() < 1e-7,
                "{name}, pixel {index}: {} but differences say {want}",
                got[index]
            );
        }
        assert!(corners <= 4, "{name}: {corners} of 23 pixels lie at a corner");
    }
}

#[test]
fn the_way_of_training_and_the_way_of_attacks_give_the_same_embeddings_and_gradients() {
    for name in built_of_layers() {
        let (training, _vars) = narrow(name, 15).trainable().unwrap();
        let attacked = training.frozen().unwrap();
        let pixels = Var::from_tensor(&pictures(3, training.input(), 16)).unwrap();
        let embeddings = |net: &EmbeddingNet| values(&net.embed(&pixels).unwrap());
        let gradient = |net: &EmbeddingNet| {
            let gradients = objective(net, &pixels).unwrap().backward().unwrap();
            gradients.get(&pixels).unwrap().clone()
        };

        assert_close(&format!("{name}, embeddings"), &embeddings(&attacked), &embeddings(&training), 1e-14);
        assert_tensors_close(&format!("{name}, gradient"), &gradient(&attacked), &gradient(&training), 1e-12);
    }
}

#[test]
fn a_packed_network_gives_the_same_bits_pass_after_pass() {
    for name in built_of_layers() {
        let plain = narrow(name, 21);
        let packed = plain.packed().unwrap();
        for pass in 0..2 {
            let pixels = Var::from_tensor(&pictures(2, plain.input(), 22 + pass)).unwrap();
            let bits = |net: &EmbeddingNet| {
                let gradients = objective(net, &pixels).unwrap().backward().unwrap();
                (values(&net.embed(&pixels).unwrap()), values(gradients.get(&pixels).unwrap()))
            };
            assert_eq!(bits(&packed), bits(&plain), "{name}, pass {pass}");
        }
    }
}

#[test]
fn training_in_parts_gives_the_same_embeddings_and_the_same_gradients_of_every_parameter() {
    for name in built_of_layers() {
        let (whole, vars) = narrow(name, 24).trainable().unwrap();
        let (parts, part_vars) = narrow(name, 24).trainable().unwrap();
        let parts = parts.in_parts(NonZeroUsize::new(2).unwrap());
        let pixels = pictures(5, whole.input(), 25);

        assert_eq!(values(&parts.embed(&pixels).unwrap()), values(&whole.embed(&pixels).unwrap()), "{name}");
        let gradients = |net: &EmbeddingNet| objective(net, &pixels).unwrap().backward().unwrap();
        let (of_whole, of_parts) = (gradients(&whole), gradients(&parts));
        for ((parameter, var), (_, part_var)) in vars.iter().zip(&part_vars) {
            let (got, want) = (of_parts.get(part_var).unwrap(), of_whole.get(var).unwrap());
            assert_tensors_close(&format!("{name}, {parameter}"), got, want, 1e-12);
        }
    }
}

#[test]
fn an_attack_may_follow_pixels_that_are_computed_from_others() {
    let net = narrow("c2f2", 17);
    let base = pictures(4, net.input(), 18);
    let var = Var::from_tensor(&base).unwrap();
    let picked = |pixels: &Tensor| pixels.index_select(&Tensor::new(&[2u32, 0], &Device::Cpu).unwrap(), 0).unwrap();

    let through = objective(&net, &picked(&var)).unwrap().backward().unwrap();

    let direct = Var::from_tensor(&picked(&base)).unwrap();
    let gradients = objective(&net, &direct).unwrap().backward().unwrap();
    assert_tensors_close("gradient", &picked(through.get(&var).unwrap()), gradients.get(&direct).unwrap(), 1e-14);
}

#[test]
fn a_graph_over_a_frozen_network_is_differentiated_once_and_says_so() {
    let net = narrow("c2f2", 19);
    let pixels = Var::from_tensor(&pictures(1, net.input(), 20)).unwrap();
    let objective = objective(&net, &pixels).unwrap();

    objective.backward().unwrap();
    let message = objective.backward().unwrap_err().to_string();

    assert!(message.contains("differentiated already; embed the pixels again"), "{message}");
}

#[test]
fn bfloat16_attacks_see_the_networks_gradient_but_for_rounding() {
    for name in built_of_layers() {
        let net = narrow(name, 21);
        let pixels = Var::from_tensor(&pictures(2, net.input(), 22)).unwrap();
        let gradient = |net: &dyn Embedder| {
            let embeddings = net.embed(&pixels).unwrap();
            let gradients = embeddings.narrow(1, 0, 1).unwrap().sum_all().unwrap().backward().unwrap();
            values(gradients.get(&pixels).unwrap())
        };
        let rounded = net.in_precision(Precision::Bf16).unwrap().unwrap();

        let (exact, rounded) = (gradient(&net), gradient(rounded.as_ref()));

        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = dot(&exact, &rounded) / (dot(&exact, &exact) * dot(&rounded, &rounded)).sqrt();
        // Fifty narrow layers one behind the other round more than eighteen.
        assert!(cosine > 0.9 && cosine < 1.0 - 1e-9, "{name}: cosine {cosine}");
        assert!(net.in_precision(Precision::F32).unwrap().is_none(), "f32 is what the net computes in");
    }
}

#[test]
fn bfloat16_rounds_nothing_that_fits_into_it() {
    // Small integers times powers of two: every operand of the two linear layers, upstream included, is exact.
    let shapes = [("conv1", vec![2, 1, 1, 1]), ("conv2", vec![2, 2, 1, 1]), ("fc1", vec![4, 98]), ("fc2", vec![2, 4])];
    let mut tensors = BTreeMap::new();
    for (name, shape) in shapes {
        let count = shape.iter().product::<usize>();
        let weight: Vec<f64> = (0..count).map(|i| ((i * 7 % 5) as f64 - 2.0) / 4.0).collect();
        tensors.insert(format!("{name}.weight"), Tensor::from_vec(weight, shape.as_slice(), &Device::Cpu).unwrap());
        tensors.insert(format!("{name}.bias"), Tensor::zeros(shape[0], DType::F64, &Device::Cpu).unwrap());
    }
    let net = EmbeddingNet::new("c2f2", Parameters::new(tensors)).unwrap();
    let corner: Vec<f64> = (0..784).map(|i| if i < 2 { 1.0 } else { 0.0 }).collect();
    let pixels = Tensor::from_vec(corner, (1, 1, 28, 28), &Device::Cpu).unwrap();

    let rounded = net.in_precision(Precision::Bf16).unwrap().unwrap();

    assert_eq!(values(&rounded.embed(&pixels).unwrap()), values(&net.embed(&pixels).unwrap()));
}

#[test]
fn embeddings_are_unit_vectors() {
    for name in built_of_layers() {
        let net = narrow(name, 6);
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
fn a_fresh_resnet_starts_as_torchvisions_does() {
    let net = EmbeddingNet::init("resnet18", &Device::Cpu, DType::F32, &mut rng(23)).unwrap();
    let of = |name: &str| values(net.parameters().get(name).unwrap());
    let deviation = |values: &[f64]| (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();

    // He: 2 / (outputs · kernel²). The estimate's own deviation is below 1 % for as many values as here.
    for (name, outputs, kernel) in [("conv1", 64, 7), ("layer3.0.conv2", 256, 3), ("layer2.0.downsample.0", 128, 1)] {
        let expected = (2.0 / f64::from(outputs * kernel * kernel)).sqrt();
        let got = deviation(&of(&format!("{name}.weight")));
        assert!((got / expected - 1.0).abs() < 0.03, "{name}: deviation {got}, not {expected}");
    }
    assert!(of("layer4.1.bn2.weight").iter().all(|&value| value == 1.0));
    assert!(of("layer4.1.bn2.bias").iter().all(|&value| value == 0.0));
    assert!(of("fc.weight").iter().all(|value| value.abs() <= 1.0 / 512f64.sqrt()));
}

#[test]
fn running_statistics_take_part_but_are_not_trained() {
    let net = narrow("resnet18", 24);
    let (_learner, vars) = net.trainable().unwrap();
    assert!(vars.iter().all(|(name, _)| !name.contains("running_")), "statistics must be no variables");
    assert_eq!(vars.len() + 2 * 20, net.parameters().len(), "20 batch norms with two statistics each");

    let pixels = pictures(1, net.input(), 25);
    let moved = net.parameters().iter().map(|(name, tensor)| {
        let changed = if name == "layer2.1.bn1.running_var" { (tensor * 2.0).unwrap() } else { tensor.clone() };
        (name.to_owned(), changed)
    });
    let other =
        EmbeddingNet::new("resnet18", Parameters::new(moved.collect())).unwrap().with_input(net.input()).unwrap();
    assert_ne!(values(&other.embed(&pixels).unwrap()), values(&net.embed(&pixels).unwrap()));
}

#[test]
fn the_batch_counters_of_pytorchs_files_are_ignored() {
    let net = narrow("resnet18", 26);
    let mut tensors: BTreeMap<String, Tensor> =
        net.parameters().iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    tensors.insert("bn1.num_batches_tracked".into(), Tensor::new(7i64, &Device::Cpu).unwrap());

    let again = EmbeddingNet::new("resnet18", Parameters::new(tensors)).unwrap();

    assert_eq!(again.parameters().len(), net.parameters().len());
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
fn a_network_takes_pictures_of_other_sides_where_its_layers_do() {
    let input = |height, width| InputShape { channels: 3, height, width };

    let net = narrow("squeezenet1_1", 27).with_input(input(40, 35)).unwrap();
    let copies = [net.frozen().unwrap(), net.trainable().unwrap().0, net.to(&Device::Cpu, DType::F32).unwrap()];
    for copy in &copies {
        assert_eq!(copy.input(), input(40, 35));
        assert_eq!(copy.embed(&pictures(2, input(40, 35), 28).to_dtype(copy.dtype()).unwrap()).unwrap().dims()[0], 2);
    }
    let refused = |net: EmbeddingNet, input| net.with_input(input).unwrap_err().to_string();
    assert!(refused(net, input(31, 40)).contains("sides may be from 32 to 1024"));
    assert!(refused(narrow("deit_tiny_patch16_224", 29), input(40, 48)).contains("multiples of 16"));
    assert!(refused(narrow("c3f1", 30), input(32, 32)).contains("the usual ones only"));
    assert!(refused(narrow("resnet18", 31), InputShape { channels: 1, ..input(32, 32) }).contains("(1, 32, 32)"));
}

#[test]
fn pixels_of_another_shape_are_refused() {
    let grey = InputShape { channels: 1, height: 28, width: 28 };
    let message = net("c3f1", 13).embed(&pictures(1, grey, 14)).unwrap_err().to_string();
    assert_eq!(message, "c3f1 takes pixels of shape (B, 3, 64, 64), got [1, 1, 28, 28]; resize the pictures first");
}
