//! One training step of HM[S,gLGA], on C2F2 with 128 pairs and on ResNet-18 with 8.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use holdfast_model::Embedder;
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::contest::{self, alternate, print};
use crate::inputs::{Inputs, fashion_mnist, fresh_net, pairs_of_noise, trained_c2f2};
use crate::side::Side;

/// A training step, as a worker is told. The early stop is off: every step makes all its updates.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Training {
    /// The architecture.
    pub backbone: String,
    /// The file of the net's weights.
    pub net: PathBuf,
    /// The file of the batches.
    pub batches: PathBuf,
    /// Which way the peer is written: "as-authors" or "rewritten". Ours does not read it.
    pub peer: String,
    /// Whether our attack leaves out triplets that have arrived. The peers do not read it.
    pub skip_arrived: bool,
    /// How many pictures' activations our training pass holds at a time, if not all. The peers do not read it.
    pub pictures_at_once: Option<NonZeroUsize>,
    /// Radius of the attack.
    pub epsilon: f64,
    /// Step of the attack.
    pub alpha: f64,
    /// Updates of the attack.
    pub steps: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Adam's coupled weight decay.
    pub weight_decay: f64,
}

impl Training {
    /// The published setting for 28×28 pictures with eight steps.
    pub fn c2f2(net: PathBuf, batches: PathBuf) -> Self {
        Self {
            backbone: "c2f2".to_owned(),
            net,
            batches,
            peer: String::new(),
            skip_arrived: true,
            pictures_at_once: None,
            epsilon: 77.0 / 255.0,
            alpha: 3.0 / 255.0,
            steps: 8,
            learning_rate: 1e-3,
            weight_decay: 1e-7,
        }
    }

    /// The published setting for 224×224 pictures with eight steps.
    fn resnet18(net: PathBuf, batches: PathBuf) -> Self {
        let (epsilon, alpha, learning_rate, weight_decay) = (8.0 / 255.0, 1.0 / 255.0, 1e-5, 4e-4);
        let backbone = "resnet18".to_owned();
        Self { backbone, epsilon, alpha, learning_rate, weight_decay, ..Self::c2f2(net, batches) }
    }

    fn peer(&self, peer: &str) -> Self {
        Self { peer: peer.to_owned(), ..self.clone() }
    }

    fn at_once(&self, pictures: usize) -> Self {
        Self { pictures_at_once: NonZeroUsize::new(pictures), ..self.clone() }
    }

    /// The attack embeds every triplet in every step, as the peers' do.
    pub fn without_skipping(&self) -> Self {
        Self { skip_arrived: false, ..self.clone() }
    }
}

/// C2F2, 128 pairs.
pub fn compare_c2f2(options: &Options) -> Result<()> {
    println!("HM[S,gLGA], C2F2, 128 pairs, 8 attack steps of 3/255 within 77/255, early stop off.");
    let (pictures, _) = fashion_mnist(options.data.as_deref())?;
    let inputs = Inputs::empty()?;
    let net = inputs.save_net(&trained_c2f2(&pictures)?)?;
    let training = Training::c2f2(net, inputs.save_batches(&pictures, 128)?);
    let sides = vec![
        (Side::ours("Holdfast", options.threads)?, training.clone()),
        (Side::ours("every triplet", options.threads)?, training.without_skipping()),
    ];
    compare(sides, &training, options.rounds, options)
}

/// ResNet-18, 8 pairs.
pub fn compare_resnet18(options: &Options) -> Result<()> {
    println!(
        "HM[S,gLGA], ResNet-18, 8 pairs of noise, 8 attack steps of 1/255 within 8/255, frozen batch norm, early stop off.\n"
    );
    let net = fresh_net("resnet18")?;
    let inputs = Inputs::empty()?;
    let batches = inputs.save_batches(&pairs_of_noise(net.input(), 8), 8)?;
    let training = Training::resnet18(inputs.save_net(&net)?, batches).without_skipping();
    let sides = vec![
        (Side::ours("every triplet", options.threads)?, training.clone()),
        (Side::ours("6 pictures at once", options.threads)?, training.at_once(6)),
    ];
    compare(sides, &training, options.rounds.min(3), options)
}

/// Our sides, then both peers.
fn compare(mut sides: Vec<(Side, Training)>, training: &Training, rounds: usize, options: &Options) -> Result<()> {
    let ours = sides.len();
    for peer in ["as-authors", "rewritten"] {
        if let Some(process) = options.peer() {
            sides.push((Side::peer(&format!("PyTorch, {}", peer.replace('-', " ")), process)?, training.peer(peer)));
        }
    }
    print(&alternate(&mut contest::prepare("training", sides)?, rounds)?, ours);
    Ok(())
}
