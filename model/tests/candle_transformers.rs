//! The image models of candle-transformers: whose gradients are right, and what happens to those whose are not.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{DType, Device, Tensor, Var};
use holdfast_model::backbone::{self, BACKBONES};
use holdfast_model::testing::{assert_close, values};
use holdfast_model::{Embedder, EmbeddingNet, Init, InputShape, ParameterSpec, Parameters};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Those that may be trained, but for the larger one of the same code as another.
const TRAINABLE: [&str; 2] = ["candle_convnext_atto", "candle_mobilenetv4_conv_small"];

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A fresh net for pictures of 64×64, in which no parameter is so small that its gradient cannot be compared.
fn net(name: &str, dtype: DType, seed: u64) -> EmbeddingNet {
    let legible = |spec: ParameterSpec| match (spec.init, spec.name.rsplit('.').next().unwrap()) {
        (_, "gamma") => ParameterSpec { init: Init::Constant(0.5), ..spec },
        (Init::Normal(_), _) if spec.shape.len() > 1 => {
            let terms: usize = spec.shape[1..].iter().product();
            ParameterSpec { init: Init::Normal((1.5 / terms as f64).sqrt()), ..spec }
        }
        _ => spec,
    };
    let specs: Vec<ParameterSpec> = backbone::architecture(name).unwrap().specs().into_iter().map(legible).collect();
    let parameters = Parameters::init(&specs, &Device::Cpu, dtype, &mut rng(seed)).unwrap();
    let net = EmbeddingNet::new(name, parameters).unwrap();
    net.with_input(InputShape { channels: 3, height: 64, width: 64 }).unwrap()
}

fn pictures(count: usize, input: InputShape, dtype: DType, seed: u64) -> Tensor {
    let mut rng = rng(seed);
    let drawn: Vec<f64> = (0..count * input.len()).map(|_| rng.random()).collect();
    let pixels = Tensor::from_vec(drawn, (count, input.channels, input.height, input.width), &Device::Cpu).unwrap();
    pixels.to_dtype(dtype).unwrap()
}

/// ⟨embeddings, random weights⟩.
fn objective(net: &EmbeddingNet, pixels: &Tensor) -> Tensor {
    let embeddings = net.embed(pixels).unwrap();
    let mut rng = rng(77);
    let weights: Vec<f64> = (0..embeddings.elem_count()).map(|_| rng.random_range(-1.0..1.0)).collect();
    let weights = Tensor::from_vec(weights, embeddings.dims(), &Device::Cpu).unwrap();
    (embeddings * weights.to_dtype(net.dtype()).unwrap()).unwrap().sum_all().unwrap()
}

/// The slope of the objective along one element of `var`, by central differences.
fn slope(net: &EmbeddingNet, pixels: &Tensor, var: &Var, index: usize) -> f64 {
    const STEP: f64 = 1e-6;
    let base = values(var);
    let at = |offset: f64| {
        let mut moved = base.clone();
        moved[index] += offset;
        var.set(&Tensor::from_vec(moved, var.dims(), &Device::Cpu).unwrap()).unwrap();
        objective(net, pixels).to_scalar::<f64>().unwrap()
    };
    let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    var.set(&Tensor::from_vec(base, var.dims(), &Device::Cpu).unwrap()).unwrap();
    slope
}

#[test]
fn gradients_of_pixels_and_of_parameters_match_central_differences() {
    for name in TRAINABLE {
        let (net, vars) = net(name, DType::F64, 1).trainable().unwrap();
        let pixels = Var::from_tensor(&pictures(1, net.input(), DType::F64, 2)).unwrap();
        let gradients = objective(&net, &pixels).backward().unwrap();

        // Five pixels, and one element of every nineteenth parameter.
        let places = (0..5).map(|place| ("pixels", &pixels, place * 2311));
        let parameters = vars.iter().step_by(19).map(|(name, var)| (name.as_str(), var, var.elem_count() / 2));
        for (of, var, index) in places.chain(parameters) {
            let gradient = gradients.get(var).unwrap_or_else(|| panic!("{name}: no gradient for {of}"));
            let (got, want) = (values(gradient)[index], slope(&net, &pixels, var, index));
            let allowed = 1e-6 + 1e-3 * want.abs();
            assert!((got - want).abs() < allowed, "{name}, {of}[{index}]: {got} but differences say {want}");
        }
    }
}

