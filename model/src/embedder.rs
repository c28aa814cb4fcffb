//! From pixels to unit vectors.

use crate::backbone::{self, Architecture, Backbone, architecture};
use crate::distance::{normalize, normalize_with_pullback};
use crate::layer::{Layer, chain};
use crate::{BatchNorm, Error, Parameters, Precision, Result, parts, tape};
use candle_core::{DType, Device, Tensor, Var};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroUsize;

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

    /// The embedder that an attack differentiates in this one's stead, where `precision` asks for another arithmetic.
    ///
    /// # Errors
    /// If this embedder does not know that arithmetic, or a tensor operation fails.
    fn in_precision(&self, precision: Precision) -> Result<Option<Box<dyn Embedder>>> {
        match precision {
            Precision::F32 => Ok(None),
            Precision::Bf16 => Err(Error::Precision { precision }),
        }
    }
}

/// A backbone and its parameters; its output, normalised, is the embedding.
///
/// Over tracked parameters [`embed`](Embedder::embed) builds candle's graph, for training; so does
/// [`embed_in_training`](EmbeddingNet::embed_in_training), the only pass that may change the net: its batch norms'
/// running statistics, where they are [live](EmbeddingNet::with_batch_norm). Over others the gradient of the
/// pixels takes the layers' own way back and candle sees one node, which can be differentiated once: that is what
/// attacks use.
pub struct EmbeddingNet {
    architecture: &'static dyn Architecture,
    backbone: Backbone,
    parameters: Parameters,
    precision: Precision,
    packed: bool,
    /// How many pictures' activations a training pass holds at a time.
    part: usize,
    batch_norm: BatchNorm,
    input: InputShape,
    dtype: DType,
    device: Device,
}

impl EmbeddingNet {
    /// The network called `backbone` over these tensors. Its widths are theirs.
    ///
    /// `num_batches_tracked`, which PyTorch's batch norms carry and which means nothing to frozen ones, is left out.
    ///
    /// # Errors
    /// If no backbone has the name, or a parameter is missing, foreign, or of a shape that does not fit.
    pub fn new(backbone: &str, parameters: Parameters) -> Result<Self> {
        let architecture = architecture(backbone)?;
        let parameters = parameters.without(".num_batches_tracked");
        Self::build(architecture, parameters, Precision::F32, false, architecture.input())
    }

    fn build(
        architecture: &'static dyn Architecture,
        parameters: Parameters,
        precision: Precision,
        packed: bool,
        input: InputShape,
    ) -> Result<Self> {
        let backbone = backbone::build(architecture, &parameters, precision, packed)?;
        let (_, any) = parameters.iter().next().expect("a backbone that was built has a parameter. This is a bug.");
        let (dtype, device) = (any.dtype(), any.device().clone());
        let (part, batch_norm) = (usize::MAX, BatchNorm::Frozen);
        Ok(Self { architecture, backbone, parameters, precision, packed, part, batch_norm, input, dtype, device })
    }

    /// A fresh network: every parameter is drawn from `rng`, in the order of the names.
    ///
    /// # Errors
    /// If no backbone has the name.
    pub fn init(backbone: &str, device: &Device, dtype: DType, rng: &mut dyn RngCore) -> Result<Self> {
        Self::new(backbone, Parameters::init(&architecture(backbone)?.specs(), device, dtype, rng)?)
    }

    /// The same network for pictures of another height and width.
    ///
    /// # Errors
    /// If the architecture cannot take them.
    pub fn with_input(self, input: InputShape) -> Result<Self> {
        backbone::check_input(self.architecture, input)?;
        Ok(Self { input, ..self })
    }

    /// A copy whose trained parameters are variables, and the variables, sorted by name, for an optimizer.
    ///
    /// # Errors
    /// If the architecture is for inference only, or a copy fails.
    pub fn trainable(&self) -> Result<(Self, Vec<(String, Var)>)> {
        self.require_gradients()?;
        let specs = self.architecture.specs();
        let is_trained = |name: &str| specs.iter().any(|spec| spec.name == name && spec.trained);
        let (parameters, vars) = self.parameters.trainable(is_trained)?;
        Ok((Self::build(self.architecture, parameters, Precision::F32, false, self.input)?, vars))
    }

    /// The same network, that in training holds the activations of `pictures` pictures at a time instead of all of a batch.
    ///
    /// Memory falls with the activations, for one more forward pass. Sums of gradients are taken in another order.
    #[must_use]
    pub fn in_parts(self, pictures: NonZeroUsize) -> Self {
        Self { part: pictures.get(), ..self }
    }

    /// The same network, whose batch norms take part so in [training passes](Self::embed_in_training). Copies of it, frozen or
    /// trainable, have them frozen.
    ///
    /// # Errors
    /// If they are to be live and the architecture has none.
    pub fn with_batch_norm(self, batch_norm: BatchNorm) -> Result<Self> {
        if batch_norm == BatchNorm::Live && !self.architecture.has_batch_norm() {
            return Err(Error::NoBatchNorm { backbone: self.architecture.name(), with: backbone::with_batch_norm() });
        }
        Ok(Self { batch_norm, ..self })
    }

