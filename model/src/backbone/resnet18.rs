//! ResNet-18 for 224×224 colour pictures, with batch normalisation frozen.

use super::init::{batch_norm, he_normal, uniform};
use super::{Architecture, Backbone};
use crate::layer::{AveragePool, Conv2d, FrozenBatchNorm, Layer, Linear, MaxPool2d, Pixels, Residual, Sequence, Then};
use crate::parameters::ParameterReader;
use crate::{InputShape, ParameterSpec, Result};

const INPUT: InputShape = InputShape { channels: 3, height: 224, width: 224 };

/// ImageNet's, as torchvision's weights expect.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Output channels of the four stages, each of two blocks.
const STAGES: [usize; 4] = [64, 128, 256, 512];
const BLOCKS: usize = 2;

pub(super) struct Resnet18;

/// Where a block stands: the names of its parameters, its stride, and whether its shortcut is a convolution.
struct Place {
    name: String,
    stride: usize,
    projects: bool,
}

/// The first block of every stage but the first halves the picture and widens it.
fn place(stage: usize, block: usize) -> Place {
    let projects = stage > 0 && block == 0;
    Place { name: format!("layer{}.{block}", stage + 1), stride: if projects { 2 } else { 1 }, projects }
}

impl Architecture for Resnet18 {
    fn name(&self) -> &'static str {
        "resnet18"
    }

    fn description(&self) -> &'static str {
        "ResNet-18 of He et al., arXiv 1512.03385, under torchvision's names: frozen batch norm, linear 512; 224×224 RGB"
    }

    fn input(&self) -> InputShape {
        INPUT
    }

    /// torchvision's own initialisation. It has no statistics of data: the batch norms start as the identity.
    fn specs(&self) -> Vec<ParameterSpec> {
        let mut specs = [&he_normal("conv1", &[STAGES[0], 3, 7, 7])[..], &batch_norm("bn1", STAGES[0])].concat();
        let mut inputs = STAGES[0];
        for (stage, channels) in STAGES.into_iter().enumerate() {
            for Place { name, projects, .. } in (0..BLOCKS).map(|block| place(stage, block)) {
                specs.extend(he_normal(&format!("{name}.conv1"), &[channels, inputs, 3, 3]));
                specs.extend(batch_norm(&format!("{name}.bn1"), channels));
                specs.extend(he_normal(&format!("{name}.conv2"), &[channels, channels, 3, 3]));
                specs.extend(batch_norm(&format!("{name}.bn2"), channels));
                if projects {
                    specs.extend(he_normal(&format!("{name}.downsample.0"), &[channels, inputs, 1, 1]));
                    specs.extend(batch_norm(&format!("{name}.downsample.1"), channels));
                }
                inputs = channels;
            }
        }
        specs.extend(uniform("fc", &[512, STAGES[3]]));
        specs
    }

    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone> {
        let pixels = Pixels::scaled(&MEAN, &DEVIATION, &from.read("conv1.weight", 4)?)?;
        let stem = Conv2d::read(from, "conv1", INPUT.channels, 2)?; // (B, 112, 112, 64)
        let mut channels = stem.outputs();
        let bn = FrozenBatchNorm::read(from, "bn1", channels, Then::Relu)?;
        let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(pixels), Box::new(stem), Box::new(bn)];
        layers.push(Box::new(MaxPool2d { kernel: 3, stride: 2, padding: 1 })); // (B, 56, 56, 64)
        for stage in 0..STAGES.len() {
            for block in 0..BLOCKS {
                let (block, outputs) = residual(from, &place(stage, block), channels)?;
                layers.push(Box::new(block));
                channels = outputs;
            }
        }
        let fc = Linear::read(from, "fc", channels)?;
        let dim = fc.outputs();
        layers.push(Box::new(AveragePool)); // (B, 512)
        layers.push(Box::new(fc));
        Ok(Backbone { layers: Sequence::new(layers), dim })
    }
}

/// A block of two 3×3 convolutions and a shortcut, and its number of output channels.
fn residual(from: &ParameterReader<'_>, place: &Place, inputs: usize) -> Result<(Residual, usize)> {
    let name = |part: &str| format!("{}.{part}", place.name);
    let conv1 = Conv2d::read(from, &name("conv1"), inputs, place.stride)?;
    let bn1 = FrozenBatchNorm::read(from, &name("bn1"), conv1.outputs(), Then::Relu)?;
    let conv2 = Conv2d::read(from, &name("conv2"), conv1.outputs(), 1)?;
    let outputs = conv2.outputs();
    let norm = FrozenBatchNorm::read(from, &name("bn2"), outputs, Then::Nothing)?;
    let shortcut = if place.projects {
        let conv = Conv2d::read(from, &name("downsample.0"), inputs, place.stride)?;
        let bn = FrozenBatchNorm::read(from, &name("downsample.1"), outputs, Then::Nothing)?;
        layers![conv, bn]
    } else {
        layers![]
    };
    Ok((Residual { main: layers![conv1, bn1, conv2], norm, shortcut }, outputs))
}
