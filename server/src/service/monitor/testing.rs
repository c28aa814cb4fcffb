//! A small net and pictures for the monitor's tests.

use candle_core::{DType, Device, Tensor};
use holdfast_model::{Embedder, EmbeddingNet, pixels as model_pixels};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// An untrained net for 64×64 colour pictures, always the same.
pub(super) fn net() -> EmbeddingNet {
    EmbeddingNet::init("c3f1", &Device::Cpu, DType::F32, &mut ChaCha8Rng::seed_from_u64(1)).unwrap()
}

/// Pictures of noise for a net, always the same.
pub(super) fn pictures(net: &dyn Embedder, count: usize) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut picture = || (0..net.input().len()).map(|_| rng.random()).collect();
    (0..count).map(|_| picture()).collect()
}

/// The same as a batch (count, C, H, W).
pub(super) fn pixels(net: &dyn Embedder, count: usize) -> Tensor {
    model_pixels::batch(&pictures(net, count), net.input(), net.device(), net.dtype()).unwrap()
}
