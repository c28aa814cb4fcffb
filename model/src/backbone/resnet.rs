//! Residual networks for colour pictures, with batch normalisation, frozen or live.

use super::head::{self, HEAD};
use super::init::{batch_norm, he_normal};
use super::{Architecture, Backbone, IMAGENET_DEVIATION, IMAGENET_MEAN, PICTURE_224, Sides, Tensors};
use crate::layer::{
    AveragePool, BatchNorm2d, Conv2d, Layer, Linear, MaxPool2d, Pixels, Residual, Sequence, Sliding, Then,
};
use crate::parameters::ParameterReader;
use crate::{InputShape, ParameterSpec, Result};

/// Output channels of the stem and of the 3×3 convolutions of the four stages.
const STEM: usize = 64;
const STAGES: [usize; 4] = [64, 128, 256, 512];

/// Two 3×3 convolutions a block.
pub(super) static RESNET18: Resnet = Resnet {
    name: "resnet18",
    description: "ResNet-18 of He et al., arXiv 1512.03385, under torchvision's names: batch norm, linear 512; 224×224 RGB",
    blocks: [2, 2, 2, 2],
    kernels: &[3, 3],
    strided: 0,
    expansion: 1,
};

/// A 3×3 convolution between two of 1×1 a block, the stride in the middle: torchvision's "V1.5".
pub(super) static RESNET50: Resnet = Resnet {
    name: "resnet50",
    description: "ResNet-50 of He et al., arXiv 1512.03385, stride in the 3×3 convolutions, under torchvision's names: \
                  batch norm, linear 512; 224×224 RGB",
    blocks: [3, 4, 6, 3],
    kernels: &[1, 3, 1],
    strided: 1,
    expansion: 4,
};

/// A network of four stages of alike blocks.
pub(super) struct Resnet {
    name: &'static str,
    description: &'static str,
    /// Blocks of each stage.
    blocks: [usize; 4],
    /// Kernel of each convolution of a block.
    kernels: &'static [usize],
    /// Which of them has the block's stride.
    strided: usize,
    /// How many times more channels the last of them has.
    expansion: usize,
}

/// Where a block stands: the names of its parameters, its stride, and whether its shortcut is a convolution.
struct Place {
    name: String,
    stage: usize,
    stride: usize,
    projects: bool,
}

impl Resnet {
    fn places(&self) -> impl Iterator<Item = Place> {
        let blocks = self.blocks.into_iter().enumerate();
        blocks.flat_map(move |(stage, count)| (0..count).map(move |block| self.place(stage, block)))
    }

    /// The first block of a stage halves the picture, except in the first stage, and widens it where needed.
    fn place(&self, stage: usize, block: usize) -> Place {
        let first = block == 0;
        let stride = if first && stage > 0 { 2 } else { 1 };
        let projects = first && (stage > 0 || self.expansion > 1);
        Place { name: format!("layer{}.{block}", stage + 1), stage, stride, projects }
    }

    /// A block of convolutions and a shortcut, and its number of output channels.
    fn block(&self, from: &ParameterReader<'_>, place: &Place, inputs: usize) -> Result<(Residual, usize)> {
        let name = |part: &str, number: usize| format!("{}.{part}{number}", place.name);
        let (mut main, mut channels): (Vec<Box<dyn Layer>>, usize) = (Vec::new(), inputs);
        for number in 1..=self.kernels.len() {
            if number > 1 {
                main.push(Box::new(BatchNorm2d::read(from, &name("bn", number - 1), channels, Then::Relu)?));
            }
            let stride = if number == self.strided + 1 { place.stride } else { 1 };
            let conv = Conv2d::read(from, &name("conv", number), channels, Sliding::by(stride))?;
            channels = conv.outputs();
            main.push(Box::new(conv));
        }
        let norm = BatchNorm2d::read(from, &name("bn", self.kernels.len()), channels, Then::Nothing)?;
        let shortcut = if place.projects {
            let conv = Conv2d::read(from, &name("downsample.", 0), inputs, Sliding::by(place.stride))?;
            let bn = BatchNorm2d::read(from, &name("downsample.", 1), channels, Then::Nothing)?;
            layers![conv, bn]
        } else {
            layers![]
        };
        Ok((Residual { main: Sequence::new(main), norm, shortcut }, channels))
    }
}

