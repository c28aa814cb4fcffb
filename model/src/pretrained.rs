//! Published weights as the start of a net.
//!
//! A safetensors file is read whole, checked, and translated by the architecture from the names that torchvision, timm or
//! Hugging Face's `transformers` give to its tensors. The classifier is left out: the last layer starts fresh.

mod error;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use rand::RngCore;
use safetensors::tensor::SafeTensors;

pub use error::{Misfits, PretrainedError};

use crate::backbone::{Tensors, architecture};
use crate::checkpoint::hexadecimal_sha256;
use crate::{EmbeddingNet, ParameterSpec, Parameters, Result};

/// Longest file that is read: ten times the largest of our backbones.
const MAX_BYTES: u64 = 1 << 30;

/// The tensors of a published file, as f32 and finite, under its own names.
pub struct Published {
    tensors: Tensors,
    path: PathBuf,
    sha256: String,
}

impl Published {
    /// Reads a safetensors file of f64, f32, f16 or bf16 tensors; integers, such as batch counters, are left out.
    ///
    /// # Errors
    /// If the file cannot be read, is no safetensors file, has not the checksum `sha256` where one is given, or holds a
    /// value that is not finite.
    pub fn read(path: &Path, sha256: Option<&str>) -> Result<Self> {
        let bytes = read(path)?;
        let found = hexadecimal_sha256(&bytes);
        if let Some(expected) = sha256.filter(|expected| !expected.eq_ignore_ascii_case(&found)) {
            return Err(PretrainedError::Checksum { path: path.into(), expected: expected.into(), found }.into());
        }
        let broken = |source| PretrainedError::Safetensors { path: path.into(), source };
        SafeTensors::deserialize(&bytes).map_err(broken)?;
        let mut tensors = Tensors::new();
        for (name, tensor) in candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)? {
            if tensor.dtype().is_float() {
                let tensor = tensor.to_dtype(DType::F32)?;
                require_finite(&tensor, &name, path)?;
                tensors.insert(name, tensor);
            }
        }
        Ok(Self { tensors, path: path.into(), sha256: found })
    }

    /// Checksum of the file, 64 hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl EmbeddingNet {
    /// The network called `backbone` with published weights; its last layer, where the file has a classifier in its
    /// place, is drawn from `rng`.
    ///
    /// # Errors
    /// If no backbone has the name, or the file's tensors are not its parameters; the message lists what is missing, of
    /// another shape, or foreign.
    pub fn pretrained(
        backbone: &str,
        published: &Published,
        device: &Device,
        dtype: DType,
        rng: &mut dyn RngCore,
    ) -> Result<Self> {
        let architecture = architecture(backbone)?;
        let specs = architecture.specs();
        let mut tensors = architecture.adopt(published.tensors.clone())?;
        if let Some(head) = architecture.head() {
            let fresh: Vec<ParameterSpec> = specs
                .iter()
                .filter(|spec| is_of(head, &spec.name) && !tensors.contains_key(&spec.name))
                .cloned()
                .collect();
            let fresh = Parameters::init(&fresh, &Device::Cpu, DType::F32, rng)?;
            tensors.extend(fresh.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())));
        }
        let misfits = misfits(&specs, &tensors);
        if !misfits.is_empty() {
            let (path, backbone, misfits) = (published.path.clone(), architecture.name(), Box::new(misfits));
            return Err(PretrainedError::Misfits { path, backbone, misfits }.into());
        }
        Self::new(backbone, Parameters::new(tensors).to(device, dtype)?)
    }
}

/// Whether a parameter belongs to a layer.
fn is_of(layer: &str, parameter: &str) -> bool {
    parameter.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'))
}

/// What does not fit between the parameters that an architecture wants and those that there are.
fn misfits(specs: &[ParameterSpec], tensors: &Tensors) -> Misfits {
    let mut misfits = Misfits::default();
    for ParameterSpec { name, shape, .. } in specs {
        match tensors.get(name) {
            None => misfits.missing.push(name.clone()),
            Some(tensor) if tensor.dims() != shape => {
                misfits.misshapen.push(format!("{name} is {:?} and must be {shape:?}", tensor.dims()));
            }
            Some(_) => {}
        }
    }
    let known = |name: &str| specs.iter().any(|spec| spec.name == name);
    misfits.foreign = tensors.keys().filter(|name| !known(name)).cloned().collect();
    misfits
}

fn read(path: &Path) -> Result<Vec<u8>, PretrainedError> {
    let refused = |source| PretrainedError::Read { path: path.into(), source };
    let file = File::open(path).map_err(refused)?;
    let bytes = file.metadata().map_err(refused)?.len();
    if bytes > MAX_BYTES {
        return Err(PretrainedError::TooLong { path: path.into(), bytes, max_bytes: MAX_BYTES });
    }
    let mut content = Vec::new();
    // The file may grow while it is read.
    file.take(MAX_BYTES).read_to_end(&mut content).map_err(refused)?;
    Ok(content)
}

fn require_finite(tensor: &Tensor, name: &str, path: &Path) -> Result<()> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    let Some(position) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    let (path, name, value) = (path.into(), name.to_owned(), values[position]);
    Err(PretrainedError::NotFinite { path, name, position, value }.into())
}
