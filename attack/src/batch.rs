//! One batch under one attack: what evaluation and the server's monitor share.

use std::ops::ControlFlow;

use candle_core::Tensor;
use holdfast_model::{Embedder, EmbeddingSet, distance};
use rand::RngCore;

use crate::attacks::{Aim, Knowledge, Outcome, RankingAttack, Role};
use crate::pgd::Observer;
use crate::tensors::{ensure_finite, values_f64};
use crate::{Error, Pgd, Protocol, Queries, Result, Rules};

/// The pictures to attack.
#[derive(Debug, Clone, Copy)]
pub struct Pictures<'a> {
    /// (B, C, H, W) in [0, 1].
    pub pixels: &'a Tensor,
    /// True labels, one a picture, where known.
    pub labels: Option<&'a [u32]>,
    /// Whether they are items of the gallery too.
    pub protocol: Protocol,
}

/// A batch after an attack.
#[derive(Debug, Clone)]
pub struct AttackedBatch {
    /// The perturbed pixels (B, C, H, W).
    pub pixels: Tensor,
    /// Their embeddings (B, D).
    pub embeddings: Tensor,
    /// What the attack achieved.
    pub outcomes: Vec<Outcome>,
    /// Distance between the final and the clean embedding, one a picture. The truth, where the outcome "ES:D" is the
    /// reference's reading one update earlier.
    pub embedding_shift: Vec<f64>,
    /// R@1 of the perturbed pictures in percent, 0 or 100 each; absent without labels, and for candidate attacks,
    /// which do not perturb a query.
    pub recall_at_1: Option<Vec<f64>>,
    /// Pictures that the net was asked about for each picture attacked; absent where the attacker saw gradients.
    pub model_queries: Option<usize>,
    /// The same readings before the attack.
    pub benign: Benign,
}

/// A batch before an attack, measured against the attack's targets.
#[derive(Debug, Clone)]
pub struct Benign {
    /// The clean embeddings (B, D).
    pub embeddings: Tensor,
    /// What an attack that does nothing would have achieved.
    pub outcomes: Vec<Outcome>,
    /// R@1 of the clean pictures, as in [`AttackedBatch::recall_at_1`].
    pub recall_at_1: Option<Vec<f64>>,
}

/// Attacks a batch against a clean gallery (N, D): targets are drawn once, then pursued.
///
/// # Errors
/// If labels are missing where the attack needs them, the gallery is too small for it, or any loss, gradient or
/// embedding is not finite.
pub fn attack_batch(
    embedder: &dyn Embedder,
    pictures: Pictures<'_>,
    gallery: &EmbeddingSet,
    attack: &dyn RankingAttack,
    rules: &Rules,
    rng: &mut dyn RngCore,
) -> Result<AttackedBatch> {
    let clean = embedder.embed(pictures.pixels)?.detach();
    let queries = Queries::new(clean, pictures.labels, pictures.protocol, gallery)?;
    attack_queries(embedder, pictures.pixels, &queries, gallery, attack, rules, rng)
}

/// [`attack_batch`] on pixels (B, C, H, W) whose clean embeddings were measured before: several attacks on one batch
/// share them.
///
/// # Errors
/// As [`attack_batch`].
pub fn attack_queries(
    embedder: &dyn Embedder,
    pixels: &Tensor,
    queries: &Queries,
    gallery: &EmbeddingSet,
    attack: &dyn RankingAttack,
    rules: &Rules,
    rng: &mut dyn RngCore,
) -> Result<AttackedBatch> {
    if attack.needs_labels() && (queries.labels.is_none() || gallery.labels.is_none()) {
        return Err(Error::LabelsMissing { attack: attack.name() });
    }
    let aim = attack.aim(queries, gallery, rules, rng)?;
    let pursuit = match attack.knowledge() {
        Knowledge::WhiteBox => pursue(embedder, pixels, aim.as_ref(), &rules.pgd, &mut |_| ControlFlow::Continue(()))?,
        Knowledge::BlackBox => pursue_blindly(embedder, pixels, aim.as_ref(), rules, rng)?,
    };
    let before = queries.untouched(gallery);
    let after = queries.reached(pursuit.embeddings, pursuit.before_last_step, gallery)?;

    let is_query = attack.role() == Role::Query;
    Ok(AttackedBatch {
        pixels: pursuit.pixels,
        outcomes: aim.outcomes(&after)?,
        embedding_shift: values_f64(&distance::pairwise_distance(&after.embeddings, &queries.embeddings)?)?,
        embeddings: after.embeddings,
        recall_at_1: after.recall_at_1.filter(|_| is_query),
        model_queries: pursuit.model_queries,
        benign: Benign {
            outcomes: aim.outcomes(&before)?,
            embeddings: before.embeddings,
            recall_at_1: before.recall_at_1.filter(|_| is_query),
        },
    })
}

