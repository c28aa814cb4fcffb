//! The ranking attacks: one family a file, one line each in [`ERS_ATTACKS`] or [`FURTHER_ATTACKS`].
//!
//! An attack chooses what to aim at, once, from the clean embeddings; the [`Aim`] is then a loss for
//! [`Pgd`](crate::Pgd) and, at the end, tells how far it got. The gallery stays clean throughout.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::Tensor;
use holdfast_model::EmbeddingSet;
use rand::RngCore;

use crate::{Distances, Error, Queries, Result, Rules};

pub mod candidate;
pub mod embedding_shift;
pub mod greedy_misranking;
pub mod greedy_translocation;
mod hinge;
pub mod learned_misranking;
pub mod natural_evolution;
pub mod query;
pub mod semantics_preserving;
pub mod targeted_mismatch;
mod targets;

use candidate::CandidateAttack;
use embedding_shift::EmbeddingShift;
use greedy_misranking::GreedyMisranking;
use greedy_translocation::GreedyTranslocation;
use learned_misranking::LearnedMisranking;
use natural_evolution::NaturalEvolution;
use query::QueryAttack;
use semantics_preserving::SemanticsPreserving;
use targeted_mismatch::TargetedMismatch;

/// The attacks of the robustness score: a closed list, as the score's ten terms are.
pub static ERS_ATTACKS: &[&dyn RankingAttack] = &[
    &CandidateAttack::RAISE,
    &CandidateAttack::LOWER,
    &QueryAttack::RAISE,
    &QueryAttack::LOWER,
    &TargetedMismatch,
    &EmbeddingShift,
    &LearnedMisranking,
    &GreedyMisranking,
    &GreedyTranslocation,
];

/// Every other attack. A new one is one file and one line here; the robustness score never includes it.
pub static FURTHER_ATTACKS: &[&dyn RankingAttack] =
    &[&SemanticsPreserving::RAISE, &SemanticsPreserving::LOWER, &NaturalEvolution];

/// Every attack, those of the robustness score first.
pub fn attacks() -> impl Iterator<Item = &'static dyn RankingAttack> {
    ERS_ATTACKS.iter().chain(FURTHER_ATTACKS).copied()
}

/// A way of abusing a ranking: a name, and a choice of targets.
pub trait RankingAttack: Send + Sync + Debug {
    /// The name in configuration, reports and metrics, as the literature writes it: at most 16 ASCII characters.
    fn name(&self) -> &'static str;

    /// One sentence for people: what the attacker wants.
    fn description(&self) -> &'static str;

    /// What the perturbed picture is to the ranking.
    fn role(&self) -> Role;

    /// What the attacker sees of the net.
    fn knowledge(&self) -> Knowledge {
        Knowledge::WhiteBox
    }

    /// Whether the attack cannot be mounted without true labels. Others use labels where there are any.
    fn needs_labels(&self) -> bool {
        false
    }

    /// Chooses the targets of a batch, once, and fixes all that stays constant during the descent.
    ///
    /// # Errors
    /// If the gallery is too small for this attack, or labels are missing.
    fn aim(
        &self,
        queries: &Queries,
        gallery: &EmbeddingSet,
        rules: &Rules,
        rng: &mut dyn RngCore,
    ) -> Result<Box<dyn Aim>>;
}

/// What an attack perturbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An item of the gallery, which is to rank high or low for other people's queries.
    Candidate,
    /// The picture that is searched by.
    Query,
}

/// What an attacker sees of the net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// All of it: gradients are exact.
    WhiteBox,
    /// The embeddings that it answers with: gradients are estimated by [`Nes`](crate::Nes).
    BlackBox,
}

/// Which way a candidate is to move in a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// To the top ("+").
    Raise,
    /// Away from the top ("-").
    Lower,
}

/// An attack with its targets chosen: a differentiable loss, and the tally at the end.
pub trait Aim: Debug {
    /// The loss to minimise, a scalar, of embeddings (B, D) after `step` updates.
    ///
    /// # Errors
    /// If the embeddings do not fit the targets.
    fn loss(&self, step: usize, embeddings: &Tensor) -> Result<Tensor>;

