//! From pixels to features: one architecture a file, one line in [`BACKBONES`].

mod c2f2;
mod c3f1;
mod layers;

use crate::parameters::{ParameterReader, ParameterSpec, Parameters};
use crate::{Error, InputShape, Result};
use candle_core::Tensor;

/// Every architecture that a config, a checkpoint or a command line can name.
pub static BACKBONES: &[&dyn Architecture] = &[&c2f2::C2f2, &c3f1::C3f1];

/// A kind of network: what it is called, what it takes, and how one is built.
pub trait Architecture: Send + Sync {
    /// The name in configs and checkpoints.
    fn name(&self) -> &'static str;

    /// One sentence: layers and source.
    fn description(&self) -> &'static str;

    /// The shape of one picture.
    fn input(&self) -> InputShape;

    /// The parameters of a fresh network of the usual size.
    fn specs(&self) -> Vec<ParameterSpec>;

    /// Builds a network over the tensors of `parameters`; its widths are those of the tensors.
    ///
    /// # Errors
    /// If a parameter is missing or the shapes do not fit together.
    fn build(&self, parameters: &Parameters) -> Result<Box<dyn Backbone>>;
}

/// A network without its final normalisation.
pub trait Backbone: Send + Sync {
    /// Pixels (B, C, H, W) in [0, 1] → features (B, D). Mean and standard deviation, if any, are applied inside, so that
    /// a perturbation's epsilon is in pixel intensity. Differentiable in pixels and parameters.
    ///
    /// # Errors
    /// If a tensor operation fails.
    fn forward(&self, pixels: &Tensor) -> Result<Tensor>;

    /// D, the number of features.
    fn dim(&self) -> usize;
}

/// The architecture called `name`.
///
/// # Errors
/// If there is none; the message lists the names.
pub fn architecture(name: &str) -> Result<&'static dyn Architecture> {
    let found = BACKBONES.iter().find(|architecture| architecture.name() == name);
    found.copied().ok_or_else(|| Error::UnknownBackbone { name: name.to_owned(), known: names().join(", ") })
}

/// The names of all architectures.
pub fn names() -> Vec<&'static str> {
    BACKBONES.iter().map(|architecture| architecture.name()).collect()
}

/// A reader over `parameters`, once no name among them is foreign to `architecture`.
fn reader<'a>(architecture: &dyn Architecture, parameters: &'a Parameters) -> Result<ParameterReader<'a>> {
    let known: Vec<String> = architecture.specs().into_iter().map(|spec| spec.name).collect();
    match parameters.iter().find(|(name, _)| !known.iter().any(|known| known == name)) {
        Some((name, _)) => {
            let (backbone, name) = (architecture.name(), name.to_owned());
            Err(Error::UnknownParameter { backbone, name, known: known.join(", ") })
        }
        None => Ok(ParameterReader { backbone: architecture.name(), parameters }),
    }
}
