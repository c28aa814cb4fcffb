//! Named parameters, in sorted order.

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, Var};
use rand::{Rng, RngCore};
use std::collections::BTreeMap;

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
    /// The initial values are uniform in [-bound, bound].
    pub bound: f64,
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
            let values: Vec<f64> = (0..elements).map(|_| rng.random_range(-spec.bound..=spec.bound)).collect();
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

    /// Copies as variables, for an optimizer; the parameters share their storage.
    ///
    /// # Errors
    /// If a copy fails.
    pub fn trainable(&self) -> Result<(Self, Vec<(String, Var)>)> {
        let mut vars = Vec::with_capacity(self.len());
        for (name, tensor) in &self.0 {
            vars.push((name.clone(), Var::from_tensor(&tensor.detach().copy()?)?));
        }
        let tensors = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())).collect();
        Ok((Self(tensors), vars))
    }

    fn map(&self, convert: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let converted: Result<_> = self.0.iter().map(|(name, tensor)| Ok((name.clone(), convert(tensor)?))).collect();
        Ok(Self(converted?))
    }
}

/// Reads the parameters of one backbone, and names it in every error.
pub(crate) struct ParameterReader<'a> {
    pub(crate) backbone: &'static str,
    pub(crate) parameters: &'a Parameters,
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