    /// What its batch norms do in [training passes](Self::embed_in_training).
    pub fn batch_norm(&self) -> BatchNorm {
        self.batch_norm
    }

    /// The same network over untracked tensors that share storage with this one.
    ///
    /// It sees every later update of this one's variables, and a backward pass through it computes no weight gradient:
    /// what an attack inside a training step needs.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn frozen(&self) -> Result<Self> {
        Self::build(self.architecture, self.parameters.detached(), Precision::F32, false, self.input)
    }

    /// The same network over untracked tensors that no longer change: it lays its weights out for products once, when each
    /// is first needed, instead of in every pass.
    ///
    /// What serves, or is attacked for many steps. Of later updates of this one's variables it sees some and misses others.
    /// It holds a copy of the weights for the embeddings and, once pixels have had a gradient, another.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn packed(&self) -> Result<Self> {
        Self::build(self.architecture, self.parameters.detached(), self.precision, true, self.input)
    }

    /// The same network over untracked tensors, for attacks in this precision.
    ///
    /// Weights that the precision rounds are rounded here, once: of later updates it sees only the others'.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn frozen_in(&self, precision: Precision) -> Result<Self> {
        Self::build(self.architecture, self.parameters.detached(), precision, self.packed, self.input)
    }

    /// The same network with other numbers behind it.
    ///
    /// # Errors
    /// If a conversion or a transfer fails.
    pub fn to(&self, device: &Device, dtype: DType) -> Result<Self> {
        Self::build(self.architecture, self.parameters.to(device, dtype)?, Precision::F32, false, self.input)
    }

    /// Pixels (B, C, H, W) in [0, 1] → embeddings (B, D), unit rows, in a forward pass of a training step.
    ///
    /// [`embed`](Embedder::embed), unless batch norms are live: then they normalise by the statistics of these pixels, and
    /// their running ones are updated, once a pass. Nets that share storage see that.
    ///
    /// # Errors
    /// As [`embed`](Embedder::embed), or if live batch norms would see the pixels [in parts](Self::in_parts).
    pub fn embed_in_training(&self, pixels: &Tensor) -> Result<Tensor> {
        if self.batch_norm == BatchNorm::Frozen {
            return self.embed(pixels);
        }
        self.check(pixels)?;
        if pixels.dims().first() > Some(&self.part) {
            return Err(Error::LiveBatchInParts { pictures: pixels.dims()[0], part: self.part });
        }
        normalize(&self.backbone.layers.train(pixels)?)
    }

    /// Pixels (B, C, H, W) in [0, 1] → the backbone's features (B, D), not normalised, with candle's graph.
    ///
    /// # Errors
    /// If the pixels have another shape, or a tensor operation fails.
    pub fn raw(&self, pixels: &Tensor) -> Result<Tensor> {
        self.check(pixels)?;
        Ok(self.backbone.layers.forward(pixels)?)
    }

    fn require_gradients(&self) -> Result<()> {
        match self.architecture.inference_only() {
            Some(reason) => Err(Error::InferenceOnly { backbone: self.architecture.name(), reason }),
            None => Ok(()),
        }
    }

    fn check(&self, pixels: &Tensor) -> Result<()> {
        if pixels.track_op() {
            self.require_gradients()?;
        }
        let InputShape { channels, height, width } = self.input();
        if pixels.rank() == 4 && pixels.dims()[1..] == [channels, height, width] {
            return Ok(());
        }
        let (backbone, expected) = (self.architecture.name(), self.input());
        Err(Error::PixelShape { backbone, expected, found: pixels.dims().to_vec() })
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
        // Without a gradient to come, the layers' plain way computes the same and keeps nothing.
        let plain = self.precision == Precision::F32 && !pixels.track_op();
        let tracked = self.parameters.tracked();
        if tracked && !pixels.track_op() && pixels.dims().first() > Some(&self.part) {
            self.check(pixels)?;
            return parts::embed(&self.backbone.layers, &self.parameters, pixels, self.part);
        }
        if plain || tracked {
            return normalize(&self.raw(pixels)?);
        }
        self.check(pixels)?;
        let (features, to_pixels) = self.backbone.layers.differentiate(&pixels.detach())?;
        let (embeddings, to_features) = normalize_with_pullback(&features)?;
        Ok(tape::node(pixels, embeddings, chain(to_pixels, to_features))?)
    }

    fn input(&self) -> InputShape {
        self.input
    }

    fn dim(&self) -> usize {
        self.backbone.dim
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn in_precision(&self, precision: Precision) -> Result<Option<Box<dyn Embedder>>> {
        if precision == self.precision {
            return Ok(None);
        }
        Ok(Some(Box::new(self.frozen_in(precision)?)))
    }
}

impl fmt::Debug for EmbeddingNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddingNet({}, {} parameters)", self.architecture.name(), self.parameters.elements())
    }
}
