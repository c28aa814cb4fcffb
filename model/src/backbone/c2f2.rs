//! C2F2: two convolutions and two linear layers for 28×28 grey pictures.

use super::layers::{Conv2d, Linear, specs};
use super::{Architecture, Backbone, reader};
use crate::{InputShape, ParameterSpec, Parameters, Result};
use candle_core::Tensor;

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
            specs("conv1", &[32, 1, 5, 5]),
            specs("conv2", &[64, 32, 5, 5]),
            specs("fc1", &[1024, 64 * POOLED]),
            specs("fc2", &[512, 1024]),
        ]
        .concat()
    }

    fn build(&self, parameters: &Parameters) -> Result<Box<dyn Backbone>> {
        let from = reader(self, parameters)?;
        let conv1 = Conv2d::read(&from, "conv1", INPUT.channels, 1)?;
        let conv2 = Conv2d::read(&from, "conv2", conv1.outputs(), 1)?;
        let fc1 = Linear::read(&from, "fc1", conv2.outputs() * POOLED)?;
        let fc2 = Linear::read(&from, "fc2", fc1.outputs())?;
        Ok(Box::new(Net { conv1, conv2, fc1, fc2 }))
    }
}

struct Net {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
}

impl Backbone for Net {
    fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let x = self.conv1.pool_relu(pixels)?; // (B, 32, 14, 14)
        let x = self.conv2.pool_relu(&x)?; // (B, 64, 7, 7)
        let x = holdfast_ops::relu(&self.fc1.forward(&x.flatten_from(1)?)?)?; // (B, 1024)
        self.fc2.forward(&x)
    }

    fn dim(&self) -> usize {
        self.fc2.outputs()
    }
}
