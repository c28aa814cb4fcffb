//! Is the net still worth training? A look at held-out pictures between two steps.
//!
//! Training against attacks that are too strong can drive a net to one point: every picture gets the same embedding, no
//! attack moves it, and a robustness score alone would not tell. A probe measures what tells: how far embeddings lie
//! apart, and whether they still find their class.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use holdfast_model::distance::distance_matrix;
use holdfast_model::metrics::retrieval;
use holdfast_model::{Embedder, EmbeddingNet, EmbeddingSet};
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::Result;
use crate::step_log::rounded;

/// Embeddings whose mean distance is below this are one point with noise; the diameter of the sphere is 2.
const ONE_POINT: f64 = 0.01;
/// Standard deviations of R@1 up to which a difference is luck.
const LUCK: f64 = 3.0;
/// Pictures that are embedded at once.
const AT_ONCE: usize = 64;

/// Test pictures that a run looks at while it trains.
#[derive(Clone, Debug)]
pub struct HeldOut {
    pictures: Vec<usize>,
    labels: Vec<u32>,
    pixels: Tensor,
}

/// What a net makes of held-out pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Steps made before it.
    pub step: usize,
    /// Share of the pictures whose nearest neighbour is of their class, in percent.
    pub recall_at_1: f64,
    /// What random neighbours would reach, in percent.
    pub chance: f64,
    /// Mean distance of two different pictures, in [0, 2].
    pub mean_distance: f64,
    /// Standard deviation of these distances.
    pub distance_deviation: f64,
    /// The robustness score, where the run keeps the best by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ers: Option<f64>,
    /// Whether the net is of no use any more: one point, or no better than chance where it once was.
    pub collapsed: bool,
}

impl HeldOut {
    /// At most `count` test pictures, the last of each class in turn: the evaluation takes the first. Nothing if no two of
    /// them share a class.
    ///
    /// # Errors
    /// If a picture cannot be read, or the device refuses.
    pub fn choose(test: &Dataset, count: usize, net: &EmbeddingNet) -> Result<Option<Self>> {
        let pictures = last_of_each_class(&test.labels, count);
        if pictures.is_empty() {
            return Ok(None);
        }
        let labels = pictures.iter().map(|&picture| test.labels[picture]).collect();
        let pixels = test.gather(&pictures, net.device(), net.dtype())?;
        Ok(Some(Self { pictures, labels, pixels }))
    }

    /// How many of them are among the first `gallery` test pictures, which the evaluation searches.
    #[must_use]
    pub fn shared_with_evaluation(&self, gallery: usize) -> usize {
        self.pictures.iter().filter(|&&picture| picture < gallery).count()
    }

    /// How many pictures these are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Never: [`HeldOut::choose`] returns nothing instead.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Measures a net after `step` steps, of which there were `earlier` probes.
    ///
    /// # Errors
    /// If an embedding is not finite, or a tensor operation fails.
    pub fn probe(&self, net: &EmbeddingNet, step: usize, earlier: &[Probe]) -> Result<Probe> {
        let embeddings = self.embed(net)?;
        let (mean, deviation) = spread(&embeddings)?;
        let set = EmbeddingSet::new(embeddings, Some(self.labels.clone()))?;
        let mut probe = Probe {
            step,
            recall_at_1: rounded(100.0 * retrieval(&set)?.recall_at(1)),
            chance: rounded(100.0 * chance(&self.labels)),
            mean_distance: rounded(mean),
            distance_deviation: rounded(deviation),
            ers: None,
            collapsed: false,
        };
        probe.collapsed = probe.has_collapsed(self.len(), earlier);
        Ok(probe)
    }

    fn embed(&self, net: &EmbeddingNet) -> Result<Tensor> {
        let chunk = |first: usize| -> Result<Tensor> {
            let pixels = self.pixels.narrow(0, first, AT_ONCE.min(self.len() - first))?;
            Ok(net.embed(&pixels)?)
        };
        let chunks = (0..self.len()).step_by(AT_ONCE).map(chunk).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&chunks, 0)?)
    }
}

impl Probe {
    /// Whether the embeddings are one point, or have fallen, by more than luck, from what they once found to what luck
    /// finds.
    ///
    /// A net that never found more than chance has not collapsed, it may still learn; and few pictures prove nothing.
    fn has_collapsed(&self, pictures: usize, earlier: &[Self]) -> bool {
        let variance = |percent: f64| percent / 100.0 * (1.0 - percent / 100.0) / pictures as f64;
        let exceeds = |high: f64, low: f64, variance: f64| (high - low) / 100.0 > LUCK * variance.sqrt();
        let fell_from = |once: f64| exceeds(once, self.recall_at_1, variance(once) + variance(self.recall_at_1));
        let is_chance = !exceeds(self.recall_at_1, self.chance, variance(self.chance));
        self.mean_distance < ONE_POINT || (is_chance && earlier.iter().any(|probe| fell_from(probe.recall_at_1)))
    }
}

