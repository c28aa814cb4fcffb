//! What both sides work on: a net and batches of pictures, written once to files that both read.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::{DType, Device, Tensor, safetensors};
use holdfast_model::{Embedder, EmbeddingNet, InputShape};
use holdfast_trainer::config::{DataConfig, TrainConfig};
use holdfast_trainer::dataset::{self, Dataset};
use holdfast_trainer::defense::DefenseConfig;
use holdfast_trainer::defense::vanilla::VanillaConfig;
use holdfast_trainer::miner::Hardness;
use holdfast_trainer::sampler::PairSampler;
use holdfast_trainer::train::train;
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tempfile::TempDir;

/// Batches that a training comparison walks through again and again.
const BATCHES: usize = 8;

/// Files in a scratch folder that is gone when this is dropped.
pub struct Inputs {
    folder: TempDir,
}

impl Inputs {
    /// A scratch folder with nothing in it.
    pub fn empty() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// A file of it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a net's parameters under PyTorch's names.
    pub fn save_net(&self, net: &EmbeddingNet) -> Result<PathBuf> {
        let parameters: HashMap<String, Tensor> =
            net.parameters().iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
        self.save("net.safetensors", &parameters)
    }

    /// Writes [`BATCHES`] batches of pairs: `pixels` (n, 2P, C, H, W) and `labels` (n, 2P).
    pub fn save_batches(&self, pictures: &Dataset, pairs: usize) -> Result<PathBuf> {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut sampler = PairSampler::new(&pictures.labels, pairs);
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..BATCHES {
            let rows = sampler.next_batch(&mut rng);
            pixels.push(pictures.gather(&rows, &Device::Cpu, DType::F32)?);
            labels.push(Tensor::new(
                rows.iter().map(|&row| i64::from(pictures.labels[row])).collect::<Vec<_>>(),
                &Device::Cpu,
            )?);
        }
        let tensors = [("pixels", Tensor::stack(&pixels, 0)?), ("labels", Tensor::stack(&labels, 0)?)];
        self.save("batches.safetensors", &tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into())
    }

    /// Writes a set to be searched and attacked: `pixels` (N, C, H, W) and `labels` (N).
    pub fn save_pictures(&self, pictures: &Dataset) -> Result<PathBuf> {
        let rows: Vec<usize> = (0..pictures.len()).collect();
        let labels: Vec<i64> = pictures.labels.iter().map(|&label| i64::from(label)).collect();
        let pixels = pictures.gather(&rows, &Device::Cpu, DType::F32)?;
        let tensors = [("pixels", pixels), ("labels", Tensor::new(labels, &Device::Cpu)?)];
        self.save("pictures.safetensors", &tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into())
    }

    fn save(&self, name: &str, tensors: &HashMap<String, Tensor>) -> Result<PathBuf> {
        let path = self.path(name);
        safetensors::save(tensors, &path)?;
        Ok(path)
    }
}

/// A fresh net.
pub fn fresh_net(backbone: &str) -> Result<EmbeddingNet> {
    Ok(EmbeddingNet::init(backbone, &Device::Cpu, DType::F32, &mut ChaCha8Rng::seed_from_u64(1))?)
}

/// A C2F2 after a few undefended steps, whose triplets are as hard as in the course of a training; a fresh net's have all
/// reached the destination before the attack begins.
pub fn trained_c2f2(pictures: &Dataset) -> Result<EmbeddingNet> {
    let defense = DefenseConfig::Vanilla(VanillaConfig { source: Hardness::Softhard });
    let config = TrainConfig { steps: 60, pairs: 64, defense, ..TrainConfig::default() };
    Ok(train(fresh_net("c2f2")?, pictures, &config, &mut |_| ControlFlow::Continue(()))?.net)
}

/// Fashion-MNIST's training and test pictures, or drawn ones of the same shape; says which.
pub fn fashion_mnist(folder: Option<&Path>) -> Result<(Dataset, Dataset)> {
    let net = fresh_net("c2f2")?;
    if let Some(folder) = folder {
        let config =
            DataConfig { format: "fashion_mnist".to_owned(), path: Some(folder.to_owned()), ..DataConfig::default() };
        let splits = dataset::load(&config, net.input(), &|_, _| {})?;
        println!("Pictures: Fashion-MNIST.\n");
        return Ok((splits.train, splits.test));
    }
    println!("Pictures: drawn at random, because there is no Fashion-MNIST.\n");
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let classes: Vec<Vec<u8>> = (0..10).map(|_| noise(net.input(), &mut rng)).collect();
    Ok((blurred(&classes, 20_000, net.input(), &mut rng), blurred(&classes, 10_000, net.input(), &mut rng)))
}

/// Pictures of noise, two a class: there is nothing to learn from them, and nothing that a step's time depends on.
pub fn pairs_of_noise(input: InputShape, pairs: usize) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let pixels = (0..2 * pairs).flat_map(|_| noise(input, &mut rng)).collect();
    dataset("noise", input, pixels, (0..2 * pairs).map(|row| row as u32 / 2).collect(), pairs)
}

fn noise(input: InputShape, rng: &mut dyn RngCore) -> Vec<u8> {
    (0..input.len()).map(|_| rng.random()).collect()
}

/// Pictures that are each their class's, halved, and noise of their own.
fn blurred(classes: &[Vec<u8>], count: usize, input: InputShape, rng: &mut dyn RngCore) -> Dataset {
    let labels: Vec<u32> = (0..count).map(|_| rng.random_range(0..classes.len() as u32)).collect();
    let one = |&label: &u32| classes[label as usize].iter().map(|&byte| byte / 2 + rng.random_range(0..128)).collect();
    let pixels: Vec<Vec<u8>> = labels.iter().map(one).collect();
    dataset("drawn", input, pixels.concat(), labels, classes.len())
}

fn dataset(name: &str, input: InputShape, pixels: Vec<u8>, labels: Vec<u32>, classes: usize) -> Dataset {
    let classes = (0..classes).map(|class| class.to_string()).collect();
    Dataset::kept(name, input, pixels, labels, classes)
}
