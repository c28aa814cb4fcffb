//! Named parameters, in sorted order.

use crate::{Error, Precision, Result};
use candle_core::{DType, Device, Tensor, Var};
use holdfast_ops::Weight;
use rand::{Rng, RngCore};
use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// Name → tensor, sorted by name, so that everything that walks over parameters does so in one order.
#[derive(Clone, Debug, Default)]
pub struct Parameters(BTreeMap<String, Tensor>);

/// The shape and the initialisation of one parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// The name in the weight file, as PyTorch would write it: `conv1.weight`.
    pub name: String,
    /// The shape.
    pub shape: Vec<usize>,
    /// Where its first values come from.
    pub init: Init,
    /// Whether an optimizer moves it; running statistics stay as they are.
    pub trained: bool,
}

/// The first values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform in [-bound, bound].
    Uniform(f64),
    /// Normal around 0 with this standard deviation.
    Normal(f64),
    /// All the same.
    Constant(f64),
}

impl Init {
    fn draw(self, rng: &mut dyn RngCore) -> f64 {
        match self {
            Self::Uniform(bound) => rng.random_range(-bound..=bound),
            Self::Normal(deviation) => deviation * standard_normal(rng),
            Self::Constant(value) => value,
        }
    }
}

/// Box and Muller's transform of two uniform draws. It wastes its second result, so that it has no state.
fn standard_normal(rng: &mut dyn RngCore) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos()
}

impl Parameters {
    /// Takes the tensors as they are.
    pub fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        Self(tensors)
    }

    /// Draws every parameter of `specs`, in the order of their names, from `rng`.
    ///
    /// # Errors
    /// If the device is out of memory.
    pub fn init(specs: &[ParameterSpec], device: &Device, dtype: DType, rng: &mut dyn RngCore) -> Result<Self> {
        let mut sorted: Vec<&ParameterSpec> = specs.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let mut tensors = BTreeMap::new();
        for spec in sorted {
            let elements = spec.shape.iter().product();
            let values: Vec<f64> = (0..elements).map(|_| spec.init.draw(rng)).collect();
            let tensor = Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?;
            tensors.insert(spec.name.clone(), tensor.to_dtype(dtype)?.to_device(device)?);
        }
        Ok(Self(tensors))
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many numbers there are in all tensors together.
    pub fn elements(&self) -> usize {
        self.0.values().map(Tensor::elem_count).sum()
    }

    /// The same values as `dtype` on `device`.
    ///
    /// # Errors
    /// If a conversion or a transfer fails.
    pub fn to(&self, device: &Device, dtype: DType) -> Result<Self> {
        self.map(|tensor| Ok(tensor.to_dtype(dtype)?.to_device(device)?))
    }

    /// The same storages, untracked: no gradient reaches them, yet they see what an optimizer writes later.
    pub fn detached(&self) -> Self {
        Self(self.0.iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect())
    }

    /// Copies, those that `is_trained` as variables, for an optimizer, the rest untracked; the parameters share the variables'
    /// storage.
    ///
    /// # Errors
    /// If a copy fails.
    pub fn trainable(&self, is_trained: impl Fn(&str) -> bool) -> Result<(Self, Vec<(String, Var)>)> {
        let (mut vars, mut tensors) = (Vec::with_capacity(self.len()), BTreeMap::new());
        for (name, tensor) in &self.0 {
            let copy = if is_trained(name) {
                let var = Var::from_tensor(&tensor.detach())?;
                vars.push((name.clone(), var.clone()));
                var.as_tensor().clone()
            } else {
                tensor.detach().copy()?
            };
            tensors.insert(name.clone(), copy);
        }
        Ok((Self(tensors), vars))
    }

    /// Whether a gradient can reach any of them.
    pub fn tracked(&self) -> bool {
        self.0.values().any(Tensor::track_op)
    }

    /// Without those whose name ends in `suffix`.
    pub(crate) fn without(mut self, suffix: &str) -> Self {
        self.0.retain(|name, _| !name.ends_with(suffix));
        self
    }

    fn map(&self, convert: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let converted: Result<_> = self.0.iter().map(|(name, tensor)| Ok((name.clone(), convert(tensor)?))).collect();
        Ok(Self(converted?))
    }
}

/// Reads the parameters of one backbone, and names it in every error.
pub struct ParameterReader<'a> {
    pub(crate) backbone: &'static str,
    pub(crate) parameters: &'a Parameters,
    /// What layers compute in.
    pub(crate) precision: Precision,
    /// Whether weights are laid out for products once, because they no longer change, instead of in every pass.
    pub(crate) packed: bool,
}

impl ParameterReader<'_> {
    /// A parameter with `rank` axes.
    pub(crate) fn read(&self, name: &str, rank: usize) -> Result<Tensor> {
        let missing = || Error::MissingParameter { backbone: self.backbone, name: name.to_owned() };
        let tensor = self.parameters.get(name).ok_or_else(missing)?;
        self.check(name, tensor, tensor.rank() == rank && tensor.elem_count() > 0, || {
            format!("a tensor of {rank} axes, none empty")
        })?;
        Ok(tensor.clone())
    }

    /// A vector of `length` values.
    pub(crate) fn vector(&self, name: &str, length: usize) -> Result<Tensor> {
        let vector = self.read(name, 1)?;
        self.check(name, &vector, vector.dims() == [length], || format!("({length})"))?;
        Ok(vector)
    }

    /// The weight (O, channels, k, k) of a convolution with k odd, and the padding k / 2 that keeps a picture's size.
    pub(crate) fn kernel(&self, name: &str, channels: usize) -> Result<(Tensor, usize)> {
        let weight = self.read(name, 4)?;
        let (_, weight_channels, height, width) = weight.dims4()?;
        let fits = weight_channels == channels && height == width && height % 2 == 1;
        self.check(name, &weight, fits, || format!("(outputs, {channels}, k, k) with k odd"))?;
        Ok((weight, height / 2))
    }

    /// A parameter that a product multiplies by, in the layers' precision.
    pub(crate) fn weight(&self, parameter: &Tensor) -> Result<Weight> {
        let weight = self.precision.round(parameter)?;
        Ok(if self.packed { Weight::packed(weight) } else { weight.into() })
    }

    /// An error that names the parameter unless `fits`.
    pub(crate) fn check(
        &self,
        name: &str,
        tensor: &Tensor,
        fits: bool,
        expected: impl FnOnce() -> String,
    ) -> Result<()> {
        if fits {
            return Ok(());
        }
        let (backbone, name, found) = (self.backbone, name.to_owned(), tensor.dims().to_vec());
        Err(Error::ParameterShape { backbone, name, expected: expected(), found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn normal_draws_have_the_moments_and_the_tails_of_the_normal_distribution() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        let count = 200_000;

        let draws: Vec<f64> = (0..count).map(|_| standard_normal(rng)).collect();

        let share =
            |inside: &dyn Fn(f64) -> bool| draws.iter().filter(|&&x| inside(x)).count() as f64 / f64::from(count);
        let moment = |power: i32| draws.iter().map(|x| x.powi(power)).sum::<f64>() / f64::from(count);
        // Four standard deviations of each estimate.
        assert!(moment(1).abs() < 0.009 && (moment(2) - 1.0).abs() < 0.0127 && moment(3).abs() < 0.035);
        assert!((share(&|x| x.abs() < 1.0) - 0.6827).abs() < 0.0042);
        assert!((share(&|x| x.abs() > 2.0) - 0.0455).abs() < 0.0019);
        assert!((share(&|x| x.abs() > 3.0) - 0.0027).abs() < 0.000_47);
    }
}
