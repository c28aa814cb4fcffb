//! From pixels to features: one architecture a file, one line in [`BACKBONES`].

/// A [`Sequence`] of these layers.
macro_rules! layers {
    ($($layer:expr),*) => { $crate::layer::Sequence::new(vec![$(Box::new($layer)),*]) };
}

mod c2f2;
mod c3f1;
mod init;
mod resnet18;

use crate::layer::Sequence;
use crate::parameters::{ParameterReader, ParameterSpec, Parameters};
use crate::{Error, InputShape, Precision, Result};

/// Every architecture that a config, a checkpoint or a command line can name.
pub static BACKBONES: &[&dyn Architecture] = &[&c2f2::C2f2, &c3f1::C3f1, &resnet18::Resnet18];

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

    /// Builds a network over tensors; its widths are theirs.
    ///
    /// # Errors
    /// If a parameter is missing or the shapes do not fit together.
    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone>;
}

/// A network without its final normalisation.
pub struct Backbone {
    /// Pixels (B, C, H, W) in [0, 1] → features (B, D). Mean and standard deviation, if any, are applied inside, so that
    /// a perturbation's epsilon is in pixel intensity.
    pub(crate) layers: Sequence,
    /// D, the number of features.
    pub(crate) dim: usize,
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

/// Builds `architecture` over `parameters`, once no name among them is foreign to it.
pub(crate) fn build(
    architecture: &dyn Architecture,
    parameters: &Parameters,
    precision: Precision,
    packed: bool,
) -> Result<Backbone> {
    let known: Vec<String> = architecture.specs().into_iter().map(|spec| spec.name).collect();
    if let Some((name, _)) = parameters.iter().find(|(name, _)| !known.iter().any(|known| known == name)) {
        let (backbone, name) = (architecture.name(), name.to_owned());
        return Err(Error::UnknownParameter { backbone, name, known: known.join(", ") });
    }
    architecture.build(&ParameterReader { backbone: architecture.name(), parameters, precision, packed })
}