/// At most `count` pictures: the last of every class, then the last but one, …; no class with one picture alone.
fn last_of_each_class(labels: &[u32], count: usize) -> Vec<usize> {
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (picture, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(picture);
    }
    classes.retain(|_, pictures| pictures.len() > 1);
    let mut chosen = Vec::new();
    while chosen.len() < count && !classes.is_empty() {
        chosen.extend(classes.values_mut().filter_map(Vec::pop).take(count - chosen.len()));
        classes.retain(|_, pictures| !pictures.is_empty());
    }
    let members = |label| chosen.iter().filter(|&&picture| labels[picture] == label).count();
    let mut accompanied: Vec<usize> = chosen.iter().copied().filter(|&picture| members(labels[picture]) > 1).collect();
    accompanied.sort_unstable();
    accompanied
}

/// The mean and the standard deviation of the distance of two different rows of (N, D), N ≥ 2.
fn spread(embeddings: &Tensor) -> Result<(f64, f64)> {
    let rows = distance_matrix(embeddings, embeddings)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let different = |(i, row): (usize, Vec<f64>)| row.into_iter().enumerate().filter(move |&(j, _)| j != i);
    let distances: Vec<f64> = rows.into_iter().enumerate().flat_map(different).map(|(_, distance)| distance).collect();
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    let variance = distances.iter().map(|distance| (distance - mean).powi(2)).sum::<f64>() / distances.len() as f64;
    Ok((mean, variance.sqrt()))
}

/// The share of all other pictures that are of a picture's class, on average.
fn chance(labels: &[u32]) -> f64 {
    let mut members: BTreeMap<u32, f64> = BTreeMap::new();
    for &label in labels {
        *members.entry(label).or_default() += 1.0;
    }
    let all = labels.len() as f64;
    members.values().map(|count| count / all * (count - 1.0) / (all - 1.0)).sum()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const LABELS: [u32; 8] = [0, 1, 0, 1, 0, 1, 0, 2];

    #[test]
    fn the_last_pictures_of_each_class_are_held_out_and_lonely_ones_are_not() {
        assert_eq!(last_of_each_class(&LABELS, 4), [3, 4, 5, 6]);
        assert_eq!(last_of_each_class(&LABELS, 99), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(last_of_each_class(&LABELS, 3), [4, 6], "the only picture left of class 1 finds nothing");
        assert_eq!(last_of_each_class(&[0, 1, 2], 3), [0_usize; 0]);
    }

    #[test]
    fn spread_is_that_of_the_distances_between_different_rows() {
        let corners = Tensor::new(&[[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], &Device::Cpu).unwrap();

        let (mean, deviation) = spread(&corners).unwrap();

        // Distances 2, 0, 2, 2, 0, 2.
        assert!((mean - 4.0 / 3.0).abs() < 1e-12 && (deviation - 8f64.sqrt() / 3.0).abs() < 1e-12);
    }

    #[test]
    fn chance_is_the_share_of_company() {
        assert!((chance(&[0, 0, 1, 1]) - 1.0 / 3.0).abs() < 1e-12);
        assert!((chance(&[0, 0, 0]) - 1.0).abs() < 1e-12);
    }

    fn probe(recall_at_1: f64, mean_distance: f64) -> Probe {
        Probe {
            step: 1,
            recall_at_1,
            chance: 10.0,
            mean_distance,
            distance_deviation: 0.1,
            ers: None,
            collapsed: false,
        }
    }

    #[test]
    fn a_point_and_a_net_that_forgot_have_collapsed_and_one_that_never_knew_has_not() {
        let (sound, lost, point) = (probe(60.0, 0.9), probe(11.0, 0.9), probe(60.0, 0.001));

        assert!(!sound.has_collapsed(200, &[]));
        assert!(point.has_collapsed(200, &[]), "a point");
        assert!(lost.has_collapsed(200, std::slice::from_ref(&sound)), "it forgot");
        assert!(!lost.has_collapsed(8, &[sound]), "five pictures of eight may be luck");
        assert!(!lost.has_collapsed(200, std::slice::from_ref(&lost)), "it never knew");
    }
}
