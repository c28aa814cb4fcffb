//! One attack on one set of queries: what was measured on each query, and its summary.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{DType, Tensor};
use holdfast_attack::{AttackedBatch, Pgd, Pictures, Protocol, RankingAttack, Rules, attack_batch, score};
use holdfast_model::{Embedder, EmbeddingSet, distance, pixels};
use rand::RngCore;

use super::error::WindowError;
use super::view::{AttackResult, OutcomeResult, Summary};

/// Embeddings closer than this are the same up to rounding in float32.
const SAME_EMBEDDING: f64 = 1e-5;

/// Given to items without a label, and never to a class.
pub(super) const UNLABELLED: u32 = u32::MAX;
/// Given to query classes that no item of the gallery has.
const NOT_IN_GALLERY: u32 = u32::MAX - 1;

/// Query pictures of one kind, with their classes where these are known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct QuerySet {
    /// C·H·W intensities in [0, 1] for each picture.
    pub pictures: Vec<Vec<f32>>,
    /// One class name a picture.
    pub labels: Option<Vec<String>>,
}

/// Says whether the first hit of a search by this embedding is of this class.
pub(super) type FirstHitIs<'a> = dyn Fn(&[f32], &str) -> Result<bool, WindowError> + 'a;

/// What a set is attacked with, and where.
pub(super) struct Attacker<'a> {
    /// The live net, paced.
    pub embedder: &'a dyn Embedder,
    /// The items of the live index, or a sample of them: targets, and what ranks refer to.
    pub gallery: &'a EmbeddingSet,
    /// The number of each class name in the gallery's labels.
    pub classes: &'a BTreeMap<String, u32>,
    /// Searches the live index, as a user does.
    pub first_hit_is: &'a FirstHitIs<'a>,
    pub pgd: Pgd,
    /// Pictures in one pass.
    pub batch: usize,
}

/// What one attack did to each query of a set, in the order of the set.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Measured {
    /// By outcome name, in the order that the attack reports them.
    pub outcomes: Vec<(&'static str, Vec<f64>)>,
    /// Distance between the embeddings before and after.
    pub embedding_shift: Vec<f64>,
    /// Share of the gallery that came in before the item which had been nearest.
    pub rank_shift: Vec<f64>,
    /// Whether the first hit is still of the right class; empty without labels.
    pub first_hit_right: Vec<bool>,
    /// Largest change of a pixel.
    pub largest_change: f64,
}

impl Attacker<'_> {
    /// R@1 in percent of the untouched pictures through the live index; none without labels.
    pub fn benign_recall(&self, set: &QuerySet) -> Result<Option<f64>, WindowError> {
        let Some(labels) = &set.labels else { return Ok(None) };
        let mut right = Vec::with_capacity(labels.len());
        for (pictures, labels) in set.pictures.chunks(self.batch).zip(labels.chunks(self.batch)) {
            let embeddings = self.embedder.embed(&self.tensor(pictures)?)?;
            right.extend(self.first_hits(&embeddings, labels)?);
        }
        Ok(percent(&right))
    }

    /// Attacks every picture of a set, batch by batch.
    pub fn attack(
        &self,
        set: &QuerySet,
        attack: &dyn RankingAttack,
        rng: &mut dyn RngCore,
    ) -> Result<Measured, WindowError> {
        let mut measured = Measured::default();
        for start in (0..set.pictures.len()).step_by(self.batch) {
            let end = (start + self.batch).min(set.pictures.len());
            let pixels = self.tensor(&set.pictures[start..end])?;
            let labels = set.labels.as_ref().map(|labels| &labels[start..end]);
            let numbers: Option<Vec<u32>> = labels.map(|labels| labels.iter().map(|name| self.class(name)).collect());

            let pictures = Pictures { pixels: &pixels, labels: numbers.as_deref(), protocol: Protocol::QueryGallery };
            let attacked = attack_batch(self.embedder, pictures, self.gallery, attack, &Rules::from(self.pgd), rng)?;
            measured.first_hit_right.extend(self.first_hits(&attacked.embeddings, labels.unwrap_or_default())?);
            measured.rank_shift.extend(self.rank_shift(&attacked)?);
            measured.largest_change = measured.largest_change.max(largest_change(&pixels, &attacked.pixels)?);
            measured.extend(attacked);
        }
        Ok(measured)
    }

    fn tensor(&self, pictures: &[Vec<f32>]) -> Result<Tensor, WindowError> {
        let embedder = self.embedder;
        Ok(pixels::batch(pictures, embedder.input(), embedder.device(), embedder.dtype())?)
    }

    /// The number of a class; one that the gallery does not have gets a number that it does not have either.
    fn class(&self, name: &str) -> u32 {
        self.classes.get(name).copied().unwrap_or(NOT_IN_GALLERY)
    }

    fn first_hits(&self, embeddings: &Tensor, labels: &[String]) -> Result<Vec<bool>, WindowError> {
        if labels.is_empty() {
            return Ok(Vec::new());
        }
        let rows = embeddings.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        rows.iter().zip(labels).map(|(row, label)| (self.first_hit_is)(row, label)).collect()
    }

    fn rank_shift(&self, attacked: &AttackedBatch) -> Result<Vec<f64>, WindowError> {
        let rows = |embeddings: &Tensor| -> Result<Vec<Vec<f64>>, WindowError> {
            let distances = distance::distance_matrix(embeddings, &self.gallery.embeddings)?;
            Ok(distances.to_dtype(DType::F64)?.to_vec2()?)
        };
        let (before, after) = (rows(&attacked.benign.embeddings)?, rows(&attacked.embeddings)?);
        Ok(before.iter().zip(&after).map(|(before, after)| overtaken(before, after)).collect())
    }
}

