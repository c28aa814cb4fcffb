//! A whole net's passes on our operations.

use anyhow::Result;
use candle_core::{Device, Tensor, Var};
use holdfast_model::{Embedder, EmbeddingNet};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::training::load_net;
use super::{Work, timed};
use crate::passes::{Gradients, NetPass};

/// A work that does the pass once.
pub fn prepare(settings: &NetPass) -> Result<Work> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let [batch, channels, height, width] = settings.shape;
    let noise: Vec<f32> = (0..batch * channels * height * width).map(|_| rng.random()).collect();
    let pixels = Tensor::from_vec(noise, (batch, channels, height, width), &Device::Cpu)?;
    let net = load_net(&settings.backbone, &settings.net)?;
    let frozen = net.packed()?;
    Ok(match settings.gradients {
        Gradients::None => timed(move || {
            frozen.embed(&pixels)?;
            Ok(())
        }),
        Gradients::Pixels => {
            let pixels = Var::from_tensor(&pixels)?;
            timed(move || backward(&frozen, &pixels))
        }
        Gradients::Parameters => {
            let (net, _variables) = net.trainable()?;
            timed(move || backward(&net, &pixels))
        }
    })
}

fn backward(net: &EmbeddingNet, pixels: &Tensor) -> Result<()> {
    net.embed(pixels)?.sum_all()?.backward()?;
    Ok(())
}
