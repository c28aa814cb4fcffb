//! Each layer of C2F2 and ResNet-18 alone: forward, input gradient, weight gradient, at the batch of a training step.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::contest::{self, Taken, alternate};
use crate::side::Side;

/// Rounds of each layer and pass.
const ROUNDS: usize = 7;

/// How much arithmetic a run does at least, so that its time is far above the clock's grain.
const OPERATIONS_A_RUN: f64 = 2e9;

/// A layer: convolution, or with `size` 0 a linear layer.
#[derive(Clone, Copy, Debug)]
struct Layer {
    name: &'static str,
    batch: usize,
    channels: usize,
    outputs: usize,
    size: usize,
    kernel: usize,
    stride: usize,
}

/// One pass of one layer, as a worker is told. Padding keeps the picture's size, divided by the stride.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerPass {
    /// Pictures.
    pub batch: usize,
    /// Input channels.
    pub channels: usize,
    /// Output channels.
    pub outputs: usize,
    /// Rows and columns of the input; 0 for a linear layer.
    pub size: usize,
    /// Rows and columns of the kernel.
    pub kernel: usize,
    /// Pixels between windows.
    pub stride: usize,
    /// Zeros around the picture.
    pub padding: usize,
    /// What is computed.
    pub pass: Pass,
    /// The peer's memory format: "channels-first" or "channels-last". Ours is always the latter.
    pub layout: String,
    /// How many times a run does it.
    pub repeat: usize,
}

/// What of a layer is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// The output.
    Forward,
    /// The gradient of the input alone.
    Input,
    /// The gradient of the weight alone.
    Weight,
}

/// 128 triplets of 28×28.
const C2F2: usize = 3 * 128;

/// 8 triplets of 224×224.
const RESNET18: usize = 3 * 8;

#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    Layer { name: "C2F2 conv1", batch: C2F2, channels: 1, outputs: 32, size: 28, kernel: 5, stride: 1 },
    Layer { name: "C2F2 conv2", batch: C2F2, channels: 32, outputs: 64, size: 14, kernel: 5, stride: 1 },
    Layer { name: "C2F2 fc1", batch: C2F2, channels: 3136, outputs: 1024, size: 0, kernel: 1, stride: 1 },
    Layer { name: "C2F2 fc2", batch: C2F2, channels: 1024, outputs: 512, size: 0, kernel: 1, stride: 1 },
    Layer { name: "ResNet-18 conv1", batch: RESNET18, channels: 3, outputs: 64, size: 224, kernel: 7, stride: 2 },
    Layer { name: "ResNet-18 layer1", batch: RESNET18, channels: 64, outputs: 64, size: 56, kernel: 3, stride: 1 },
    Layer { name: "ResNet-18 layer2.0.conv1", batch: RESNET18, channels: 64, outputs: 128, size: 56, kernel: 3, stride: 2 },
    Layer { name: "ResNet-18 layer2.0.downsample", batch: RESNET18, channels: 64, outputs: 128, size: 56, kernel: 1, stride: 2 },
    Layer { name: "ResNet-18 layer2", batch: RESNET18, channels: 128, outputs: 128, size: 28, kernel: 3, stride: 1 },
    Layer { name: "ResNet-18 layer3.0.conv1", batch: RESNET18, channels: 128, outputs: 256, size: 28, kernel: 3, stride: 2 },
    Layer { name: "ResNet-18 layer3.0.downsample", batch: RESNET18, channels: 128, outputs: 256, size: 28, kernel: 1, stride: 2 },
    Layer { name: "ResNet-18 layer3", batch: RESNET18, channels: 256, outputs: 256, size: 14, kernel: 3, stride: 1 },
    Layer { name: "ResNet-18 layer4.0.conv1", batch: RESNET18, channels: 256, outputs: 512, size: 14, kernel: 3, stride: 2 },
    Layer { name: "ResNet-18 layer4.0.downsample", batch: RESNET18, channels: 256, outputs: 512, size: 14, kernel: 1, stride: 2 },
    Layer { name: "ResNet-18 layer4", batch: RESNET18, channels: 512, outputs: 512, size: 7, kernel: 3, stride: 1 },
];

impl Layer {
    fn output_size(self) -> usize {
        if self.size == 0 { 1 } else { self.size.div_ceil(self.stride) }
    }

    /// Multiplications and additions of any of the three passes.
    fn operations(self) -> f64 {
        let products = self.batch * self.output_size().pow(2) * self.outputs * self.channels * self.kernel.pow(2);
        2.0 * products as f64
    }

    fn pass(self, pass: Pass, layout: &str) -> LayerPass {
        let Self { batch, channels, outputs, size, kernel, stride, .. } = self;
        let repeat = (OPERATIONS_A_RUN / self.operations()).ceil() as usize;
        let (padding, layout) = (kernel / 2, layout.to_owned());
        LayerPass { batch, channels, outputs, size, kernel, stride, padding, pass, layout, repeat }
    }
}

/// Milliseconds and arithmetic a second of every layer and pass, on every side.
pub fn compare(options: &Options) -> Result<()> {
    println!("Milliseconds (GFLOP/s). Our weight gradients include what candle's autograd adds.\n");
    println!("| layer | pass | ours | PyTorch | ours / it | PyTorch channels-last | ours / it |");
    println!("|---|---|---|---|---|---|---|");
    let mut sides = vec![Side::ours("channels-last", options.threads)?];
    for layout in ["channels-first", "channels-last"] {
        sides.extend(options.peer().map(|peer| Side::peer(layout, peer)).transpose()?);
    }
    for layer in LAYERS {
        for pass in [Pass::Forward, Pass::Input, Pass::Weight] {
            // The same processes again and again: a peer takes seconds to start.
            let told = |side: Side| {
                let layer = layer.pass(pass, &side.label);
                (side, layer)
            };
            sides = contest::prepare("layer", sides.into_iter().map(told).collect())?;
            print(*layer, pass, &alternate(&mut sides, ROUNDS)?);
        }
    }
    Ok(())
}

fn print(layer: Layer, pass: Pass, taken: &[Taken]) {
    let repeat = layer.pass(pass, "").repeat as f64;
    let time = |side: &Taken| side.median() / repeat;
    let cell = |side: &Taken| format!("{:.2} ({:.0})", time(side), layer.operations() / time(side) / 1e6);
    let ours = &taken[0];
    let peers = taken[1..].iter().map(|peer| format!(" {} | {:.2} |", cell(peer), time(ours) / time(peer)));
    let pass = format!("{pass:?}").to_lowercase();
    println!("| {} | {pass} | {} |{}", layer.name, cell(ours), peers.collect::<String>());
}
