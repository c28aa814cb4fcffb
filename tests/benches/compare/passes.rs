//! A whole net's forward pass, the gradient of its pixels (an attack's step) and all its gradients (a training step's end).

use std::path::PathBuf;

use anyhow::Result;
use holdfast_model::backbone;
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::contest::{self, alternate, print};
use crate::inputs::{Inputs, fresh_net};
use crate::side::Side;

/// One pass of one net over noise, as a worker is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetPass {
    /// The architecture.
    pub backbone: String,
    /// The file of the net's weights.
    pub net: PathBuf,
    /// The pixels' shape (B, C, H, W).
    pub shape: [usize; 4],
    /// Which gradients are computed after the forward pass.
    pub gradients: Gradients,
    /// The peer's memory format: "channels-first" or "channels-last".
    pub layout: String,
}

/// What is differentiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gradients {
    /// No gradient: the embeddings.
    None,
    /// The pixels alone: an attack's step.
    Pixels,
    /// All parameters: the end of a training step.
    Parameters,
}

impl Gradients {
    fn of(self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Pixels => "the pixels",
            Self::Parameters => "all parameters",
        }
    }
}

/// The nets and their batches: triplets of the training comparisons.
const NETS: &[(&str, [usize; 4])] = &[("c2f2", [384, 1, 28, 28]), ("resnet18", [24, 3, 224, 224])];

/// Every net and pass on every side.
pub fn compare(options: &Options) -> Result<()> {
    for (name, shape) in NETS.iter().filter(|(name, _)| backbone::names().contains(name)) {
        let inputs = Inputs::empty()?;
        let net = inputs.save_net(&fresh_net(name)?)?;
        for gradients in [Gradients::None, Gradients::Pixels, Gradients::Parameters] {
            println!("{name}, {} pictures, forward and gradients of {}:\n", shape[0], gradients.of());
            let told = |layout: &str| NetPass {
                backbone: (*name).to_owned(),
                net: net.clone(),
                shape: *shape,
                gradients,
                layout: layout.to_owned(),
            };
            let mut sides = vec![(Side::ours("Holdfast", options.threads)?, told(""))];
            for layout in ["channels-first", "channels-last"] {
                if let Some(peer) = options.peer() {
                    sides.push((Side::peer(&format!("PyTorch, {layout}"), peer)?, told(layout)));
                }
            }
            print(&alternate(&mut contest::prepare("pass", sides)?, options.rounds.min(5))?, 1);
            println!();
        }
    }
    Ok(())
}
