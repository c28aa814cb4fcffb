//! The evaluation protocol: benign retrieval, then each attack on each batch, and their means.

use std::collections::BTreeMap;

use holdfast_model::metrics::Retrieval;
use holdfast_model::{Embedder, EmbeddingSet};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::attacks::{RankingAttack, mean};
use crate::clustering::normalized_mutual_information_of_clusters;
use crate::retrieval::{self, retrieval};
use crate::sanity::{self, Sanity, chance_recall_at_1};
use crate::{
    AttackScore, AttackedBatch, Averaging, ERS_TERMS, Error, Labelled, Profile, Protocol, Queries, Report, Result,
    TestSet, attack_queries, ers, score,
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
    /// How many of these to look at for signs that robustness is not real, see [`mod@sanity`]; 0 for none.
    pub sanity: usize,
}

/// Called with a stage ("gallery", "queries", an attack's name, or "sanity"), the pictures done and the pictures to do.
/// Attacks take turns: each batch of pictures meets all of them before the next batch does.
pub type Progress<'a> = dyn FnMut(&str, usize, usize) + 'a;

/// Measures an embedder on labelled pictures: all queries untouched, then the first of them under attack.
///
/// The gallery stays clean. Targets depend on the seed, the attack and the batch number only, so that a run of one
/// attack repeats its part of a run of all.
///
/// # Errors
/// If a set is empty or labels do not match it, a query has no picture of its class to find, an attack cannot be
/// mounted, or anything is not finite.
///
/// Source: the evaluation of robrank, arXiv 2106.03614.
pub fn evaluate(
    embedder: &dyn Embedder,
    set: &TestSet<'_>,
    attacks: &[&dyn RankingAttack],
    options: &EvaluateOptions,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    set.check()?;
    options.profile.rules()?;
    let attacked = options.queries.unwrap_or(usize::MAX).min(set.queries().labels.len());
    if attacked == 0 {
        return Err(Error::Empty { what: "query" });
    }
    let batch = options.profile.batch;
    let gallery = retrieval::embed(embedder, set.gallery(), batch, "gallery", progress)?;
    let queries = match set.protocol() {
        Protocol::LeaveOneOut => gallery.clone(),
        Protocol::QueryGallery => retrieval::embed(embedder, set.queries(), batch, "queries", progress)?,
    };
    let benign = retrieval(&queries, &gallery, set.protocol())?;
    let under_attack = UnderAttack { embedder, pictures: set.queries(), gallery: &gallery, protocol: set.protocol() };
    let scores = measure(&under_attack, attacked, attacks, options, progress)?;
    let mut report = summarise(&benign, &under_attack, attacked, scores, options)?;
    report.sanity = doubt(embedder, set, &report, options, progress)?;
    Ok(report)
}

/// Looks for signs that the robustness in a report is not real.
fn doubt(
    embedder: &dyn Embedder,
    set: &TestSet<'_>,
    report: &Report,
    options: &EvaluateOptions,
    progress: &mut Progress<'_>,
) -> Result<Option<Sanity>> {
    let queries = options.sanity.min(report.queries).min(options.profile.batch);
    if queries == 0 {
        return Ok(None);
    }
    progress("sanity", 0, queries);
    let pixels = set.queries().pixels.narrow(0, 0, queries)?;
    let chance = chance_recall_at_1(set.queries(), set.gallery(), set.protocol());
    let mut rng = stream(options.seed, "sanity", 0);
    let measured = sanity::measure(embedder, &pixels, &options.profile.rules()?, chance, &mut rng)?;
    progress("sanity", queries, queries);
    Ok(Some(Sanity { queries, measured, flags: measured.flags(report.recall_at_1, report.ers) }))
}

/// The pictures under attack and what they are searched in.
struct UnderAttack<'a> {
    embedder: &'a dyn Embedder,
    pictures: Labelled<'a>,
    gallery: &'a EmbeddingSet,
    protocol: Protocol,
}

