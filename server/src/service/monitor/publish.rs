//! The monitor's numbers as Prometheus metrics.
//!
//! Gauges show the canary set, which is comparable over time; where none is configured they show recent queries instead.
//! Histograms and counters take in both.

use super::measure::Measured;
use super::view::{AttackResult, Recall, Window};
use crate::metrics::Metrics;

/// Which pictures were attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetName {
    /// Labelled and fixed.
    Canary,
    /// Recent queries.
    Live,
}

impl SetName {
    /// The value of the label `set`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Live => "live",
        }
    }
}

/// Whether a set decides the gauges, of which there is one per attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gauges {
    /// Show this set.
    Set,
    /// Another set is shown.
    Leave,
}

/// Publishes one attack on one set as soon as it is done.
pub(super) fn attack(metrics: &Metrics, set: SetName, gauges: Gauges, measured: &Measured, result: &AttackResult) {
    let queries = measured.embedding_shift.len() as u64;
    metrics.robustness_queries_replayed_total.with_label_values(&[set.as_str()]).inc_by(queries);
    measured.embedding_shift.iter().for_each(|shift| metrics.robustness_embedding_shift.observe(*shift));
    let rank_shift = metrics.robustness_rank_shift.with_label_values(&[result.attack.as_str()]);
    measured.rank_shift.iter().for_each(|shift| rank_shift.observe(*shift));
    if gauges == Gauges::Leave {
        return;
    }
    for outcome in &result.outcomes {
        metrics.robustness_attack_score.with_label_values(&[outcome.name.as_str()]).set(outcome.score);
        metrics.robustness_attack_raw.with_label_values(&[outcome.name.as_str()]).set(outcome.raw);
    }
}

/// Publishes R@1; the attacked one when every attack is done.
pub(super) fn recall(metrics: &Metrics, recall: Recall) {
    let gauge = |condition| metrics.robustness_recall_at_1.with_label_values(&[condition]);
    gauge("benign").set(recall.benign);
    if let Some(adversarial) = recall.adversarial {
        gauge("adversarial").set(adversarial);
    }
}

/// Publishes what is known only when a window is complete: its time, and whether every attack of it was sound.
pub(super) fn window(metrics: &Metrics, window: &Window, ended_seconds: f64) {
    metrics.robustness_run_duration_seconds.observe(window.duration_seconds);
    metrics.robustness_run_timestamp_seconds.set(ended_seconds);
    let attacks = || [&window.canary, &window.live].into_iter().flatten().flat_map(|set| &set.attacks);
    for check in attacks().flat_map(|attack| attack.checks.keys()) {
        let passed = attacks().all(|attack| attack.checks.get(check).copied().unwrap_or(true));
        metrics.robustness_attack_health.with_label_values(&[check.as_str()]).set(f64::from(u8::from(passed)));
    }
}
