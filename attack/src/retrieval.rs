//! Benign retrieval: how queries fare before anything is done to them.

use std::collections::BTreeSet;

use holdfast_model::metrics::{self, Retrieval};
use holdfast_model::{Embedder, EmbeddingSet};
use rayon::prelude::*;

use candle_core::Tensor;

use crate::distances::Distances;
use crate::tensors::ensure_finite;
use crate::{Error, Labelled, Progress, Protocol, Result};

/// Rows of the distance matrix that are held at once.
const QUERIES_AT_ONCE: usize = 256;
/// Positions that AP@R10 looks at.
const SHORT_LIST: usize = 10;

/// The embeddings of labelled pictures, `batch` at a time; `progress` is told under the name `stage`.
///
/// # Errors
/// If an embedding is not finite.
pub(crate) fn embed(
    embedder: &dyn Embedder,
    set: Labelled<'_>,
    batch: usize,
    stage: &'static str,
    progress: &mut Progress<'_>,
) -> Result<EmbeddingSet> {
    let pictures = set.labels.len();
    let mut embeddings = Vec::new();
    for start in (0..pictures).step_by(batch) {
        let size = batch.min(pictures - start);
        let rows = embedder.embed(&set.pixels.narrow(0, start, size)?)?.detach();
        ensure_finite(&rows, stage, 0)?;
        embeddings.push(rows);
        progress(stage, start + size, pictures);
    }
    Ok(EmbeddingSet::new(Tensor::cat(&embeddings, 0)?, Some(set.labels.to_vec()))?)
}

/// Ranks the gallery for each query. Under [`Protocol::LeaveOneOut`], `queries` is the gallery.
///
/// # Errors
/// If a query's class has no picture in the gallery, itself not counted, or labels are missing.
pub(crate) fn retrieval(queries: &EmbeddingSet, gallery: &EmbeddingSet, protocol: Protocol) -> Result<Retrieval> {
    if protocol == Protocol::LeaveOneOut {
        return Ok(metrics::retrieval(gallery)?);
    }
    let missing = || Error::LabelsMissing { attack: "retrieval" };
    let labels = queries.labels.as_deref().ok_or_else(missing)?;
    let gallery_labels = gallery.labels.as_deref().ok_or_else(missing)?;
    require_matches(labels, gallery_labels)?;
    let mut judgements: Vec<(usize, f64, f64)> = Vec::with_capacity(labels.len());
    for (number, labels) in labels.chunks(QUERIES_AT_ONCE).enumerate() {
        let rows = queries.embeddings.narrow(0, number * QUERIES_AT_ONCE, labels.len())?;
        let distances = Distances::measure(&rows, &gallery.embeddings)?;
        let judge = |(query, &label): (usize, &u32)| judge(distances.row(query), label, gallery_labels);
        judgements.par_extend(labels.par_iter().enumerate().map(judge));
    }
    Ok(Retrieval {
        ranks: judgements.iter().map(|judgement| judgement.0).collect(),
        average_precision: judgements.iter().map(|judgement| judgement.1).collect(),
        average_precision_at_10: judgements.iter().map(|judgement| judgement.2).collect(),
    })
}

/// The position of the first hit (from 0), AP and AP@R10 of one query; equal distances are in the order of the gallery.
fn judge(distances: &[f64], label: u32, labels: &[u32]) -> (usize, f64, f64) {
    let mut order: Vec<usize> = (0..distances.len()).collect();
    order.sort_unstable_by(|&left, &right| distances[left].total_cmp(&distances[right]).then(left.cmp(&right)));
    let hits = (0..order.len()).filter(|&position| labels[order[position]] == label);
    let hits: Vec<usize> = hits.collect();
    // The j-th hit, at position p, has precision j / p; both are counted from 1.
    let precisions: Vec<f64> =
        hits.iter().enumerate().map(|(found, &position)| (found + 1) as f64 / (position + 1) as f64).collect();
    let listed = hits.iter().take_while(|&&position| position < SHORT_LIST).count();
    let short = precisions[..listed].iter().sum::<f64>() / SHORT_LIST as f64;
    (hits[0], precisions.iter().sum::<f64>() / hits.len() as f64, short)
}

/// Refuses queries that nothing could answer rightly.
fn require_matches(labels: &[u32], gallery_labels: &[u32]) -> Result<()> {
    let held: BTreeSet<u32> = gallery_labels.iter().copied().collect();
    match labels.iter().position(|label| !held.contains(label)) {
        None => Ok(()),
        Some(query) => Err(Error::NoMatch { query, label: labels[query] }),
    }
}
