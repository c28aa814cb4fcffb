//! The layers that backbones are made of: shapes are read from the parameters and checked against each other.

use crate::Result;
use crate::parameters::{ParameterReader, ParameterSpec};
use candle_core::Tensor;

/// A convolution with a bias. Weight (O, C, k, k).
pub(crate) struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// Reads `{name}.weight` and `{name}.bias`; the weight must take `channels` and keep its kernel odd and square.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, channels: usize, stride: usize) -> Result<Self> {
        let (weight_name, bias_name) = (format!("{name}.weight"), format!("{name}.bias"));
        let weight = from.read(&weight_name, 4)?;
        let (outputs, weight_channels, kernel, width) = weight.dims4()?;
        let fits = weight_channels == channels && kernel == width && kernel % 2 == 1;
        from.check(&weight_name, &weight, fits, || format!("(outputs, {channels}, k, k) with k odd"))?;
        let bias = from.read(&bias_name, 1)?;
        from.check(&bias_name, &bias, bias.dims() == [outputs], || format!("({outputs})"))?;
        Ok(Self { weight, bias, stride, padding: kernel / 2 })
    }

    /// Convolution, 2×2 max pooling, ReLU: (B, C, H, W) → (B, O, ⌈H / stride⌉ / 2, ⌈W / stride⌉ / 2)
    ///
    /// ReLU and pooling may swap places: either way only a positive maximum of a window passes.
    pub(crate) fn pool_relu(&self, x: &Tensor) -> Result<Tensor> {
        Ok(holdfast_ops::conv2d_pool_relu(x, &self.weight, Some(&self.bias), self.stride, self.padding)?)
    }

    /// Output channels.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }
}

/// A linear layer with a bias. Weight (O, I).
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Reads `{name}.weight` and `{name}.bias`; the weight must take `inputs` features.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, inputs: usize) -> Result<Self> {
        let (weight_name, bias_name) = (format!("{name}.weight"), format!("{name}.bias"));
        let weight = from.read(&weight_name, 2)?;
        let (outputs, weight_inputs) = weight.dims2()?;
        from.check(&weight_name, &weight, weight_inputs == inputs, || format!("(outputs, {inputs})"))?;
        let bias = from.read(&bias_name, 1)?;
        from.check(&bias_name, &bias, bias.dims() == [outputs], || format!("({outputs})"))?;
        Ok(Self { weight, bias })
    }

    /// (B, I) → (B, O)
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(holdfast_ops::linear(x, &self.weight, Some(&self.bias))?)
    }

    /// Output features.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }
}

/// PyTorch's default initialisation of a layer: weight and bias uniform in ±1/√fan_in.
pub(crate) fn specs(name: &str, weight_shape: &[usize]) -> [ParameterSpec; 2] {
    let fan_in: usize = weight_shape[1..].iter().product();
    let bound = 1.0 / (fan_in as f64).sqrt();
    let spec = |suffix: &str, shape: &[usize]| ParameterSpec {
        name: format!("{name}.{suffix}"),
        shape: shape.to_vec(),
        bound,
    };
    [spec("weight", weight_shape), spec("bias", &weight_shape[..1])]
}