    /// The loss of each picture, what a black box is judged by: `loss` is their mean or their sum.
    ///
    /// # Errors
    /// As [`Aim::loss`].
    fn losses(&self, step: usize, embeddings: &Tensor) -> Result<Vec<f64>>;

    /// What the attack achieved: one value per query and outcome. Also used on benign embeddings, for comparison.
    ///
    /// # Errors
    /// As [`Aim::loss`].
    fn outcomes(&self, reached: &Reached) -> Result<Vec<Outcome>>;
}

/// Where an attack brought a batch of embeddings.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The embeddings of the final pixels: (B, D).
    pub embeddings: Tensor,
    /// The embeddings one update earlier, where the reference reads its embedding shift: (B, D).
    pub before_last_step: Tensor,
    /// The distances of the final embeddings to the gallery.
    pub distances: Arc<Distances>,
    /// R@1 of each final embedding in percent, 0 or 100; absent without labels.
    pub recall_at_1: Option<Vec<f64>>,
}

/// One measured quantity, per query, in the units of the published tables: percent, cosine or distance.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// "CA+", "QA-", "TMA", "ES:D", "ES:R", …
    pub name: &'static str,
    /// One value per query.
    pub raw: Vec<f64>,
}

impl Outcome {
    /// The mean over the queries.
    #[must_use]
    pub fn mean(&self) -> f64 {
        mean(&self.raw)
    }
}

/// The arithmetic mean; NaN of nothing.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// What is left of R@1, as an outcome of an attack that is defined by labels.
fn recall(name: &'static str, reached: &Reached) -> Result<Outcome> {
    let raw = reached.recall_at_1.clone().ok_or(Error::LabelsMissing { attack: name })?;
    Ok(Outcome { name, raw })
}

/// The names of all attacks, separated by commas.
#[must_use]
pub fn known() -> String {
    attacks().map(RankingAttack::name).collect::<Vec<_>>().join(", ")
}

/// The attacks of a list such as `"QA+,ES"`; each once, in the order asked for.
///
/// `"all"` stands for [`ERS_ATTACKS`], the attacks of the robustness score; others are asked for by name, as in
/// `"all,NES"`.
///
/// # Errors
/// If a name is not registered; the message lists the choices.
pub fn by_names(names: &str) -> Result<Vec<&'static dyn RankingAttack>> {
    let mut chosen: Vec<&'static dyn RankingAttack> = Vec::new();
    for name in names.split(',').map(str::trim) {
        let named = if name == "all" { ERS_ATTACKS.to_vec() } else { vec![by_name(name)?] };
        for attack in named {
            if chosen.iter().all(|other| other.name() != attack.name()) {
                chosen.push(attack);
            }
        }
    }
    Ok(chosen)
}

fn by_name(name: &str) -> Result<&'static dyn RankingAttack> {
    let unknown = || Error::Unknown { kind: "attack", name: name.to_owned(), known: format!("all, {}", known()) };
    attacks().find(|attack| attack.name() == name).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_reachable() {
        for (index, attack) in attacks().enumerate() {
            let name = attack.name();

            assert!(name.is_ascii() && name.len() <= 16, "{name} does not fit a random stream's key");
            assert!(!attack.description().is_empty());
            assert_eq!(by_names(name).unwrap()[0].name(), name);
            assert!(attacks().take(index).all(|other| other.name() != name), "{name} twice");
        }
    }

    #[test]
    fn all_means_the_attacks_of_the_robustness_score_and_a_repeated_name_counts_once() {
        let names = |list| by_names(list).unwrap().iter().map(|attack| attack.name()).collect::<Vec<_>>();

        assert_eq!(names("all"), ["CA+", "CA-", "QA+", "QA-", "TMA", "ES", "LTM", "GTM", "GTT"]);
        assert_eq!(names("ES, QA+,ES"), ["ES", "QA+"]);
        let more = names("all, NES, GTM");
        assert_eq!((more.len(), more[9]), (10, "NES"));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_choices() {
        let message = by_names("QA+,XYZ").unwrap_err().to_string();

        assert!(message.contains("\"XYZ\"") && message.contains("known: all, CA+, CA-, QA+"), "{message}");
        assert!(message.contains("SPQA+, SPQA-, NES"), "{message}");
    }
}
