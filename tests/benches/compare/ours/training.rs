//! A training step of ours.

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::{Device, safetensors};
use holdfast_attack::Pgd;
use holdfast_model::{EmbeddingNet, Parameters};
use holdfast_trainer::batch::Batch;
use holdfast_trainer::defense::Defense;
use holdfast_trainer::defense::hardness_manipulation::climb::Coverage;
use holdfast_trainer::defense::hardness_manipulation::{HardnessManipulation, HardnessManipulationConfig};
use holdfast_trainer::optimizer::{Adam, AdamSettings};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Work, timed};
use crate::training::Training;

/// A work that makes one training step, each time on the next of the batches.
pub fn prepare(settings: &Training) -> Result<Work> {
    let (net, variables) = load_net(&settings.backbone, &settings.net)?.trainable()?;
    let net = match settings.pictures_at_once {
        Some(pictures) => net.in_parts(pictures),
        None => net,
    };
    let Training { epsilon, alpha, steps, learning_rate, weight_decay, .. } = *settings;
    let mut optimizer = Adam::new(variables, AdamSettings { learning_rate, weight_decay })?;
    let pgd = Pgd::new(epsilon, alpha, steps)?;
    let coverage = if settings.skip_arrived { Coverage::Moving } else { Coverage::Every };
    let config = HardnessManipulationConfig { early_stop: false, pgd, ..HardnessManipulationConfig::default() };
    let mut defense = HardnessManipulation::new(config).covering(coverage);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut batches = load_batches(&settings.batches)?.into_iter().cycle();
    Ok(timed(move || {
        let batch = batches.next().expect("there is a batch. This is a bug.");
        let step = defense.loss(&net, &batch, &mut rng)?;
        optimizer.step(&step.loss.backward()?)?;
        Ok(())
    }))
}

/// The net of a weight file, to be trained.
pub fn load_net(backbone: &str, path: &std::path::Path) -> Result<EmbeddingNet> {
    let parameters: BTreeMap<_, _> = safetensors::load(path, &Device::Cpu)?.into_iter().collect();
    Ok(EmbeddingNet::new(backbone, Parameters::new(parameters))?)
}

fn load_batches(path: &std::path::Path) -> Result<Vec<Batch>> {
    let tensors = safetensors::load(path, &Device::Cpu)?;
    let (pixels, labels) = (&tensors["pixels"], &tensors["labels"]);
    let batch = |index| {
        let labels = labels.get(index)?.to_vec1::<i64>()?.into_iter().map(|label| label as u32).collect();
        Ok(Batch::new(pixels.get(index)?, labels)?)
    };
    (0..pixels.dim(0)?).map(batch).collect()
}
