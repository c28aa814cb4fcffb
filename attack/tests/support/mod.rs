//! A small world to attack: coloured noise in classes, and a linear embedder.
#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use candle_core::{DType, Device, Tensor};
use holdfast_attack::{Labelled, Profile, Protocol, Queries, TestSet};
use holdfast_model::{Embedder, EmbeddingSet, InputShape, Result, distance};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub const INPUT: InputShape = InputShape { channels: 1, height: 4, width: 4 };
const DIM: usize = 8;
const CLASSES: usize = 4;

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn uniform(count: usize, low: f64, high: f64, seed: u64) -> Vec<f64> {
    let mut rng = rng(seed);
    (0..count).map(|_| rng.random_range(low..high)).collect()
}

/// What an embedder does with the embedding it has computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Health {
    Sound,
    /// Returns NaN.
    NotANumber,
    /// Loses the path back to the pixels.
    Detached,
}

/// normalize(W · (pixels − 1/2)).
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    health: Health,
}

impl Linear {
    pub fn new(health: Health, dtype: DType) -> Self {
        let weight = Tensor::from_vec(uniform(DIM * INPUT.len(), -1.0, 1.0, 7), (INPUT.len(), DIM), &Device::Cpu);
        Self { weight: weight.unwrap().to_dtype(dtype).unwrap(), health }
    }

    pub fn sound() -> Self {
        Self::new(Health::Sound, DType::F64)
    }
}

impl Embedder for Linear {
    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let embeddings = distance::normalize(&(pixels.flatten_from(1)? - 0.5)?.matmul(&self.weight)?)?;
        Ok(match self.health {
            Health::Sound => embeddings,
            Health::NotANumber => (embeddings * f64::NAN)?,
            Health::Detached => embeddings.detach(),
        })
    }

    fn input(&self) -> InputShape {
        INPUT
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn dtype(&self) -> DType {
        self.weight.dtype()
    }

    fn device(&self) -> &Device {
        self.weight.device()
    }
}

/// Labelled pictures (N, C, H, W).
pub struct World {
    pub pixels: Tensor,
    pub labels: Vec<u32>,
}

impl World {
    /// `count` pictures of four classes in turn: a pattern of the class, and noise.
    pub fn new(count: usize) -> Self {
        let labels: Vec<u32> = (0..count).map(|picture| (picture % CLASSES) as u32).collect();
        let patterns = uniform(CLASSES * INPUT.len(), 0.2, 0.8, 11);
        let mut pixels = uniform(count * INPUT.len(), -0.2, 0.2, 13);
        for (index, pixel) in pixels.iter_mut().enumerate() {
            let class = labels[index / INPUT.len()] as usize;
            *pixel += patterns[class * INPUT.len() + index % INPUT.len()];
        }
        let shape = (count, INPUT.channels, INPUT.height, INPUT.width);
        Self { pixels: Tensor::from_vec(pixels, shape, &Device::Cpu).unwrap(), labels }
    }

    pub fn labelled(&self) -> Labelled<'_> {
        Labelled { pixels: &self.pixels, labels: &self.labels }
    }

    /// Each picture searches among all others.
    pub fn set(&self) -> TestSet<'_> {
        TestSet::LeaveOneOut(self.labelled())
    }

    pub fn gallery(&self) -> EmbeddingSet {
        let embeddings = Linear::sound().embed(&self.pixels).unwrap();
        EmbeddingSet::new(embeddings, Some(self.labels.clone())).unwrap()
    }

    /// The first `count` pictures, as queries of the world's own gallery.
    pub fn queries(&self, count: usize) -> Queries {
        let gallery = self.gallery();
        let embeddings = gallery.embeddings.narrow(0, 0, count).unwrap();
        Queries::new(embeddings, Some(&self.labels[..count]), Protocol::LeaveOneOut, &gallery).unwrap()
    }
}

pub fn profile(batch: usize) -> Profile {
    let base = Profile::preset("rob28").unwrap();
    Profile { name: "test".to_owned(), epsilon: 0.1, alpha: 0.02, steps: 8, batch, ..base }
}
