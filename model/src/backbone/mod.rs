//! From pixels to features: one architecture a file, one line in [`BACKBONES`].

/// A [`Sequence`] of these layers.
macro_rules! layers {
    ($($layer:expr),*) => { $crate::layer::Sequence::new(vec![$(Box::new($layer)),*]) };
}

mod c2f2;
mod c3f1;
mod candle_transformers;
mod head;
mod init;
mod mobilenet_v2;
mod resnet;
mod squeezenet;
mod vit;

use crate::layer::Sequence;
use crate::parameters::{ParameterReader, ParameterSpec, Parameters};
use crate::{Error, InputShape, Precision, Result};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::fmt;

/// Every architecture that a config, a checkpoint or a command line can name.
///
/// Outputs and gradients are compared with another implementation's in float64, at full size, but for `c3f1`:
///
/// | name | D | features | compared with | published weights tried |
/// |---|---|---|---|---|
/// | `c2f2` | 512 | 1024 | the authors' code | |
/// | `c3f1` | 128 | 2048 | central differences only | |
/// | `resnet18` | 512 | 512 | the authors' code | |
/// | `resnet50` | 512 | 2048 | torchvision | |
/// | `squeezenet1_1` | 512 | 512 | torchvision | forresti/SqueezeNet 1.1 |
/// | `mobilenet_v2` | 512 | 1280 | torchvision with TensorFlow's padding | Google's |
/// | `mobilenetv2_100` | 512 | 1280 | torchvision | |
/// | `deit_tiny_patch16_224` | 512 | 192 | torchvision | |
/// | `vit_small_patch16_224` | 512 | 384 | torchvision | |
/// | `dinov2_vits14` | 512 | 384 | torchvision with layer scale and interpolated positions | |
/// | `candle_…` | 512 | | central differences only; `candle_dinov2_vits14` with `dinov2_vits14` | |
///
/// D is the length of an embedding, features what the last linear layer takes.
pub static BACKBONES: &[&dyn Architecture] = &[
    &c2f2::C2f2,
    &c3f1::C3f1,
    &resnet::RESNET18,
    &resnet::RESNET50,
    &squeezenet::Squeezenet,
    &mobilenet_v2::MOBILENET_V2,
    &mobilenet_v2::MOBILENETV2_100,
    &vit::DEIT_TINY,
    &vit::VIT_SMALL,
    &vit::DINOV2_VITS14,
    &candle_transformers::CONVNEXT_ATTO,
    &candle_transformers::CONVNEXT_TINY,
    &candle_transformers::MOBILENETV4_SMALL,
    &candle_transformers::DINOV2_VITS14,
    &candle_transformers::VIT_BASE,
];

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// What nets that were trained on ImageNet take.
const PICTURE_224: InputShape = InputShape { channels: 3, height: 224, width: 224 };

/// Of ImageNet's pixels, as torchvision's weights expect.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// A kind of network: what it is called, what it takes, and how one is built.
pub trait Architecture: Send + Sync {
    /// The name in configs and checkpoints.
    fn name(&self) -> &'static str;

    /// One sentence: layers and source.
    fn description(&self) -> &'static str;

    /// The usual shape of one picture.
    fn input(&self) -> InputShape;

    /// Which other heights and widths a picture may have.
    fn sides(&self) -> Sides {
        Sides::Usual
    }

    /// Whether it has batch norms, which training may freeze or let live.
    fn has_batch_norm(&self) -> bool {
        false
    }

    /// The parameters of a fresh network of the usual size.
    fn specs(&self) -> Vec<ParameterSpec>;

    /// Builds a network over tensors; its widths are theirs.
    ///
    /// # Errors
    /// If a parameter is missing or the shapes do not fit together.
    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone>;

    /// The tensors of a published weight file under this architecture's names, without what it has no use for, such as
    /// the classifier.
    ///
    /// # Errors
    /// If tensors that belong together do not fit together.
    fn adopt(&self, published: Tensors) -> candle_core::Result<Tensors> {
        Ok(published)
    }

    /// Why gradients of it are wrong, if they are: it is for inference only then.
    fn inference_only(&self) -> Option<&'static str> {
        None
    }

    /// The layer in the place of a published classifier, which may start fresh when all else is pretrained.
    fn head(&self) -> Option<&'static str> {
        None
    }
}

/// The heights and widths that an architecture takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// Those of [`Architecture::input`] and no others.
    Usual,
    /// Every multiple of this from 32 to 1024 pixels.
    MultiplesOf(usize),
}

impl Sides {
    /// Whether a picture may have this height or width, where `usual` is the usual one.
    pub fn allow(self, side: usize, usual: usize) -> bool {
        match self {
            Self::Usual => side == usual,
            Self::MultiplesOf(unit) => (32..=1024).contains(&side) && side.is_multiple_of(unit),
        }
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usual => write!(f, "the usual ones only"),
            Self::MultiplesOf(1) => write!(f, "from 32 to 1024"),
            Self::MultiplesOf(unit) => write!(f, "from 32 to 1024 and multiples of {unit}"),
        }
    }
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

/// An error unless `architecture` takes pictures of this shape.
pub(crate) fn check_input(architecture: &dyn Architecture, input: InputShape) -> Result<()> {
    let (usual, sides) = (architecture.input(), architecture.sides());
    let fits = input.channels == usual.channels
        && sides.allow(input.height, usual.height)
        && sides.allow(input.width, usual.width);
    if fits {
        return Ok(());
    }
    Err(Error::InputShape { backbone: architecture.name(), input, usual, sides })
}

/// The names of all architectures.
pub fn names() -> Vec<&'static str> {
    BACKBONES.iter().map(|architecture| architecture.name()).collect()
}

/// The names of the architectures with batch norms, in words.
pub fn with_batch_norm() -> String {
    let with = BACKBONES.iter().filter(|architecture| architecture.has_batch_norm());
    with.map(|architecture| architecture.name()).collect::<Vec<_>>().join(", ")
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
