//! The image models of candle-transformers: whose gradients are right, and what happens to those whose are not.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{D, DType, Device, Module, Tensor, Var};
use candle_nn::{LayerNorm, ops};
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

/// |theirs − ours| / |ours| of DINOv2's embeddings in candle-transformers' layers and in ours, on the same changed weights.
/// A layer scale of 0.3 lets every block take part; a fresh one of 1e-5 would hide them.
fn dinov2_differs_by(change: impl Fn(&mut BTreeMap<String, Tensor>)) -> f64 {
    let visible = |spec: ParameterSpec| match spec.name.ends_with(".gamma") {
        true => ParameterSpec { init: Init::Constant(0.3), ..spec },
        false => spec,
    };
    let specs: Vec<ParameterSpec> =
        backbone::architecture("dinov2_vits14").unwrap().specs().into_iter().map(visible).collect();
    let drawn = Parameters::init(&specs, &Device::Cpu, DType::F32, &mut rng(7)).unwrap();
    let mut weights: BTreeMap<String, Tensor> = drawn.iter().map(|(name, t)| (name.to_owned(), t.clone())).collect();
    change(&mut weights);
    let [ours, theirs] = ["dinov2_vits14", "candle_dinov2_vits14"].map(|name| {
        let specs = backbone::architecture(name).unwrap().specs();
        let read = specs.into_iter().map(|spec| (spec.name.clone(), weights[&spec.name].clone())).collect();
        let net = EmbeddingNet::new(name, Parameters::new(read)).unwrap();
        values(&net.embed(&pictures(1, net.input(), DType::F32, 8)).unwrap())
    });
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    norm(&mut ours.iter().zip(&theirs).map(|(ours, theirs)| theirs - ours)) / norm(&mut ours.iter().copied())
}

/// All patches at one position, so that its interpolation does not matter.
fn level_positions(weights: &mut BTreeMap<String, Tensor>) {
    let positions = &weights["pos_embed"];
    let level = positions.narrow(1, 1, 1).unwrap().broadcast_as(positions.shape()).unwrap().contiguous().unwrap();
    weights.insert("pos_embed".to_owned(), level);
}

/// A class token of the patches' size, beside whose variance no ε of a layer norm matters.
fn large_class_token(weights: &mut BTreeMap<String, Tensor>) {
    let token = (&weights["cls_token"] * 50.0).unwrap();
    weights.insert("cls_token".to_owned(), token);
}

/// GELU(0) = 0, whatever the formula.
fn nothing_into_gelu(weights: &mut BTreeMap<String, Tensor>) {
    for (_, tensor) in weights.iter_mut().filter(|(name, _)| name.contains(".mlp.fc1.")) {
        *tensor = tensor.zeros_like().unwrap();
    }
}

#[test]
fn dinov2_differs_from_our_layers_by_gelu_the_norms_epsilon_and_the_interpolation_of_positions_alone() {
    let none = dinov2_differs_by(|weights| {
        level_positions(weights);
        large_class_token(weights);
        nothing_into_gelu(weights);
    });
    let gelu = dinov2_differs_by(|weights| {
        level_positions(weights);
        large_class_token(weights);
    });
    let epsilon = dinov2_differs_by(|weights| {
        level_positions(weights);
        nothing_into_gelu(weights);
    });
    let all = dinov2_differs_by(|_| ());
    assert!(none < 1e-5, "{none}");
    assert!((1e-5..2e-4).contains(&gelu), "{gelu}");
    assert!((1e-5..1e-3).contains(&epsilon), "{epsilon}");
    assert!((1e-3..3e-2).contains(&all), "{all}");
}

/// Whether candle's gradient of ⟨f(x), weights⟩ is that of central differences, in f32: the fused operations know no f64.
fn gradient_is_right(f: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> bool {
    const STEP: f32 = 1e-2;
    let base = [0.3f32, -0.8, 1.1, 0.5, 0.2, -0.4];
    let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap().reshape((2, 3)).unwrap();
    let weights = tensor(&[0.7, -0.2, 0.4, -0.9, 0.3, 0.6]);
    let objective = |x: &Tensor| (f(x).unwrap() * &weights).unwrap().sum_all().unwrap();
    let slope = |index: usize| {
        let at = |offset: f32| {
            let mut moved = base;
            moved[index] += offset;
            objective(&tensor(&moved)).to_scalar::<f32>().unwrap()
        };
        f64::from((at(STEP) - at(-STEP)) / (2.0 * STEP))
    };
    let x = Var::from_tensor(&tensor(&base)).unwrap();
    let Ok(gradients) = objective(&x).backward() else { return false };
    let Some(gradient) = gradients.get(&x) else { return false };
    values(gradient).into_iter().enumerate().all(|(index, got)| (got - slope(index)).abs() < 1e-2)
}

#[test]
fn candles_fused_layer_norm_and_softmax_have_no_right_gradient() {
    let [weight, bias] = [[1.2f32, 0.7, -0.5], [0.1, -0.3, 0.2]].map(|row| Tensor::new(&row, &Device::Cpu).unwrap());
    // The same functions of single operations, to see that the question is put rightly.
    assert!(gradient_is_right(|x| ops::layer_norm_slow(x, &weight, &bias, 1e-5)));
    assert!(gradient_is_right(|x| ops::softmax(x, D::Minus1)));

    let norm = LayerNorm::new(weight, bias, 1e-5);
    let norm_is_right = gradient_is_right(|x| norm.forward(x));
    let softmax_is_right = gradient_is_right(ops::softmax_last_dim);

    let verdict = "mended: see which `inference_only` of backbone/candle_transformers.rs can go";
    assert!(!norm_is_right, "candle's layer norm is {verdict}");
    assert!(!softmax_is_right, "candle's softmax is {verdict}");
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