/// The share of gallery items that are nearer than the one that was nearest before; distances to the same items, in the
/// same order.
fn overtaken(before: &[f64], after: &[f64]) -> f64 {
    let Some(nearest) = (0..before.len()).min_by(|&left, &right| before[left].total_cmp(&before[right])) else {
        return 0.0;
    };
    let nearer = after.iter().filter(|&&distance| distance < after[nearest]).count();
    nearer as f64 / after.len() as f64
}

fn largest_change(before: &Tensor, after: &Tensor) -> Result<f64, WindowError> {
    let change = (after - before)?.abs()?.flatten_all()?.max(0)?;
    Ok(change.to_dtype(DType::F64)?.to_scalar()?)
}

/// The share that is true, in percent; none of nothing.
fn percent(values: &[bool]) -> Option<f64> {
    let right = values.iter().filter(|right| **right).count();
    (!values.is_empty()).then(|| 100.0 * right as f64 / values.len() as f64)
}

impl Measured {
    fn extend(&mut self, attacked: AttackedBatch) {
        self.embedding_shift.extend(attacked.embedding_shift);
        for outcome in attacked.outcomes {
            match self.outcomes.iter_mut().find(|(name, _)| *name == outcome.name) {
                Some((_, raw)) => raw.extend(outcome.raw),
                None => self.outcomes.push((outcome.name, outcome.raw)),
            }
        }
    }

    /// The sanity of the attack itself. Robustness that comes from an attack standing still is no robustness.
    pub fn checks(&self) -> BTreeMap<String, bool> {
        let pixels_moved = self.largest_change > 0.0;
        let embedding_moved = self.embedding_shift.iter().any(|shift| *shift > SAME_EMBEDDING);
        [("pixels_moved", pixels_moved), ("embedding_moved", embedding_moved)]
            .map(|(name, passed)| (name.to_owned(), passed))
            .into()
    }

