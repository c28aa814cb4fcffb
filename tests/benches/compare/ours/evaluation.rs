//! An evaluation of ours, or a part of one.

use anyhow::Result;
use candle_core::{Device, Tensor, safetensors};
use holdfast_attack::{
    ERS_ATTACKS, EvaluateOptions, Labelled, Pgd, Pictures, Profile, Protocol, RankingAttack, Rules, TestSet,
    attack_batch, evaluate,
};
use holdfast_model::{Embedder, EmbeddingNet, EmbeddingSet, metrics};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::training::load_net;
use super::{Work, timed};
use crate::evaluation::{BATCH, Evaluation, Part};

/// A work that does the part once.
pub fn prepare(settings: &Evaluation) -> Result<Work> {
    let tensors = safetensors::load(&settings.pictures, &Device::Cpu)?;
    let labels = tensors["labels"].to_vec1::<i64>()?.into_iter().map(|label| label as u32).collect();
    let set =
        Set { net: load_net(&settings.backbone, &settings.net)?.packed()?, pixels: tensors["pixels"].clone(), labels };
    let Evaluation { epsilon, alpha, steps, queries, .. } = *settings;
    Ok(match settings.part {
        Part::Benign => timed(move || {
            metrics::retrieval(&set.gallery()?)?;
            Ok(())
        }),
        Part::Batch => {
            let (gallery, rules) = (set.gallery()?, Rules::from(Pgd::new(epsilon, alpha, steps)?));
            timed(move || ERS_ATTACKS.iter().try_for_each(|attack| set.attack(*attack, &gallery, &rules)))
        }
        Part::Whole => {
            let profile = Profile { epsilon, alpha, steps, batch: BATCH, ..Profile::preset("rob28")? };
            let options = EvaluateOptions { profile, queries: Some(queries), seed: 1, sanity: 0 };
            timed(move || {
                let labelled = Labelled { pixels: &set.pixels, labels: &set.labels };
                evaluate(&set.net, &TestSet::LeaveOneOut(labelled), ERS_ATTACKS, &options, &mut |_, _, _| {})?;
                Ok(())
            })
        }
    })
}

struct Set {
    net: EmbeddingNet,
    pixels: Tensor,
    labels: Vec<u32>,
}

impl Set {
    fn gallery(&self) -> Result<EmbeddingSet> {
        let rows = (0..self.labels.len()).step_by(BATCH).map(|first| {
            let size = BATCH.min(self.labels.len() - first);
            Ok(self.net.embed(&self.pixels.narrow(0, first, size)?)?)
        });
        Ok(EmbeddingSet::new(Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 0)?, Some(self.labels.clone()))?)
    }

    fn attack(&self, attack: &dyn RankingAttack, gallery: &EmbeddingSet, rules: &Rules) -> Result<()> {
        let pictures = Pictures {
            pixels: &self.pixels.narrow(0, 0, BATCH)?,
            labels: Some(&self.labels[..BATCH]),
            protocol: Protocol::LeaveOneOut,
        };
        attack_batch(&self.net, pictures, gallery, attack, rules, &mut ChaCha8Rng::seed_from_u64(1))?;
        Ok(())
    }
}