/// All attacks on the first `queries` pictures, batch by batch: a batch is embedded and placed in the gallery once.
fn measure(
    set: &UnderAttack<'_>,
    queries: usize,
    attacks: &[&dyn RankingAttack],
    options: &EvaluateOptions,
    progress: &mut Progress<'_>,
) -> Result<BTreeMap<String, AttackScore>> {
    let (batch, rules) = (options.profile.batch, options.profile.rules()?);
    let mut tallies: Vec<Tally> = attacks.iter().map(|_| Tally::default()).collect();
    for (number, start) in (0..queries).step_by(batch).enumerate() {
        let size = batch.min(queries - start);
        let (pixels, labels) = (set.pictures.pixels.narrow(0, start, size)?, &set.pictures.labels[start..start + size]);
        let clean = set.embedder.embed(&pixels)?.detach();
        let standing = Queries::new(clean, Some(labels), set.protocol, set.gallery)?;
        for (&attack, tally) in attacks.iter().zip(&mut tallies) {
            let mut rng = stream(options.seed, attack.name(), number as u64);
            tally.add(&attack_queries(set.embedder, &pixels, &standing, set.gallery, attack, &rules, &mut rng)?);
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
    model_queries: Option<usize>,
}

impl Tally {
    fn add(&mut self, batch: &AttackedBatch) {
        for outcome in &batch.outcomes {
            self.outcomes.entry(outcome.name).or_default().push(outcome.mean());
        }
        self.recall_at_1.extend(batch.recall_at_1.as_deref().map(mean));
        self.embedding_shift.push(mean(&batch.embedding_shift));
        self.model_queries = batch.model_queries;
    }

    fn scores(&self) -> Result<Vec<(String, AttackScore)>> {
        let recall_at_1 = (!self.recall_at_1.is_empty()).then(|| mean(&self.recall_at_1));
        let embedding_shift = mean(&self.embedding_shift);
        let scored = self.outcomes.iter().map(|(&name, means)| {
            let raw = mean(means);
            let unknown = || Error::Unknown { kind: "score term", name: name.to_owned(), known: ERS_TERMS.join(", ") };
            let score = score(name, raw).ok_or_else(unknown)?;
            let model_queries = self.model_queries;
            Ok((name.to_owned(), AttackScore { raw, score, recall_at_1, embedding_shift, model_queries }))
        });
        scored.collect()
    }
}

fn summarise(
    benign: &Retrieval,
    set: &UnderAttack<'_>,
    queries: usize,
    attacks: BTreeMap<String, AttackScore>,
    options: &EvaluateOptions,
) -> Result<Report> {
    let batch = options.profile.batch;
    let first: Vec<f64> = benign.ranks[..queries].iter().map(|&rank| if rank == 0 { 100.0 } else { 0.0 }).collect();
    let terms = attacks.iter().map(|(name, attack)| (name.clone(), attack.score)).collect();
    let ranks: Vec<f64> = benign.ranks.iter().map(|&rank| rank as f64).collect();
    let shared = normalized_mutual_information_of_clusters(set.gallery, &mut stream(options.seed, "clusters", 0))?;
    Ok(Report {
        profile: options.profile.clone(),
        protocol: set.protocol,
        seed: options.seed,
        gallery: set.gallery.len(),
        queries,
        averaging: Averaging::BatchMeans,
        recall_at_1: 100.0 * benign.recall_at_over_batches(1, batch),
        recall_at_2: 100.0 * benign.recall_at_over_batches(2, batch),
        mean_average_precision: 100.0 * benign.mean_average_precision_over_batches(batch),
        mean_average_precision_at_10: Some(100.0 * benign.mean_average_precision_at_10_over_batches(batch)),
        mean_rank: Some(mean_of_batch_means(&ranks, batch)),
        normalized_mutual_information: Some(100.0 * shared),
        queries_recall_at_1: mean_of_batch_means(&first, batch),
        attacks,
        ers: ers(&terms).ok(),
        sanity: None,
    })
}

/// The unweighted mean of the means over batches, see [`Averaging::BatchMeans`].
fn mean_of_batch_means(values: &[f64], batch: usize) -> f64 {
    mean(&values.chunks(batch).map(mean).collect::<Vec<_>>())
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
