//! SqueezeNet 1.1 for colour pictures: small, and without batch normalisation.

use super::head::{self, HEAD};
use super::init::scaled_normal;
use super::{Architecture, Backbone, IMAGENET_DEVIATION, IMAGENET_MEAN, PICTURE_224, Sides, Tensors};
use crate::layer::{
    AveragePool, Border, Concatenation, Conv2d, Layer, Linear, MaxPool2dToTheEdge, Pixels, Relu, Sequence, Sliding,
};
use crate::parameters::ParameterReader;
use crate::{InputShape, ParameterSpec, Result};

/// Output channels of the first convolution.
const STEM: usize = 64;

/// Place in torchvision's `features`, channels after squeezing, and channels of each of the two expansions.
const FIRES: [(usize, usize, usize); 8] =
    [(3, 16, 64), (4, 16, 64), (6, 32, 128), (7, 32, 128), (9, 48, 192), (10, 48, 192), (11, 64, 256), (12, 64, 256)];

/// The places before which a picture is halved.
const POOLED_BEFORE: [usize; 3] = [3, 6, 9];

pub(super) struct Squeezenet;

impl Architecture for Squeezenet {
    fn name(&self) -> &'static str {
        "squeezenet1_1"
    }

    fn description(&self) -> &'static str {
        "SqueezeNet 1.1 of Iandola et al., arXiv 1602.07360, under torchvision's names: eight fire modules, mean of 512 \
         features, linear 512; 224×224 RGB"
    }

    fn input(&self) -> InputShape {
        PICTURE_224
    }

    fn sides(&self) -> Sides {
        Sides::MultiplesOf(1)
    }

    /// He's initialisation, as in torchvision.
    fn specs(&self) -> Vec<ParameterSpec> {
        let (mut specs, mut inputs) = (scaled_normal("features.0", &[STEM, 3, 3, 3], 2.0).to_vec(), STEM);
        for (place, squeezed, expanded) in FIRES {
            specs.extend(scaled_normal(&format!("features.{place}.squeeze"), &[squeezed, inputs, 1, 1], 2.0));
            specs.extend(scaled_normal(&format!("features.{place}.expand1x1"), &[expanded, squeezed, 1, 1], 2.0));
            specs.extend(scaled_normal(&format!("features.{place}.expand3x3"), &[expanded, squeezed, 3, 3], 2.0));
            inputs = 2 * expanded;
        }
        specs.extend(head::specs(inputs));
        specs
    }

    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone> {
        let pixels = Pixels::scaled(&IMAGENET_MEAN, &IMAGENET_DEVIATION, &from.read("features.0.weight", 4)?)?;
        let sliding = Sliding { stride: 2, border: Border::Inside, bias: true };
        let stem = Conv2d::read(from, "features.0", PICTURE_224.channels, sliding)?; // (B, 111, 111, 64)
        let mut channels = stem.outputs();
        let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(pixels), Box::new(stem), Box::new(Relu)];
        for (place, ..) in FIRES {
            if POOLED_BEFORE.contains(&place) {
                layers.push(Box::new(MaxPool2dToTheEdge { kernel: 3, stride: 2 })); // (B, 55, …), (B, 27, …), (B, 13, …)
            }
            let (fire, outputs) = fire(from, &format!("features.{place}"), channels)?;
            layers.push(Box::new(fire));
            channels = outputs;
        }
        let fc = Linear::read(from, HEAD, channels)?;
        let dim = fc.outputs();
        layers.push(Box::new(AveragePool)); // (B, 512)
        layers.push(Box::new(fc));
        Ok(Backbone { layers: Sequence::new(layers), dim })
    }

    /// torchvision's names, in which ONNX files write `squeeze1x1` for `squeeze`.
    fn adopt(&self, published: Tensors) -> candle_core::Result<Tensors> {
        let renamed = published.into_iter().map(|(name, tensor)| (name.replace(".squeeze1x1.", ".squeeze."), tensor));
        Ok(head::without_classifier(renamed.collect(), &["classifier.1."], &self.specs()))
    }

    fn head(&self) -> Option<&'static str> {
        Some(HEAD)
    }
}

/// 1×1 to few channels, then 1×1 and 3×3 to many, side by side; and the number of output channels.
fn fire(from: &ParameterReader<'_>, name: &str, inputs: usize) -> Result<(Sequence, usize)> {
    let sliding = Sliding { bias: true, ..Sliding::by(1) };
    let conv = |part: &str, inputs: usize| Conv2d::read(from, &format!("{name}.{part}"), inputs, sliding);
    let squeeze = conv("squeeze", inputs)?;
    let (one, three) = (conv("expand1x1", squeeze.outputs())?, conv("expand3x3", squeeze.outputs())?);
    let outputs = one.outputs() + three.outputs();
    let expand = Concatenation { branches: vec![layers![one], layers![three]] };
    Ok((layers![squeeze, Relu, expand, Relu], outputs))
}
