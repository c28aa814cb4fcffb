//! C2F2: two convolutions and two linear layers for 28×28 grey pictures.

use super::init::uniform;
use super::{Architecture, Backbone};
use crate::layer::{Conv2dPoolRelu, Flatten, Linear, Pixels, Relu};
use crate::parameters::ParameterReader;
use crate::{InputShape, ParameterSpec, Result};

const INPUT: InputShape = InputShape { channels: 1, height: 28, width: 28 };

/// Pixels of one plane after both poolings: (28 / 2 / 2)².
const POOLED: usize = 7 * 7;

pub(super) struct C2f2;

impl Architecture for C2f2 {
    fn name(&self) -> &'static str {
        "c2f2"
    }

    fn description(&self) -> &'static str {
        "C2F2 of Zhou et al., arXiv 2106.03614: conv 5×5 32, conv 5×5 64, linear 1024, linear 512; 28×28 grey, no mean/std"
    }

    fn input(&self) -> InputShape {
        INPUT
    }

    fn specs(&self) -> Vec<ParameterSpec> {
        [
            uniform("conv1", &[32, 1, 5, 5]),
            uniform("conv2", &[64, 32, 5, 5]),
            uniform("fc1", &[1024, 64 * POOLED]),
            uniform("fc2", &[512, 1024]),
        ]
        .concat()
    }

    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone> {
        let conv1 = Conv2dPoolRelu::read(from, "conv1", INPUT.channels, 1)?; // (B, 14, 14, 32)
        let conv2 = Conv2dPoolRelu::read(from, "conv2", conv1.outputs(), 1)?; // (B, 7, 7, 64)
        let fc1 = Linear::read(from, "fc1", conv2.outputs() * POOLED)?; // (B, 1024)
        let fc2 = Linear::read(from, "fc2", fc1.outputs())?;
        Ok(Backbone { dim: fc2.outputs(), layers: layers![Pixels::unscaled(), conv1, conv2, Flatten, fc1, Relu, fc2] })
    }
}
