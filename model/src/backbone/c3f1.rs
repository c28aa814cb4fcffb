//! C3F1: three convolutions and one linear layer for 64×64 colour pictures.

use super::init::uniform;
use super::{Architecture, Backbone};
use crate::layer::{Conv2dPoolRelu, Flatten, Linear, Pixels};
use crate::parameters::ParameterReader;
use crate::{InputShape, ParameterSpec, Result};

const INPUT: InputShape = InputShape { channels: 3, height: 64, width: 64 };

/// Pixels of one plane after the strided convolution and three poolings: (64 / 2 / 2 / 2 / 2)².
const POOLED: usize = 4 * 4;

/// Pixels are centred and scaled to about unit variance.
const MEAN: [f32; 3] = [0.5; 3];
const DEVIATION: [f32; 3] = [0.25; 3];

pub(super) struct C3f1;

impl Architecture for C3f1 {
    fn name(&self) -> &'static str {
        "c3f1"
    }

    fn description(&self) -> &'static str {
        "Holdfast's small net for natural pictures: conv 5×5/2 32, conv 3×3 64, conv 3×3 128, linear 128; 64×64 RGB"
    }

    fn input(&self) -> InputShape {
        INPUT
    }

    fn specs(&self) -> Vec<ParameterSpec> {
        [
            uniform("conv1", &[32, 3, 5, 5]),
            uniform("conv2", &[64, 32, 3, 3]),
            uniform("conv3", &[128, 64, 3, 3]),
            uniform("fc", &[128, 128 * POOLED]),
        ]
        .concat()
    }

    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone> {
        let conv1 = Conv2dPoolRelu::read(from, "conv1", INPUT.channels, 2)?; // (B, 16, 16, 32)
        let conv2 = Conv2dPoolRelu::read(from, "conv2", conv1.outputs(), 1)?; // (B, 8, 8, 64)
        let conv3 = Conv2dPoolRelu::read(from, "conv3", conv2.outputs(), 1)?; // (B, 4, 4, 128)
        let fc = Linear::read(from, "fc", conv3.outputs() * POOLED)?;
        let pixels = Pixels::scaled(&MEAN, &DEVIATION, &from.read("conv1.weight", 4)?)?;
        Ok(Backbone { dim: fc.outputs(), layers: layers![pixels, conv1, conv2, conv3, Flatten, fc] })
    }
}