/// Pictures driven towards an aim.
#[derive(Debug, Clone)]
pub struct Pursuit {
    /// The perturbed pixels (B, C, H, W).
    pub pixels: Tensor,
    /// Their embeddings (B, D).
    pub embeddings: Tensor,
    /// The embeddings one update earlier (B, D).
    pub before_last_step: Tensor,
    /// Pictures that the net was asked about for each picture; absent where gradients were seen.
    pub model_queries: Option<usize>,
}

/// Descends from `pixels` (B, C, H, W) towards an aim whose targets are chosen already.
///
/// The way there is in the arithmetic of `pgd`, and the final embeddings are the embedder's own.
///
/// # Errors
/// As [`Pgd::perturb`], and if the final embeddings are not finite.
pub fn pursue(
    embedder: &dyn Embedder,
    pixels: &Tensor,
    aim: &dyn Aim,
    pgd: &Pgd,
    observe: &mut Observer<'_>,
) -> Result<Pursuit> {
    let in_precision = embedder.in_precision(pgd.precision)?;
    let attacked = in_precision.as_deref().unwrap_or(embedder);
    let mut updates = 0;
    let mut before_last_step = None;
    let mut loss = |pixels: &Tensor| {
        let embeddings = attacked.embed(pixels)?;
        let loss = aim.loss(updates, &embeddings)?;
        before_last_step = Some(embeddings.detach());
        updates += 1;
        Ok(loss)
    };
    let perturbed = pgd.perturb_observed(pixels, &mut loss, observe)?;
    let embeddings = embedder.embed(&perturbed)?.detach();
    ensure_finite(&embeddings, "the final embedding", updates)?;
    let before_last_step = before_last_step.expect("PGD evaluates its loss at least once. This is a bug.");
    Ok(Pursuit { pixels: perturbed, embeddings, before_last_step, model_queries: None })
}

/// [`pursue`] without gradients: they are estimated by `rules.nes` from what the embedder answers, in its own
/// arithmetic, as long as the query budget lasts.
///
/// # Errors
/// As [`pursue`].
pub fn pursue_blindly(
    embedder: &dyn Embedder,
    pixels: &Tensor,
    aim: &dyn Aim,
    rules: &Rules,
    rng: &mut dyn RngCore,
) -> Result<Pursuit> {
    if let Some(problem) = rules.problems().into_iter().next() {
        return Err(problem);
    }
    let nes = rules.nes;
    let pgd = Pgd { steps: nes.updates(rules.pgd.steps), ..rules.pgd };
    let embed = |pixels: &Tensor| Ok::<_, Error>(embedder.embed(pixels)?.detach());
    let mut previous = pixels.clone();
    let mut estimate = |pixels: &Tensor, step: usize| {
        previous = pixels.clone();
        nes.estimate(pixels, &mut |probes| aim.losses(step, &embed(probes)?), step, rng)
    };
    let perturbed = pgd.descend(pixels, &mut estimate, &mut |_| ControlFlow::Continue(()))?;
    let embeddings = embed(&perturbed)?;
    ensure_finite(&embeddings, "the final embedding", pgd.steps)?;
    let (before_last_step, model_queries) = (embed(&previous)?, Some(pgd.steps * nes.samples));
    Ok(Pursuit { pixels: perturbed, embeddings, before_last_step, model_queries })
}
