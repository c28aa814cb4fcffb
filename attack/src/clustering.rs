//! How well clusters of embeddings are the classes: k-means, and its normalised mutual information with the labels.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use candle_core::{DType, Tensor};
use holdfast_model::EmbeddingSet;
use rand::{Rng, RngCore};

use crate::distances::{Distances, nearest};
use crate::{Error, Result};

/// Updates of the centroids, as in faiss, which the reference calls.
const ITERATIONS: usize = 25;
/// Rows whose distances to the centroids are held at once.
const ROWS_AT_ONCE: usize = 1024;

/// Normalised mutual information, in [0, 1], of the classes of a labelled set and as many clusters of it.
///
/// Clusters are those of k-means after k-means++ seeding from `rng` and 25 iterations. Which ones are found depends on
/// the implementation and the seed: the value varies by some tenths of a percent.
///
/// # Errors
/// If the set is unlabelled, or a tensor operation fails.
///
/// Source: the evaluation of robrank; Arthur and Vassilvitskii 2007 for the seeding.
pub fn normalized_mutual_information_of_clusters(set: &EmbeddingSet, rng: &mut dyn RngCore) -> Result<f64> {
    let labels = set.labels.as_deref().ok_or(Error::LabelsMissing { attack: "clustering" })?;
    let classes = labels.iter().collect::<BTreeSet<_>>().len();
    let start = spread_centroids(&set.embeddings, classes, rng)?;
    let clusters = lloyd(&set.embeddings, &start, ITERATIONS)?;
    Ok(normalized_mutual_information(labels, &clusters))
}

/// Rows of `points` (N, D) to start from, by k-means++: each is drawn with a probability proportional to its squared
/// distance from the nearest one drawn before. Returns (k, D).
fn spread_centroids(points: &Tensor, count: usize, rng: &mut dyn RngCore) -> Result<Tensor> {
    let rows = points.dim(0)?;
    let mut chosen = vec![rng.random_range(0..rows)];
    let mut squares = vec![f64::INFINITY; rows];
    while chosen.len() < count.min(rows) {
        let newest = points.narrow(0, chosen[chosen.len() - 1], 1)?;
        let distances = Distances::measure(&newest, points)?;
        for (square, distance) in squares.iter_mut().zip(distances.row(0)) {
            *square = square.min(distance * distance);
        }
        chosen.push(draw(&squares, rng));
    }
    let chosen: Vec<u32> = chosen.into_iter().map(|row| row as u32).collect();
    Ok(points.index_select(&Tensor::new(chosen, points.device())?, 0)?)
}

/// An index with a probability proportional to its weight; any, where all are 0.
fn draw(weights: &[f64], rng: &mut dyn RngCore) -> usize {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return rng.random_range(0..weights.len());
    }
    let mut left = rng.random::<f64>() * total;
    let reaches = |weight: &f64| {
        left -= weight;
        left < 0.0
    };
    // Rounding may leave a little beyond the last weight.
    weights.iter().position(reaches).unwrap_or(weights.len() - 1)
}

/// The cluster of each of `points` (N, D) after `iterations` of Lloyd's algorithm from `centroids` (k, D).
///
/// Ties go to the lowest index; a cluster without points keeps its centroid.
///
/// # Errors
/// If the rows have different lengths.
pub fn lloyd(points: &Tensor, centroids: &Tensor, iterations: usize) -> Result<Vec<usize>> {
    let points = points.detach();
    let rows = points.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let mut centroids = centroids.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let mut clusters = assign(&points, &centroids)?;
    for _ in 0..iterations {
        centroids = means(&rows, &clusters, centroids);
        let moved = assign(&points, &centroids)?;
        if moved == clusters {
            break; // nothing will change any more
        }
        clusters = moved;
    }
    Ok(clusters)
}

/// The nearest centroid of each point.
fn assign(points: &Tensor, centroids: &[Vec<f64>]) -> Result<Vec<usize>> {
    let dim = points.dim(1)?;
    let centroids = Tensor::from_vec(centroids.concat(), (centroids.len(), dim), points.device())?;
    let centroids = centroids.to_dtype(points.dtype())?;
    let rows = points.dim(0)?;
    let mut clusters = Vec::with_capacity(rows);
    for first in (0..rows).step_by(ROWS_AT_ONCE) {
        let distances = Distances::measure(&points.narrow(0, first, ROWS_AT_ONCE.min(rows - first))?, &centroids)?;
        let own = |row: usize| nearest(distances.row(row), 0..distances.items()).unwrap_or(0);
        clusters.extend((0..distances.len()).map(own));
    }
    Ok(clusters)
}

