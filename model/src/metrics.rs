//! How good embeddings are at retrieval: leave-one-out over one labelled set.
//!
//! Every row is a query against all rows, itself included. The gallery is sorted by distance, and the first entry is
//! dropped: it is the query itself, unless another row is nearer by rounding.
//!
//! Source: `models/template_rank.py` of robrank; agrees with it on `golden/benign_metrics.safetensors`. There the order of
//! equal distances is left to the sort; here the query comes first, then the lower row, so that results are
//! reproducible and a duplicate of the query does not take its place.

use std::collections::HashMap;

use candle_core::DType;
use rayon::prelude::*;

use crate::distance::distance_matrix;
use crate::{EmbeddingSet, Error, Result};

/// Rows of the distance matrix that are held at once: 10,000 × 256 distances are 20 MB.
const QUERIES_AT_ONCE: usize = 256;

/// Positions that AP@R10 looks at.
const SHORT_LIST: usize = 10;

/// How each query of a set fared, in the order of its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrieval {
    /// Position of the nearest row of the query's class, from 0.
    pub ranks: Vec<usize>,
    /// AP: the mean, over all rows of the query's class, of the precision at their position; in (0, 1].
    pub average_precision: Vec<f64>,
    /// AP@R10: the same over the first ten positions, divided by ten; in [0, 1].
    pub average_precision_at_10: Vec<f64>,
}

/// Ranks the set for each of its rows.
///
/// # Errors
/// If the set is unlabelled, or a class has one member only: its query could find nothing.
pub fn retrieval(set: &EmbeddingSet) -> Result<Retrieval> {
    let unlabelled = || {
        Error::Embeddings("retrieval needs the class of every embedding, and this set has no labels; add them".into())
    };
    let labels = set.labels.as_deref().ok_or_else(unlabelled)?;
    require_company(labels)?;

    let gallery = set.embeddings.detach(); // (N, D)
    let mut judgements = Vec::with_capacity(labels.len());
    for first in (0..labels.len()).step_by(QUERIES_AT_ONCE) {
        let queries = gallery.narrow(0, first, QUERIES_AT_ONCE.min(labels.len() - first))?;
        let distances = distance_matrix(&queries, &gallery)?; // (≤ 256, N)
        match distances.dtype() {
            DType::F64 => judgements.par_extend(judge_all(first, &distances.flatten_all()?.to_vec1::<f64>()?, labels)),
            _ => judgements.par_extend(judge_all(first, &distances.flatten_all()?.to_vec1::<f32>()?, labels)),
        }
    }
    Ok(Retrieval {
        ranks: judgements.iter().map(|judgement| judgement.rank).collect(),
        average_precision: judgements.iter().map(|judgement| judgement.average_precision).collect(),
        average_precision_at_10: judgements.iter().map(|judgement| judgement.average_precision_at_10).collect(),
    })
}

impl Retrieval {
    /// Recall@k: the share of queries with a row of their class among the `k` nearest, in [0, 1].
    pub fn recall_at(&self, k: usize) -> f64 {
        self.recall_at_over_batches(k, 0)
    }

    /// The mean of AP, in [0, 1].
    pub fn mean_average_precision(&self) -> f64 {
        self.mean_average_precision_over_batches(0)
    }

    /// The mean of AP@R10, in [0, 1].
    pub fn mean_average_precision_at_10(&self) -> f64 {
        self.mean_average_precision_at_10_over_batches(0)
    }

    /// Recall@k as the published tables have it: the mean of the means over batches of `batch` queries, where a short last
    /// batch counts like a full one. A batch of 0 stands for all queries.
    pub fn recall_at_over_batches(&self, k: usize, batch: usize) -> f64 {
        let found: Vec<f64> = self.ranks.iter().map(|&rank| if rank < k { 1.0 } else { 0.0 }).collect();
        mean_of_batch_means(&found, batch)
    }

    /// The mean of AP as the published tables have it, see [`recall_at_over_batches`](Self::recall_at_over_batches).
    pub fn mean_average_precision_over_batches(&self, batch: usize) -> f64 {
        mean_of_batch_means(&self.average_precision, batch)
    }

    /// The mean of AP@R10 as the published tables have it, see [`recall_at_over_batches`](Self::recall_at_over_batches).
    pub fn mean_average_precision_at_10_over_batches(&self, batch: usize) -> f64 {
        mean_of_batch_means(&self.average_precision_at_10, batch)
    }
}

struct Judgement {
    rank: usize,
    average_precision: f64,
    average_precision_at_10: f64,
}

/// Queries from row `first` on, given their distances to all rows, row-major.
fn judge_all<T: Into<f64> + Copy + Sync>(
    first: usize,
    distances: &[T],
    labels: &[u32],
) -> impl IndexedParallelIterator<Item = Judgement> {
    distances.par_chunks(labels.len()).enumerate().map(move |(row, distances)| judge(first + row, distances, labels))
}

/// One query, given its distances to all rows.
fn judge<T: Into<f64> + Copy>(query: usize, distances: &[T], labels: &[u32]) -> Judgement {
    let positions = positions_of_class(query, distances, labels);
    // The j-th row of the class, at position p, has precision j / p; both are counted from 1.
    let precisions =
        || positions.iter().enumerate().map(|(found, &position)| (found + 1) as f64 / (position + 1) as f64);
    let listed = positions.iter().take_while(|&&position| position < SHORT_LIST).count();
    Judgement {
        rank: *positions.first().expect("every class has two members, and one entry is dropped. This is a bug."),
        average_precision: precisions().sum::<f64>() / positions.len() as f64,
        average_precision_at_10: precisions().take(listed).sum::<f64>() / SHORT_LIST as f64,
    }
}

/// The positions of the rows of the query's class, ascending from 0, once all rows are sorted and the first is dropped.
///
/// Only the class is sorted: of the other rows it matters how many stand before each of its rows.
fn positions_of_class<T: Into<f64> + Copy>(query: usize, distances: &[T], labels: &[u32]) -> Vec<usize> {
    let key = |row: usize| (distances[row].into(), row != query, row);
    let ahead = |a: &(f64, bool, usize), b: &(f64, bool, usize)| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)));
    let is_of_class = |row: &usize| labels[*row] == labels[query];
    let mut class: Vec<_> = (0..labels.len()).filter(is_of_class).map(key).collect();
    class.sort_unstable_by(ahead);

    // How many other rows stand right before the k-th of the class.
    let mut others = vec![0; class.len() + 1];
    for row in (0..labels.len()).filter(|row| !is_of_class(row)) {
        let row = key(row);
        others[class.partition_point(|member| ahead(member, &row).is_lt())] += 1;
    }
    let mut before = 0;
    let placed = others.iter().take(class.len()).enumerate().map(|(member, others)| {
        before += others;
        member + before
    });
    placed.filter_map(|place: usize| place.checked_sub(1)).collect()
}

fn require_company(labels: &[u32]) -> Result<()> {
    let mut members = HashMap::new();
    for &label in labels {
        *members.entry(label).or_insert(0_usize) += 1;
    }
    match labels.iter().position(|label| members[label] == 1) {
        None => Ok(()),
        Some(row) => Err(Error::Embeddings(format!(
            "class {} has one member, row {row}, so its query can find nothing; drop it or add a member",
            labels[row]
        ))),
    }
}

fn mean_of_batch_means(values: &[f64], batch: usize) -> f64 {
    let batch = if batch == 0 { values.len().max(1) } else { batch };
    let means: Vec<f64> = values.chunks(batch).map(mean).collect();
    mean(&means)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
