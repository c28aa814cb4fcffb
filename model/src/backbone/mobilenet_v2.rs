//! MobileNetV2 for colour pictures, its batch normalisation folded into the convolutions.

use super::head::{self, HEAD};
use super::init::scaled_normal;
use super::{Architecture, Backbone, IMAGENET_DEVIATION, IMAGENET_MEAN, PICTURE_224, Sides, Tensors};
use crate::layer::{AveragePool, Border, Conv2d, Layer, Linear, Pixels, Relu6, Sequence, Skip, Sliding};
use crate::parameters::ParameterReader;
use crate::{InputShape, ParameterSpec, Result};
use candle_core::DType;

/// Output channels of the first and of the last convolution.
const STEM: usize = 32;
const LAST: usize = 1280;

/// Of each stage: expansion, output channels, blocks, stride of the first block. Table 2 of the paper.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

/// As Google published it: `SAME` padding, pixels in [−1, 1].
pub(super) static MOBILENET_V2: MobilenetV2 = MobilenetV2 {
    name: "mobilenet_v2",
    description: "MobileNetV2 of Sandler et al., arXiv 1801.04381, as TensorFlow computes it, batch norm folded, under \
                  torchvision's names: mean of 1280 features, linear 512; 224×224 RGB in [−1, 1]",
    border: Border::Same,
    mean: [0.5; 3],
    deviation: [0.5; 3],
};

/// As torchvision and timm train it: symmetric padding, ImageNet's mean and deviation.
pub(super) static MOBILENETV2_100: MobilenetV2 = MobilenetV2 {
    name: "mobilenetv2_100",
    description: "MobileNetV2 of Sandler et al., arXiv 1801.04381, as torchvision and timm compute it, batch norm \
                  folded: mean of 1280 features, linear 512; 224×224 RGB",
    border: Border::Symmetric,
    mean: IMAGENET_MEAN,
    deviation: IMAGENET_DEVIATION,
};

pub(super) struct MobilenetV2 {
    name: &'static str,
    description: &'static str,
    border: Border,
    mean: [f32; 3],
    deviation: [f32; 3],
}

/// An inverted residual block: where it stands, and what it does to the number of channels.
struct Block {
    /// Its number in torchvision's `features`.
    place: usize,
    /// Stage and number within, as timm counts.
    stage: (usize, usize),
    expansion: usize,
    outputs: usize,
    stride: usize,
}

impl Block {
    fn all() -> Vec<Self> {
        let stages = STAGES.into_iter().enumerate();
        let blocks = stages.flat_map(|(stage, (expansion, outputs, count, stride))| {
            (0..count).map(move |number| (stage, number, expansion, outputs, if number == 0 { stride } else { 1 }))
        });
        let block = |(place, (stage, number, expansion, outputs, stride))| Self {
            place,
            stage: (stage, number),
            expansion,
            outputs,
            stride,
        };
        (1..).zip(blocks).map(block).collect()
    }

    /// The names of its convolutions: to many channels, unless there is no expansion; each channel; to few channels.
    fn names(&self) -> (Option<String>, String, String) {
        let name = |part: &str| format!("features.{}.conv.{part}", self.place);
        match self.expansion {
            1 => (None, name("0.0"), name("1")),
            _ => (Some(name("0.0")), name("1.0"), name("2")),
        }
    }
}

const STEM_NAME: &str = "features.0.0";
const LAST_NAME: &str = "features.18.0";

impl MobilenetV2 {
    fn sliding(&self, stride: usize) -> Sliding {
        Sliding { stride, border: self.border, bias: true }
    }

    /// The layers of a block, and its number of output channels.
    fn block(&self, from: &ParameterReader<'_>, block: &Block, inputs: usize) -> Result<(Sequence, usize)> {
        let (expand, depthwise, project) = block.names();
        let (mut layers, mut channels): (Vec<Box<dyn Layer>>, usize) = (Vec::new(), inputs);
        if let Some(expand) = expand {
            let conv = Conv2d::read(from, &expand, inputs, self.sliding(1))?;
            channels = conv.outputs();
            layers.extend([Box::new(conv) as Box<dyn Layer>, Box::new(Relu6)]);
        }
        let conv = Conv2d::read_depthwise(from, &depthwise, channels, self.sliding(block.stride))?;
        layers.extend([Box::new(conv) as Box<dyn Layer>, Box::new(Relu6)]);
        let conv = Conv2d::read(from, &project, channels, self.sliding(1))?;
        let outputs = conv.outputs();
        layers.push(Box::new(conv));
        let main = Sequence::new(layers);
        let skips = block.stride == 1 && block.stage.1 > 0;
        Ok((if skips { layers![Skip { main }] } else { main }, outputs))
    }
}

impl Architecture for MobilenetV2 {
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

    /// He's initialisation, which without batch norm must count a channel's inputs, not its outputs.
    fn specs(&self) -> Vec<ParameterSpec> {
        let (mut specs, mut inputs) = (scaled_normal(STEM_NAME, &[STEM, 3, 3, 3], 2.0).to_vec(), STEM);
        for block in Block::all() {
            let (expand, depthwise, project) = block.names();
            let width = inputs * block.expansion;
            if let Some(expand) = expand {
                specs.extend(scaled_normal(&expand, &[width, inputs, 1, 1], 2.0));
            }
            specs.extend(scaled_normal(&depthwise, &[width, 1, 3, 3], 2.0));
            specs.extend(scaled_normal(&project, &[block.outputs, width, 1, 1], 1.0));
            inputs = block.outputs;
        }
        specs.extend(scaled_normal(LAST_NAME, &[LAST, inputs, 1, 1], 2.0));
        specs.extend(head::specs(LAST));
        specs
    }

