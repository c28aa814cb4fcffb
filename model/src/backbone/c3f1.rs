//! C3F1: three convolutions and one linear layer for 64×64 colour pictures.

use super::layers::{Conv2d, Linear, specs};
use super::{Architecture, Backbone, reader};
use crate::{InputShape, ParameterSpec, Parameters, Result};
use candle_core::Tensor;

const INPUT: InputShape = InputShape { channels: 3, height: 64, width: 64 };

/// Pixels of one plane after the strided convolution and three poolings: (64 / 2 / 2 / 2 / 2)².
const POOLED: usize = 4 * 4;

/// Pixels are centred and scaled to about unit variance: (x − mean) / deviation.
const MEAN: f64 = 0.5;
const DEVIATION: f64 = 0.25;

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
            specs("conv1", &[32, 3, 5, 5]),
            specs("conv2", &[64, 32, 3, 3]),
            specs("conv3", &[128, 64, 3, 3]),
            specs("fc", &[128, 128 * POOLED]),
        ]
        .concat()
    }

    fn build(&self, parameters: &Parameters) -> Result<Box<dyn Backbone>> {
        let from = reader(self, parameters)?;
        let conv1 = Conv2d::read(&from, "conv1", INPUT.channels, 2)?;
        let conv2 = Conv2d::read(&from, "conv2", conv1.outputs(), 1)?;
        let conv3 = Conv2d::read(&from, "conv3", conv2.outputs(), 1)?;
        let fc = Linear::read(&from, "fc", conv3.outputs() * POOLED)?;
        Ok(Box::new(Net { conv1, conv2, conv3, fc }))
    }
}

struct Net {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    fc: Linear,
}

impl Backbone for Net {
    fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let x = pixels.affine(1.0 / DEVIATION, -MEAN / DEVIATION)?;
        let x = self.conv1.pool_relu(&x)?; // (B, 32, 16, 16)
        let x = self.conv2.pool_relu(&x)?; // (B, 64, 8, 8)
        let x = self.conv3.pool_relu(&x)?; // (B, 128, 4, 4)
        self.fc.forward(&x.flatten_from(1)?)
    }

    fn dim(&self) -> usize {
        self.fc.outputs()
    }
}