/// The mean of each cluster's rows; that of `before` where it has none.
fn means(rows: &[Vec<f64>], clusters: &[usize], before: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut sums: Vec<Vec<f64>> = before.iter().map(|centroid| vec![0.0; centroid.len()]).collect();
    let mut counts = vec![0_usize; before.len()];
    for (row, &cluster) in rows.iter().zip(clusters) {
        counts[cluster] += 1;
        for (sum, value) in sums[cluster].iter_mut().zip(row) {
            *sum += value;
        }
    }
    let mean = |((sum, count), before): ((Vec<f64>, usize), Vec<f64>)| match count {
        0 => before,
        count => sum.into_iter().map(|sum| sum / count as f64).collect(),
    };
    sums.into_iter().zip(counts).zip(before).map(mean).collect()
}

/// I(A; B) / ((H(A) + H(B)) / 2) of two groupings of the same items, in [0, 1]; 1 where both are one group.
///
/// # Panics
/// If there is not one group of each kind an item.
#[must_use]
pub fn normalized_mutual_information(classes: &[u32], clusters: &[usize]) -> f64 {
    assert_eq!(classes.len(), clusters.len(), "each item has a class and a cluster");
    let pairs: Vec<(u32, usize)> = classes.iter().copied().zip(clusters.iter().copied()).collect();
    let (by_class, by_cluster, joint) = (entropy(classes), entropy(clusters), entropy(&pairs));
    if by_class + by_cluster == 0.0 {
        return 1.0;
    }
    2.0 * (by_class + by_cluster - joint).max(0.0) / (by_class + by_cluster)
}

/// In nats.
fn entropy<T: Ord + Hash>(groups: &[T]) -> f64 {
    let mut counts = BTreeMap::new();
    for group in groups {
        *counts.entry(group).or_insert(0_usize) += 1;
    }
    let share = |count: usize| count as f64 / groups.len() as f64;
    -counts.values().map(|&count| share(count) * share(count).ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Three groups of points on the circle, far apart.
    fn groups() -> (Tensor, Vec<u32>) {
        let labels: Vec<u32> = (0..30).map(|point| point % 3).collect();
        let angle = |point: usize| 2.0 * (point % 3) as f64 + 0.01 * (point / 3) as f64;
        let rows: Vec<f64> = (0..30).flat_map(|point| [angle(point).cos(), angle(point).sin()]).collect();
        (Tensor::from_vec(rows, (30, 2), &Device::Cpu).unwrap(), labels)
    }

    #[test]
    fn clusters_that_are_the_classes_share_all_information_whatever_the_seed() {
        let (points, labels) = groups();
        let set = EmbeddingSet::new(points, Some(labels)).unwrap();
        for seed in 0..20 {
            let shared = normalized_mutual_information_of_clusters(&set, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            assert!((shared - 1.0).abs() < 1e-12, "seed {seed}: {shared}");
        }
    }

    #[test]
    fn seeding_takes_each_group_once() {
        let (points, labels) = groups();
        for seed in 0..20 {
            let chosen = spread_centroids(&points, 3, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
            let groups: BTreeSet<u32> =
                assign(&chosen, &points.to_vec2().unwrap()).unwrap().into_iter().map(|row| labels[row]).collect();
            assert_eq!(groups.len(), 3, "seed {seed}");
        }
    }

    #[test]
    fn a_cluster_without_points_keeps_its_centroid() {
        let points = Tensor::new(&[[0.0], [1.0]], &Device::Cpu).unwrap();
        let centroids = Tensor::new(&[[0.4], [0.6], [90.0]], &Device::Cpu).unwrap();

        assert_eq!(lloyd(&points, &centroids, 5).unwrap(), [0, 1]);
        assert_eq!(means(&[vec![3.0]], &[1], vec![vec![7.0], vec![5.0]]), [[7.0], [3.0]]);
    }

    #[test]
    fn points_in_one_place_are_clustered_too() {
        let set = EmbeddingSet::new(Tensor::ones((4, 1), DType::F32, &Device::Cpu).unwrap(), Some(vec![0, 0, 1, 1]));

        let shared =
            normalized_mutual_information_of_clusters(&set.unwrap(), &mut ChaCha8Rng::seed_from_u64(1)).unwrap();

        assert_eq!(shared, 0.0);
    }

    #[test]
    fn independent_groupings_share_nothing_and_equal_ones_all() {
        assert!(normalized_mutual_information(&[0, 0, 1, 1], &[0, 1, 0, 1]).abs() < 1e-12);
        assert!((normalized_mutual_information(&[0, 0, 1, 1], &[5, 5, 3, 3]) - 1.0).abs() < 1e-12);
        // H(A) = ln 2, H(B) = 1.5 ln 2, I = ln 2.
        assert!((normalized_mutual_information(&[0, 0, 1, 1], &[0, 1, 2, 2]) - 0.8).abs() < 1e-12);
    }
}
