//! The evaluation protocol: benign retrieval, then each attack on each batch, and their means.

use std::collections::BTreeMap;

use candle_core::Tensor;
use holdfast_model::{Embedder, EmbeddingSet, metrics};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::attacks::{RankingAttack, mean};
use crate::tensors::ensure_finite;
use crate::{
    AttackScore, AttackedBatch, Averaging, ERS_TERMS, Error, Membership, Profile, Queries, Report, Result,
    attack_queries, ers, score,
};

/// What to measure.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluateOptions {
    /// The budget.
    pub profile: Profile,
    /// How many pictures to attack, from the first; all if absent. A set sorted by class wants shuffling before.
    pub queries: Option<usize>,
    /// Determines the targets.
    pub seed: u64,
}

/// Called with a stage ("gallery", or an attack's name), the pictures done and the pictures to do. Attacks take turns:
/// each batch of pictures meets all of them before the next batch does.
pub type Progress<'a> = dyn FnMut(&str, usize, usize) + 'a;

/// Measures an embedder on a labelled set (N, C, H, W) that is its own gallery, each picture excluded from its results.
///
/// The gallery stays clean. Targets depend on the seed, the attack and the batch number only, so that a run of one
/// attack repeats its part of a run of all.
///
/// # Errors
/// If the set is empty or labels do not match it, an attack cannot be mounted on it, or anything is not finite.
///
/// Source: the evaluation of robrank, arXiv 2106.03614.
pub fn evaluate(
    embedder: &dyn Embedder,
    pixels: &Tensor,
    labels: &[u32],
    attacks: &[&dyn RankingAttack],
    options: &EvaluateOptions,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    let pictures = pixels.dim(0)?;
    if pictures != labels.len() {
        return Err(Error::LabelCount { pictures, labels: labels.len() });
    }
    let queries = options.queries.unwrap_or(pictures).min(pictures);
    if queries == 0 {
        return Err(Error::Empty { what: "query" });
    }
    options.profile.pgd()?;

    let gallery = embed_gallery(embedder, pixels, labels, options.profile.batch, progress)?;
    let set = Attacked { embedder, pixels, labels, gallery: &gallery };
    let scores = measure(&set, queries, attacks, options, progress)?;
    summarise(&gallery, queries, scores, options)
}

/// The pictures under attack and what they are searched in.
struct Attacked<'a> {
    embedder: &'a dyn Embedder,
    pixels: &'a Tensor,
    labels: &'a [u32],
    gallery: &'a EmbeddingSet,
}

fn embed_gallery(
    embedder: &dyn Embedder,
    pixels: &Tensor,
    labels: &[u32],
    batch: usize,
    progress: &mut Progress<'_>,
) -> Result<EmbeddingSet> {
    let mut embeddings = Vec::new();
    for start in (0..labels.len()).step_by(batch) {
        let size = batch.min(labels.len() - start);
        let rows = embedder.embed(&pixels.narrow(0, start, size)?)?.detach();
        ensure_finite(&rows, "the gallery", 0)?;
        embeddings.push(rows);
        progress("gallery", start + size, labels.len());
    }
    Ok(EmbeddingSet::new(Tensor::cat(&embeddings, 0)?, Some(labels.to_vec()))?)
}

/// All attacks on the first `queries` pictures, batch by batch: a batch is embedded and placed in the gallery once.
fn measure(
    set: &Attacked<'_>,
    queries: usize,
    attacks: &[&dyn RankingAttack],
    options: &EvaluateOptions,
    progress: &mut Progress<'_>,
) -> Result<BTreeMap<String, AttackScore>> {
    let (batch, pgd) = (options.profile.batch, options.profile.pgd()?);
    let mut tallies: Vec<Tally> = attacks.iter().map(|_| Tally::default()).collect();
    for (number, start) in (0..queries).step_by(batch).enumerate() {
        let size = batch.min(queries - start);
        let (pixels, labels) = (set.pixels.narrow(0, start, size)?, &set.labels[start..start + size]);
        let clean = set.embedder.embed(&pixels)?.detach();
        let standing = Queries::new(clean, Some(labels), Membership::InGallery, set.gallery)?;
        for (&attack, tally) in attacks.iter().zip(&mut tallies) {
            let mut rng = stream(options.seed, attack.name(), number as u64);
            tally.add(&attack_queries(set.embedder, &pixels, &standing, set.gallery, attack, &pgd, &mut rng)?);
            progress(attack.name(), start + size, queries);
        }
    }
    let scores: Vec<_> = tallies.iter().map(Tally::scores).collect::<Result<_>>()?;
    Ok(scores.into_iter().flatten().collect())
}

