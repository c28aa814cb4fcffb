//! What the server counts and measures, in Prometheus' text format.
//!
//! One registry per [`Metrics`], never the process-wide one: tests and several servers in one process stay apart. All
//! names carry the prefix `holdfast_`; units are base units; labels are bounded sets. Field names are metric names.

mod register;

use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use register::Registrar;

/// Every metric of this server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests by `route` (the pattern, not the path), `method` and `status`.
    pub http_requests_total: IntCounterVec,
    /// Seconds from the first byte of a request to its reply, by `route`.
    pub http_request_duration_seconds: HistogramVec,
    /// Seconds in one `stage`: decode, preprocess, queue, embed, search.
    pub stage_duration_seconds: HistogramVec,
    /// Pictures in one forward pass.
    pub embed_batch_size: Histogram,
    /// Pictures waiting for the embedder now.
    pub embed_queue_depth: IntGauge,
    /// Requests refused, by `reason`: the `code` of the error.
    pub rejected_total: IntCounterVec,
    /// Pictures refused, by `reason`: unsupported_image, image_too_large.
    pub image_rejected_total: IntCounterVec,
    /// Searchable items.
    pub index_items: IntGauge,
    /// Deleted or replaced items that the index still carries.
    pub index_tombstones: IntGauge,
    /// Bytes that the index occupies, estimated.
    pub index_memory_bytes: IntGauge,
    /// Share of the exact top `k` that live searches found, 0 to 1, over the latest samples.
    pub ann_recall: GaugeVec,
    /// Seconds of one group commit: transaction, fsync and index update.
    pub commit_duration_seconds: Histogram,
    /// 1 for the model being served: `model`, `generation`, `backbone`, `sha256`.
    pub model_info: IntGaugeVec,
    /// Score of each `attack` in the latest window, 0 to 100, higher is better.
    pub robustness_attack_score: GaugeVec,
    /// Raw outcome of each `attack` in its own unit (rank percent, cosine or distance).
    pub robustness_attack_raw: GaugeVec,
    /// R@1 of the canary set in percent, by `condition`: benign or adversarial.
    pub robustness_recall_at_1: GaugeVec,
    /// Distance, 0 to 2, between an attacked query's embedding and its own before the attack.
    pub robustness_embedding_shift: Histogram,
    /// Share of the gallery, 0 to 1, that the attacked ranks moved by, by `attack`.
    pub robustness_rank_shift: HistogramVec,
    /// 1 if a `check` of the attack's own health passed in the latest window, 0 if not.
    pub robustness_attack_health: GaugeVec,
    /// Seconds of one monitor window.
    pub robustness_run_duration_seconds: Histogram,
    /// When the latest window ended, in seconds since 1970.
    pub robustness_run_timestamp_seconds: Gauge,
    /// Queries attacked, by `set`: canary or live.
    pub robustness_queries_replayed_total: IntCounterVec,
}

/// Part of handling a request, as an operator thinks of latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Bytes to a picture.
    Decode,
    /// Picture to pixels of the net's size.
    Preprocess,
    /// Waiting for a batch.
    Queue,
    /// Forward pass.
    Embed,
    /// Nearest neighbours.
    Search,
}

impl Stage {
    /// The value of the label `stage`, and of the `Server-Timing` entry.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Decode => "decode",
            Stage::Preprocess => "preprocess",
            Stage::Queue => "queue",
            Stage::Embed => "embed",
            Stage::Search => "search",
        }
    }
}

/// Latencies from half a millisecond, an index lookup, to half a minute, a large import.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const WINDOW_SECONDS: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];
const BATCH_SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// Unit vectors are at most 2 apart; two random ones about 1.4.
const SHIFTS: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 2.0];
const SHARES: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

