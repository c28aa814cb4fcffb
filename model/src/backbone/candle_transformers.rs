//! Image models of candle-transformers, with a linear head of ours.
//!
//! A model is built anew for every pass: some compute on their parameters while they are built (a batch norm folded into a
//! convolution, copied statistics), and would miss what an optimizer writes later. Gradients are candle's. Where those are
//! wrong, silently, the model is for inference only; `model/tests/candle_transformers.rs` decides which.

mod layer;

use std::collections::BTreeMap;

use candle_core::{Module, Tensor, bail};
use candle_nn::VarBuilder;
use candle_transformers::models::{convnext, dinov2, mobilenetv4, vit};

use super::head::{self, HEAD};
use super::{Architecture, Backbone, IMAGENET_DEVIATION, IMAGENET_MEAN, PICTURE_224, Sides, Tensors};
use crate::layer::Linear;
use crate::parameters::ParameterReader;
use crate::{Error, InputShape, ParameterSpec, Precision, Result};
use layer::CandleLayer;

pub(super) static CONVNEXT_ATTO: CandleModel = CandleModel {
    name: "candle_convnext_atto",
    description: "ConvNeXt-Atto of candle-transformers, after Liu et al., arXiv 2201.03545, under timm's names: mean of 320 \
                  features, linear 512; 224×224 RGB",
    build: |from| {
        let model = convnext::convnext_no_final_layer(&convnext::Config::atto(), from)?;
        Ok(Box::new(move |pixels| model.forward(pixels)))
    },
    features: 320,
    lacks: ".grn.",
    unused: &["head."],
    ..MODEL
};

pub(super) static CONVNEXT_TINY: CandleModel = CandleModel {
    name: "candle_convnext_tiny",
    description: "ConvNeXt-T of candle-transformers, after Liu et al., arXiv 2201.03545, under timm's names: mean of 768 \
                  features, linear 512; 224×224 RGB",
    build: |from| {
        let model = convnext::convnext_no_final_layer(&convnext::Config::tiny(), from)?;
        Ok(Box::new(move |pixels| model.forward(pixels)))
    },
    features: 768,
    lacks: ".grn.",
    unused: &["head."],
    ..MODEL
};

pub(super) static MOBILENETV4_SMALL: CandleModel = CandleModel {
    name: "candle_mobilenetv4_conv_small",
    description: "MobileNetV4-Conv-S of candle-transformers, after Qin et al., arXiv 2404.10518, under timm's names: frozen \
                  batch norm, mean of 960 features, linear 512; 224×224 RGB",
    build: |from| {
        let model = mobilenetv4::mobilenetv4_no_final_layer(&mobilenetv4::Config::small(), from)?;
        Ok(Box::new(move |pixels| model.forward(pixels)?.flatten_from(1)))
    },
    features: 960,
    lacks: ".layer_scale.",
    unused: &["conv_head.", "norm_head.", "classifier."],
    ..MODEL
};

pub(super) static DINOV2_VITS14: CandleModel = CandleModel {
    name: "candle_dinov2_vits14",
    description: "DINOv2 ViT-S/14 of candle-transformers, after Oquab et al., arXiv 2304.07193, under the release's names, for \
                  inference only: class token of 384 features, linear 512; 224×224 RGB",
    build: |from| {
        let model = dinov2::vit_small(from)?;
        Ok(Box::new(move |pixels| model.forward(pixels)?.narrow(1, 0, 384)?.contiguous()))
    },
    features: 384,
    sides: Sides::MultiplesOf(14),
    classifier: Some("head"),
    unused: &["head.", "mask_token"],
    inference_only: Some("its layer norms pass no gradient on; train dinov2_vits14, which takes the same weights"),
    ..MODEL
};

pub(super) static VIT_BASE: CandleModel = CandleModel {
    name: "candle_vit_base_patch16_224",
    description: "ViT-B/16 of candle-transformers, after Dosovitskiy et al., arXiv 2010.11929, under the names of Hugging Face's \
                  transformers, for inference only: class token of 768 features, linear 512; 224×224 RGB in [−1, 1]",
    build: |from| {
        let config = vit::Config::vit_base_patch16_224();
        let model = vit::Model::new(&config, config.hidden_size, from)?;
        Ok(Box::new(move |pixels| model.forward(pixels)))
    },
    features: 768,
    sides: Sides::Usual,
    mean: [0.5; 3],
    deviation: [0.5; 3],
    classifier: Some("classifier"),
    unused: &["classifier.", "pooler.", "vit.pooler."],
    inference_only: Some(
        "its layer norms and its softmax pass no gradient on; vit_small_patch16_224 is of layers that do",
    ),
    ..MODEL
};

/// What most of them have in common.
const MODEL: CandleModel = CandleModel {
    name: "",
    description: "",
    build: |_| bail!("no model. This is a bug."),
    features: 0,
    sides: Sides::MultiplesOf(32),
    mean: IMAGENET_MEAN,
    deviation: IMAGENET_DEVIATION,
    lacks: "\0",
    classifier: None,
    unused: &[],
    inference_only: None,
};

/// Pixels, scaled, (B, 3, H, W) → features (B, F).
type Features = Box<dyn Fn(&Tensor) -> candle_core::Result<Tensor>>;

/// A model of candle-transformers as an architecture.
#[derive(Clone, Copy)]
pub(super) struct CandleModel {
    name: &'static str,
    description: &'static str,
    /// Builds it over named tensors.
    build: fn(VarBuilder<'_>) -> candle_core::Result<Features>,
    /// F.
    features: usize,
    sides: Sides,
    mean: [f32; 3],
    deviation: [f32; 3],
    /// Part of the names that candle-transformers tries and this variant has not.
    lacks: &'static str,
    /// The classifier, where the model cannot do without: it gets the identity for its weight, and so hands features on.
    classifier: Option<&'static str>,
    /// How the names begin that a published file has and the features do not need.
    unused: &'static [&'static str],
    inference_only: Option<&'static str>,
}

impl Architecture for CandleModel {
    fn name(&self) -> &'static str {
        self.name
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn input(&self) -> InputShape {
        PICTURE_224
    }

    fn sides(&self) -> Sides {
        self.sides
    }

    fn inference_only(&self) -> Option<&'static str> {
        self.inference_only
    }

    /// Those that candle-transformers asks for while it builds the model, with its initialisation.
    fn specs(&self) -> Vec<ParameterSpec> {
        let specs = layer::asked_for(self);
        let mut specs = specs.expect("candle-transformers asks for parameters by shape. This is a bug.");
        specs.extend(head::specs(self.features));
        specs
    }

    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone> {
        if from.precision != Precision::F32 {
            return Err(Error::Precision { precision: from.precision });
        }
        let fc = Linear::read(from, HEAD, self.features)?;
        let mut tensors = BTreeMap::new();
        for ParameterSpec { name, shape, .. } in self.specs().into_iter().filter(|spec| !head::is_part(&spec.name)) {
            let tensor = from.read(&name, shape.len())?;
            from.check(&name, &tensor, tensor.dims() == shape, || format!("{shape:?}"))?;
            tensors.insert(name, tensor);
        }
        Ok(Backbone { dim: fc.outputs(), layers: layers![CandleLayer::new(*self, tensors)?, fc] })
    }

    fn adopt(&self, published: Tensors) -> candle_core::Result<Tensors> {
        Ok(head::without_classifier(published, self.unused, &self.specs()))
    }

    fn head(&self) -> Option<&'static str> {
        Some(HEAD)
    }
}