/// The random stream of one attack on one batch: seed, batch number and attack's name are its key.
fn stream(seed: u64, attack: &str, batch: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&batch.to_le_bytes());
    for (slot, byte) in key[16..].iter_mut().zip(attack.bytes()) {
        *slot = byte;
    }
    ChaCha8Rng::from_seed(key)
}

/// Batch means, to be averaged.
#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<&'static str, Vec<f64>>,
    recall_at_1: Vec<f64>,
    embedding_shift: Vec<f64>,
}

impl Tally {
    fn add(&mut self, batch: &AttackedBatch) {
        for outcome in &batch.outcomes {
            self.outcomes.entry(outcome.name).or_default().push(outcome.mean());
        }
        self.recall_at_1.extend(batch.recall_at_1.as_deref().map(mean));
        self.embedding_shift.push(mean(&batch.embedding_shift));
    }

    fn scores(&self) -> Result<Vec<(String, AttackScore)>> {
        let recall_at_1 = (!self.recall_at_1.is_empty()).then(|| mean(&self.recall_at_1));
        let embedding_shift = mean(&self.embedding_shift);
        let scored = self.outcomes.iter().map(|(&name, means)| {
            let raw = mean(means);
            let unknown = || Error::Unknown { kind: "score term", name: name.to_owned(), known: ERS_TERMS.join(", ") };
            let score = score(name, raw).ok_or_else(unknown)?;
            Ok((name.to_owned(), AttackScore { raw, score, recall_at_1, embedding_shift }))
        });
        scored.collect()
    }
}

fn summarise(
    gallery: &EmbeddingSet,
    queries: usize,
    attacks: BTreeMap<String, AttackScore>,
    options: &EvaluateOptions,
) -> Result<Report> {
    let batch = options.profile.batch;
    let retrieval = metrics::retrieval(gallery)?;
    let first: Vec<f64> = retrieval.ranks[..queries].iter().map(|&rank| if rank == 0 { 100.0 } else { 0.0 }).collect();
    let terms = attacks.iter().map(|(name, attack)| (name.clone(), attack.score)).collect();
    Ok(Report {
        profile: options.profile.clone(),
        seed: options.seed,
        gallery: retrieval.ranks.len(),
        queries,
        averaging: Averaging::BatchMeans,
        recall_at_1: 100.0 * retrieval.recall_at_over_batches(1, batch),
        recall_at_2: 100.0 * retrieval.recall_at_over_batches(2, batch),
        mean_average_precision: 100.0 * retrieval.mean_average_precision_over_batches(batch),
        queries_recall_at_1: mean(&first.chunks(batch).map(mean).collect::<Vec<_>>()),
        attacks,
        ers: ers(&terms).ok(),
    })
}

#[cfg(test)]
mod tests {
    use rand::RngCore;

    use super::*;

    #[test]
    fn each_seed_attack_and_batch_has_its_own_stream() {
        let draw = |seed, attack, batch| stream(seed, attack, batch).next_u64();

        assert_eq!(draw(1, "QA+", 2), draw(1, "QA+", 2));
        for other in [draw(2, "QA+", 2), draw(1, "QA-", 2), draw(1, "QA+", 3), draw(2, "QA+", 1)] {
            assert_ne!(other, draw(1, "QA+", 2));
        }
    }
}