    fn build(&self, from: &ParameterReader<'_>) -> Result<Backbone> {
        let stem = Conv2d::read(from, STEM_NAME, PICTURE_224.channels, self.sliding(2))?; // (B, 112, 112, 32)
        let pixels = Pixels::scaled(&self.mean, &self.deviation, &from.read(&format!("{STEM_NAME}.weight"), 4)?)?;
        let mut channels = stem.outputs();
        let mut layers: Vec<Box<dyn Layer>> = vec![Box::new(pixels), Box::new(stem), Box::new(Relu6)];
        for block in Block::all() {
            let (block, outputs) = self.block(from, &block, channels)?;
            layers.push(Box::new(block));
            channels = outputs;
        }
        let last = Conv2d::read(from, LAST_NAME, channels, self.sliding(1))?; // (B, 7, 7, 1280)
        let fc = Linear::read(from, HEAD, last.outputs())?;
        let dim = fc.outputs();
        layers.extend([Box::new(last) as Box<dyn Layer>, Box::new(Relu6), Box::new(AveragePool), Box::new(fc)]);
        Ok(Backbone { layers: Sequence::new(layers), dim })
    }

    /// torchvision's and timm's names. A batch norm behind a convolution is folded into it, where padding is PyTorch's:
    /// weights that were trained with it would be wrong under TensorFlow's.
    fn adopt(&self, mut published: Tensors) -> candle_core::Result<Tensors> {
        if self.border == Border::Symmetric {
            for names in published_names() {
                fold(&mut published, &names)?;
            }
        }
        Ok(head::without_classifier(published, &["classifier."], &self.specs()))
    }

    fn head(&self) -> Option<&'static str> {
        Some(HEAD)
    }
}

/// One convolution and its batch norm, as others call them.
struct Names {
    ours: String,
    /// torchvision's batch norm; its convolution is ours.
    norm: String,
    /// timm's convolution and batch norm.
    timm: (String, String),
}

/// Of every convolution.
fn published_names() -> Vec<Names> {
    let timm = |conv: &str, norm: &str| (conv.to_owned(), norm.to_owned());
    let mut all = vec![
        Names { ours: STEM_NAME.into(), norm: "features.0.1".into(), timm: timm("conv_stem", "bn1") },
        Names { ours: LAST_NAME.into(), norm: "features.18.1".into(), timm: timm("conv_head", "bn2") },
    ];
    for block in Block::all() {
        let (expand, depthwise, project) = block.names();
        let theirs = |part: &str| format!("blocks.{}.{}.{part}", block.stage.0, block.stage.1);
        let torchvision = |part: &str| format!("features.{}.conv.{part}", block.place);
        let (at, convs): (usize, &[&str]) = match expand {
            None => (0, &["conv_dw", "conv_pw"]),
            Some(_) => (1, &["conv_pw", "conv_dw", "conv_pwl"]),
        };
        // torchvision puts the last batch norm beside its convolution, the others inside with theirs.
        let norms = if at == 0 { vec!["0.1", "2"] } else { vec!["0.1", "1.1", "3"] };
        let ours = expand.into_iter().chain([depthwise, project]);
        for (index, ((ours, conv), norm)) in ours.zip(convs).zip(norms).enumerate() {
            all.push(Names {
                ours,
                norm: torchvision(norm),
                timm: (theirs(conv), theirs(&format!("bn{}", index + 1))),
            });
        }
    }
    all
}

/// Added to the variance of a batch norm; torchvision's and timm's.
const EPSILON: f64 = 1e-5;

/// Replaces a convolution and its batch norm by one convolution with a bias, in f64. Leaves what is not complete, which
/// then is found missing or foreign.
fn fold(tensors: &mut Tensors, names: &Names) -> candle_core::Result<()> {
    let Names { ours, norm, timm } = names;
    if let Some(weight) = tensors.remove(&format!("{}.weight", timm.0)) {
        tensors.insert(format!("{ours}.weight"), weight);
    }
    let norm = if tensors.contains_key(&format!("{}.running_var", timm.1)) { &timm.1 } else { norm };
    let parts = ["weight", "bias", "running_mean", "running_var"].map(|suffix| format!("{norm}.{suffix}"));
    let weight_name = format!("{ours}.weight");
    let exact = |name: &String| tensors.get(name).map(|tensor| tensor.to_dtype(DType::F64)).transpose();
    let [Some(factor), Some(bias), Some(mean), Some(variance)] =
        [exact(&parts[0])?, exact(&parts[1])?, exact(&parts[2])?, exact(&parts[3])?]
    else {
        return Ok(());
    };
    let Some(weight) = exact(&weight_name)? else { return Ok(()) };
    let factor = (factor / (variance + EPSILON)?.sqrt()?)?;
    let bias = (bias - (mean * &factor)?)?;
    let weight = weight.broadcast_mul(&factor.reshape(((), 1, 1, 1))?)?;
    tensors.retain(|name, _| !parts.contains(name));
    tensors.extend([(weight_name, weight), (format!("{ours}.bias"), bias)]);
    Ok(())
}