    /// Means and spreads over the queries.
    pub fn result(&self, attack: &dyn RankingAttack, started: Instant) -> AttackResult {
        let outcomes = self.outcomes.iter().filter_map(|(name, raw)| {
            let raw = mean(raw)?;
            Some(OutcomeResult { name: (*name).to_owned(), raw, score: score(name, raw)? })
        });
        AttackResult {
            attack: attack.name().to_owned(),
            description: attack.description().to_owned(),
            outcomes: outcomes.collect(),
            recall_at_1: percent(&self.first_hit_right),
            embedding_shift: summary(&self.embedding_shift),
            rank_shift: summary(&self.rank_shift),
            checks: self.checks(),
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Quantiles are values that occurred: the smallest one that at least that share of the queries does not exceed.
fn summary(values: &[f64]) -> Summary {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    };
    Summary { mean: mean(values).unwrap_or(0.0), median: quantile(0.5), p90: quantile(0.9), max: quantile(1.0) }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use holdfast_attack::by_names;
    use holdfast_model::InputShape;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::testing;
    use super::*;

    /// Attacks five labelled pictures in batches of two; a first hit is right if `first_hit` is its label.
    fn attack_with(embedder: &dyn Embedder, first_hit: &str) -> Measured {
        let gallery = embedder.embed(&testing::pixels(embedder, 120)).unwrap();
        let attacker = Attacker {
            embedder,
            gallery: &EmbeddingSet::new(gallery, Some(vec![0; 120])).unwrap(),
            classes: &[("boot".to_owned(), 0)].into(),
            first_hit_is: &|_, label| Ok(label == first_hit),
            pgd: Pgd::new(8.0 / 255.0, 4.0 / 255.0, 3).unwrap(),
            batch: 2,
        };
        let labels = ["boot", "boot", "boot", "shirt", "shirt"].map(str::to_owned).to_vec();
        let set = QuerySet { pictures: testing::pictures(embedder, 5), labels: Some(labels) };
        attacker.attack(&set, by_names("ES").unwrap()[0], &mut ChaCha8Rng::seed_from_u64(3)).unwrap()
    }

    #[test]
    fn every_query_of_every_batch_is_measured() {
        let measured = attack_with(&testing::net(), "shirt");

        assert_eq!(measured.first_hit_right, [false, false, false, true, true]);
        assert_eq!((measured.embedding_shift.len(), measured.rank_shift.len()), (5, 5));
        assert!(measured.outcomes.iter().all(|(_, raw)| raw.len() == 5));
        assert!(measured.checks().values().all(|passed| *passed));
    }

    #[test]
    fn a_result_holds_one_score_per_outcome_and_the_share_of_right_first_hits() {
        let result = attack_with(&testing::net(), "shirt").result(by_names("ES").unwrap()[0], Instant::now());

        let names: Vec<_> = result.outcomes.iter().map(|outcome| outcome.name.as_str()).collect();
        assert_eq!(names, ["ES:D", "ES:R"]);
        assert_eq!(result.recall_at_1, Some(40.0));
        assert!(result.outcomes.iter().all(|outcome| (0.0..=100.0).contains(&outcome.score)));
    }

    /// Looks robust: nothing that is done to a picture changes its embedding.
    struct Masked;

    impl Embedder for Masked {
        fn embed(&self, pixels: &Tensor) -> holdfast_model::Result<Tensor> {
            let sums = pixels.flatten_from(1)?.sum_keepdim(1)?; // (B, 1)
            let nothing = (&sums * sums.zeros_like()?)?;
            Ok(Tensor::cat(&[&(&nothing + 1.0)?, &nothing], 1)?)
        }

        fn input(&self) -> InputShape {
            InputShape { channels: 1, height: 2, width: 2 }
        }

        fn dim(&self) -> usize {
            2
        }

        fn dtype(&self) -> DType {
            DType::F32
        }

        fn device(&self) -> &Device {
            &Device::Cpu
        }
    }

    #[test]
    fn a_net_that_hides_its_gradient_is_not_called_robust() {
        let checks = attack_with(&Masked, "boot").checks();

        assert_eq!(checks, [("pixels_moved".to_owned(), false), ("embedding_moved".to_owned(), false)].into());
    }

    #[test]
    fn the_rank_shift_counts_the_items_that_came_in_before_the_formerly_nearest() {
        assert_eq!(overtaken(&[0.3, 0.1, 0.9, 0.5], &[0.2, 0.6, 0.1, 0.7]), 0.5);
        assert_eq!(overtaken(&[0.3, 0.1], &[0.3, 0.1]), 0.0);
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=10).rev().map(f64::from).collect();

        assert_eq!(summary(&values), Summary { mean: 5.5, median: 5.0, p90: 9.0, max: 10.0 });
        assert_eq!(summary(&[0.25]), Summary { mean: 0.25, median: 0.25, p90: 0.25, max: 0.25 });
    }
}