impl Architecture for Resnet {
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
        Sides::MultiplesOf(1)
    }

    fn has_batch_norm(&self) -> bool {
        true
    }

    /// torchvision's own initialisation. It has no statistics of data: the batch norms start as the identity.
    fn specs(&self) -> Vec<ParameterSpec> {
        let mut specs = [&he_normal("conv1", &[STEM, 3, 7, 7])[..], &batch_norm("bn1", STEM)].concat();
        let mut inputs = STEM;
        for Place { name, stage, projects, .. } in self.places() {
            let (mut channels, outputs) = (inputs, STAGES[stage] * self.expansion);
            for (index, &kernel) in self.kernels.iter().enumerate() {
                let width = if index + 1 == self.kernels.len() { outputs } else { STAGES[stage] };
                let number = index + 1;
                specs.extend(he_normal(&format!("{name}.conv{number}"), &[width, channels, kernel, kernel]));
                specs.extend(batch_norm(&format!("{name}.bn{number}"), width));
                channels = width;
            }
            if projects {
                specs.extend(he_normal(&format!("{name}.downsample.0"), &[outputs, inputs, 1, 1]));
                specs.extend(batch_norm(&format!("{name}.downsample.1"), outputs));
            }
            inputs = outputs;
        }
        specs.extend(head::specs(inputs));
        specs
    }

    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone> {
        let pixels = Pixels::scaled(&IMAGENET_MEAN, &IMAGENET_DEVIATION, &from.read("conv1.weight", 4)?)?;
        let stem = Conv2d::read(from, "conv1", PICTURE_224.channels, Sliding::by(2))?; // (B, 112, 112, 64)
        let mut channels = stem.outputs();
        let bn = BatchNorm2d::read(from, "bn1", channels, Then::Relu)?;
        let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(pixels), Box::new(stem), Box::new(bn)];
        layers.push(Box::new(MaxPool2d { kernel: 3, stride: 2, padding: 1 })); // (B, 56, 56, 64)
        for place in self.places() {
            let (block, outputs) = self.block(from, &place, channels)?;
            layers.push(Box::new(block));
            channels = outputs;
        }
        let fc = Linear::read(from, HEAD, channels)?;
        let dim = fc.outputs();
        layers.push(Box::new(AveragePool)); // (B, 512 · expansion)
        layers.push(Box::new(fc));
        Ok(Backbone { layers: Sequence::new(layers), dim })
    }

    /// torchvision's and timm's names are ours; those of Hugging Face's `transformers` are translated.
    fn adopt(&self, published: Tensors) -> candle_core::Result<Tensors> {
        let renamed = published.into_iter().map(|(name, tensor)| (from_transformers(&name).unwrap_or(name), tensor));
        Ok(head::without_classifier(renamed.collect(), &["classifier.1."], &self.specs()))
    }

    fn head(&self) -> Option<&'static str> {
        Some(HEAD)
    }
}

/// `resnet.encoder.stages.1.layers.0.layer.1.convolution.weight` → `layer2.0.conv2.weight`
fn from_transformers(name: &str) -> Option<String> {
    let name = name.strip_prefix("resnet.").unwrap_or(name);
    let part = |kind: &str, conv: &str, norm: &str| match kind {
        "convolution" => Some(conv.to_owned()),
        "normalization" => Some(norm.to_owned()),
        _ => None,
    };
    let fields: Vec<&str> = name.split('.').collect();
    match fields[..] {
        ["embedder", "embedder", kind, suffix] => Some(format!("{}.{suffix}", part(kind, "conv1", "bn1")?)),
        ["encoder", "stages", stage, "layers", block, "shortcut", kind, suffix] => {
            let stage = stage.parse::<usize>().ok()? + 1;
            Some(format!("layer{stage}.{block}.{}.{suffix}", part(kind, "downsample.0", "downsample.1")?))
        }
        ["encoder", "stages", stage, "layers", block, "layer", index, kind, suffix] => {
            let (stage, index) = (stage.parse::<usize>().ok()? + 1, index.parse::<usize>().ok()? + 1);
            Some(format!("layer{stage}.{block}.{}{index}.{suffix}", part(kind, "conv", "bn")?))
        }
        _ => None,
    }
}