#[test]
fn a_step_against_the_gradient_moves_every_parameter_and_lowers_the_objective() {
    for name in TRAINABLE {
        let (net, vars) = net(name, DType::F32, 3).trainable().unwrap();
        let pixels = pictures(3, net.input(), DType::F32, 4);
        let before = objective(&net, &pixels);
        let gradients = before.backward().unwrap();
        for (parameter, var) in &vars {
            let gradient = gradients.get(var).unwrap_or_else(|| panic!("{name}: no gradient for {parameter}"));
            assert!(values(gradient).iter().any(|&g| g != 0.0), "{name}: the gradient of {parameter} is all zero");
            var.set(&(var.as_tensor() - (gradient * 1e-4).unwrap()).unwrap()).unwrap();
        }
        let after = objective(&net, &pixels).to_scalar::<f32>().unwrap();
        assert!(after < before.to_scalar::<f32>().unwrap(), "{name}: {after}");
    }
}

#[test]
fn a_frozen_copy_sees_updates_and_has_the_same_pixel_gradient() {
    let (learner, vars) = net(TRAINABLE[1], DType::F64, 5).trainable().unwrap();
    let frozen = learner.frozen().unwrap();
    let pixels = Var::from_tensor(&pictures(2, learner.input(), DType::F64, 6)).unwrap();
    let gradient = |net: &EmbeddingNet| {
        let gradients = objective(net, &pixels).backward().unwrap();
        assert_eq!(vars.iter().all(|(_, var)| gradients.get(var).is_none()), std::ptr::eq(net, &frozen));
        values(gradients.get(&pixels).unwrap())
    };
    for (_, var) in &vars {
        var.set(&(var.as_tensor() * 1.01).unwrap()).unwrap();
    }
    assert_close("gradient", &gradient(&frozen), &gradient(&learner), 1e-12);
}

#[test]
fn dinov2_embeds_as_our_own_layers_do_on_the_same_weights() {
    let ours = EmbeddingNet::init("dinov2_vits14", &Device::Cpu, DType::F32, &mut rng(7)).unwrap();
    let shared: BTreeMap<String, Tensor> = ours.parameters().iter().map(|(n, t)| (n.to_owned(), t.clone())).collect();
    let specs = backbone::architecture("candle_dinov2_vits14").unwrap().specs();
    let theirs = specs.into_iter().map(|spec| (spec.name.clone(), shared[&spec.name].clone()));
    let theirs = EmbeddingNet::new("candle_dinov2_vits14", Parameters::new(theirs.collect())).unwrap();
    let pixels = pictures(1, ours.input(), DType::F32, 8);

    let (ours, theirs) = (ours.embed(&pixels).unwrap(), theirs.embed(&pixels).unwrap());

    assert_close("embedding", &values(&theirs), &values(&ours), 2e-4);
}

#[test]
fn a_model_whose_gradients_are_wrong_embeds_and_refuses_to_be_trained_or_attacked() {
    let net = EmbeddingNet::init("candle_dinov2_vits14", &Device::Cpu, DType::F32, &mut rng(9)).unwrap();
    let pixels = pictures(1, net.input(), DType::F32, 10);
    assert_eq!(net.embed(&pixels).unwrap().dims(), [1, 512]);

    let trained = net.trainable().err().unwrap().to_string();
    let attacked = net.embed(&Var::from_tensor(&pixels).unwrap()).unwrap_err().to_string();

    for message in [trained, attacked] {
        assert!(message.contains("candle_dinov2_vits14"), "{message}");
        assert!(message.contains("its layer norms pass no gradient on"), "{message}");
    }
}

#[test]
fn every_model_of_candle_transformers_has_a_verdict() {
    let names = BACKBONES.iter().filter(|model| model.name().starts_with("candle_"));
    for model in names.filter(|model| model.inference_only().is_none()) {
        let tested = TRAINABLE.iter().any(|tested| model.name() == *tested) || model.name() == "candle_convnext_tiny";
        assert!(tested, "{} is trainable, and no test looks at its gradients", model.name());
    }
}
