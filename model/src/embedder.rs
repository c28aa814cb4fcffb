//! From pixels to unit vectors.

use crate::backbone::{Architecture, Backbone, architecture};
use crate::distance::normalize;
use crate::{Error, Parameters, Result};
use candle_core::{DType, Device, Tensor, Var};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The shape of one picture: channels, then height and width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputShape {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl InputShape {
    /// Values of one picture.
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether a picture would hold no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Display for InputShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.channels, self.height, self.width)
    }
}

/// Anything that turns pixels into embeddings on the unit sphere.
///
/// An embedder has inference behaviour only: nothing that an attack or a query does to it changes it.
pub trait Embedder: Send + Sync {
    /// Pixels (B, C, H, W) in [0, 1] → embeddings (B, D), unit rows. Differentiable in `pixels`.
    ///
    /// # Errors
    /// If the pixels have another shape than [`Embedder::input`], or a tensor operation fails.
    fn embed(&self, pixels: &Tensor) -> Result<Tensor>;

    /// The shape of one picture.
    fn input(&self) -> InputShape;

    /// D, the length of an embedding.
    fn dim(&self) -> usize;

    /// The element type that pixels must have.
    fn dtype(&self) -> DType;

    /// The device that pixels must be on.
    fn device(&self) -> &Device;
}

/// A backbone and its parameters; its output, normalised, is the embedding.
pub struct EmbeddingNet {
    architecture: &'static dyn Architecture,
    backbone: Box<dyn Backbone>,
    parameters: Parameters,
    dtype: DType,
    device: Device,
}

impl EmbeddingNet {
    /// The network called `backbone` over these tensors. Its widths are theirs.
    ///
    /// # Errors
    /// If no backbone has the name, or a parameter is missing, foreign, or of a shape that does not fit.
    pub fn new(backbone: &str, parameters: Parameters) -> Result<Self> {
        let architecture = architecture(backbone)?;
        let backbone = architecture.build(&parameters)?;
        let (_, any) = parameters.iter().next().expect("a backbone that was built has a parameter. This is a bug.");
        let (dtype, device) = (any.dtype(), any.device().clone());
        Ok(Self { architecture, backbone, parameters, dtype, device })
    }

    /// A fresh network: every parameter is drawn from `rng`, in the order of the names.
    ///
    /// # Errors
    /// If no backbone has the name.
    pub fn init(backbone: &str, device: &Device, dtype: DType, rng: &mut dyn RngCore) -> Result<Self> {
        Self::new(backbone, Parameters::init(&architecture(backbone)?.specs(), device, dtype, rng)?)
    }

    /// A copy whose parameters are variables, and the variables, sorted by name, for an optimizer.
    ///
    /// # Errors
    /// If a copy fails.
    pub fn trainable(&self) -> Result<(Self, Vec<(String, Var)>)> {
        let (parameters, vars) = self.parameters.trainable()?;
        Ok((Self::new(self.architecture.name(), parameters)?, vars))
    }

    /// The same network over untracked tensors that share storage with this one.
    ///
    /// It sees every later update of this one's variables, and a backward pass through it computes no weight gradient:
    /// what an attack inside a training step needs.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn frozen(&self) -> Result<Self> {
        Self::new(self.architecture.name(), self.parameters.detached())
    }

    /// The same network with other numbers behind it.
    ///
    /// # Errors
    /// If a conversion or a transfer fails.
    pub fn to(&self, device: &Device, dtype: DType) -> Result<Self> {
        Self::new(self.architecture.name(), self.parameters.to(device, dtype)?)
    }

    /// Pixels (B, C, H, W) in [0, 1] → the backbone's features (B, D), not normalised.
    ///
    /// # Errors
    /// If the pixels have another shape, or a tensor operation fails.
    pub fn raw(&self, pixels: &Tensor) -> Result<Tensor> {
        let InputShape { channels, height, width } = self.input();
        if pixels.rank() != 4 || pixels.dims()[1..] != [channels, height, width] {
            let (backbone, expected) = (self.architecture.name(), self.input());
            return Err(Error::PixelShape { backbone, expected, found: pixels.dims().to_vec() });
        }
        self.backbone.forward(pixels)
    }

    /// The name of the architecture.
    pub fn backbone_name(&self) -> &'static str {
        self.architecture.name()
    }

    /// Its parameters, sorted by name.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

impl Embedder for EmbeddingNet {
    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        normalize(&self.raw(pixels)?)
    }

    fn input(&self) -> InputShape {
        self.architecture.input()
    }

    fn dim(&self) -> usize {
        self.backbone.dim()
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

impl fmt::Debug for EmbeddingNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddingNet({}, {} parameters)", self.architecture.name(), self.parameters.elements())
    }
}
