//! How PyTorch and torchvision start the layers that fresh backbones have.

use crate::{Init, ParameterSpec};

/// PyTorch's default for a layer: weight and bias uniform in ±1/√fan_in.
pub(super) fn uniform(name: &str, weight_shape: &[usize]) -> [ParameterSpec; 2] {
    let fan_in: usize = weight_shape[1..].iter().product();
    let init = Init::Uniform(1.0 / (fan_in as f64).sqrt());
    [trained(name, "weight", weight_shape, init), trained(name, "bias", &weight_shape[..1], init)]
}

/// A convolution without bias before a ReLU: normal with variance 2 / fan_out, fan_out = O·k·k ("He", "kaiming").
pub(super) fn he_normal(name: &str, weight_shape: &[usize]) -> [ParameterSpec; 1] {
    let fan_out = weight_shape[0] * weight_shape[2..].iter().product::<usize>();
    [trained(name, "weight", weight_shape, Init::Normal((2.0 / fan_out as f64).sqrt()))]
}

/// A convolution with a bias: weight normal with variance `gain` / fan_in, bias 0. A gain of 2 keeps the variance of
/// activations through a ReLU.
pub(super) fn scaled_normal(name: &str, weight_shape: &[usize], gain: f64) -> [ParameterSpec; 2] {
    let fan_in: usize = weight_shape[1..].iter().product();
    let init = Init::Normal((gain / fan_in as f64).sqrt());
    [trained(name, "weight", weight_shape, init), trained(name, "bias", &weight_shape[..1], Init::Constant(0.0))]
}

/// Batch normalisation that starts as the identity.
pub(super) fn batch_norm(name: &str, channels: usize) -> [ParameterSpec; 4] {
    let statistic = |suffix: &str, value: f64| ParameterSpec {
        trained: false,
        ..trained(name, suffix, &[channels], Init::Constant(value))
    };
    [
        trained(name, "weight", &[channels], Init::Constant(1.0)),
        trained(name, "bias", &[channels], Init::Constant(0.0)),
        statistic("running_mean", 0.0),
        statistic("running_var", 1.0),
    ]
}

/// Layer normalisation that starts as the identity.
pub(super) fn layer_norm(name: &str, features: usize) -> [ParameterSpec; 2] {
    [trained(name, "weight", &[features], Init::Constant(1.0)), trained(name, "bias", &[features], Init::Constant(0.0))]
}

/// A parameter that is no weight or bias of a layer.
pub(super) fn token(name: &str, shape: &[usize], init: Init) -> ParameterSpec {
    ParameterSpec { name: name.to_owned(), shape: shape.to_vec(), init, trained: true }
}

fn trained(name: &str, suffix: &str, shape: &[usize], init: Init) -> ParameterSpec {
    token(&format!("{name}.{suffix}"), shape, init)
}