impl Metrics {
    /// All metrics at zero, on a registry of their own.
    #[expect(clippy::too_many_lines, reason = "a list: one metric an entry")]
    pub fn new() -> Self {
        let r = Registrar::new();
        Metrics {
            http_requests_total: r.counters("http_requests_total", "Requests answered", &["route", "method", "status"]),
            http_request_duration_seconds: r.histograms(
                "http_request_duration_seconds",
                "Seconds from the start of a request to its reply",
                &["route"],
                SECONDS,
            ),
            stage_duration_seconds: r.histograms(
                "stage_duration_seconds",
                "Seconds spent in one stage of handling a picture",
                &["stage"],
                SECONDS,
            ),
            embed_batch_size: r.histogram("embed_batch_size", "Pictures in one forward pass", BATCH_SIZES),
            embed_queue_depth: r.int_gauge("embed_queue_depth", "Pictures waiting for the embedder"),
            rejected_total: r.counters("rejected_total", "Requests refused", &["reason"]),
            image_rejected_total: r.counters("image_rejected_total", "Pictures refused", &["reason"]),
            index_items: r.int_gauge("index_items", "Searchable items"),
            index_tombstones: r.int_gauge("index_tombstones", "Dead entries that the index still carries"),
            index_memory_bytes: r.int_gauge("index_memory_bytes", "Bytes that the index occupies, estimated"),
            ann_recall: r.gauges("ann_recall", "Share of the exact top k that live searches found, of samples", &["k"]),
            commit_duration_seconds: r.histogram("commit_duration_seconds", "Seconds of one group commit", SECONDS),
            model_info: r.int_gauges(
                "model_info",
                "1 for the model being served",
                &["model", "generation", "backbone", "sha256"],
            ),
            robustness_attack_score: r.gauges(
                "robustness_attack_score",
                "Score under attack in the latest window, 0 to 100, higher is better",
                &["attack"],
            ),
            robustness_attack_raw: r.gauges(
                "robustness_attack_raw",
                "Outcome of an attack in the latest window, in its own unit",
                &["attack"],
            ),
            robustness_recall_at_1: r.gauges(
                "robustness_recall_at_1",
                "R@1 of the canary set in the latest window, in percent",
                &["condition"],
            ),
            robustness_embedding_shift: r.histogram(
                "robustness_embedding_shift",
                "Distance between a query's embedding before and after an attack",
                SHIFTS,
            ),
            robustness_rank_shift: r.histograms(
                "robustness_rank_shift",
                "Share of the gallery by which attacked ranks moved",
                &["attack"],
                SHARES,
            ),
            robustness_attack_health: r.gauges(
                "robustness_attack_health",
                "1 if a check of the attack itself passed in the latest window",
                &["check"],
            ),
            robustness_run_duration_seconds: r.histogram(
                "robustness_run_duration_seconds",
                "Seconds of one monitor window",
                WINDOW_SECONDS,
            ),
            robustness_run_timestamp_seconds: r
                .gauge("robustness_run_timestamp_seconds", "When the latest window ended, seconds since 1970"),
            robustness_queries_replayed_total: r.counters(
                "robustness_queries_replayed_total",
                "Queries attacked by the monitor",
                &["set"],
            ),
            registry: r.into_registry(),
        }
    }

    /// Records the time of one stage.
    pub fn observe_stage(&self, stage: Stage, duration: Duration) {
        self.stage_duration_seconds.with_label_values(&[stage.name()]).observe(duration.as_secs_f64());
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("registered metrics are well formed. This is a bug.")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_prefix_and_two_servers_do_not_share_numbers() {
        let (first, second) = (Metrics::new(), Metrics::new());
        first.index_items.set(7);
        first.observe_stage(Stage::Decode, Duration::from_millis(3));
        assert!(first.render().contains("holdfast_index_items 7\n"));
        assert!(first.render().contains("holdfast_stage_duration_seconds_count{stage=\"decode\"} 1\n"));
        assert!(second.render().contains("holdfast_index_items 0\n"));
        assert!(first.render().lines().all(|line| line.starts_with("# ") || line.starts_with("holdfast_")));
    }
}
