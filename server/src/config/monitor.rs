//! `[monitor]`: how often, how hard and with how much of the machine the server attacks itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Problems;

/// The self-attack that measures robustness while serving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonitorConfig {
    /// Whether the monitor runs at all.
    pub enabled: bool,
    /// Folder of labelled pictures, `class/picture.png`, attacked in every window; fixed, so that months compare.
    /// Absent: only recent queries are attacked.
    pub canary: Option<PathBuf>,
    /// From the start of one window to the start of the next, in seconds (1 to 86 400).
    pub interval_seconds: u64,
    /// Largest share of the processor time of the whole machine that the monitor may take (0.01 to 1).
    pub cpu_share: f64,
    /// Threads that compute attacks (1 to 256).
    pub threads: usize,
    /// Attacks by registry name, such as "ES", "QA+", "QA-", "TMA".
    pub attacks: Vec<String>,
    /// L∞ radius in pixel intensity [0, 1] (above 0 to 1); a number or a fraction such as "77/255".
    #[serde(with = "holdfast_attack::intensity")]
    pub epsilon: f64,
    /// Step size in pixel intensity (above 0 to 1); a number or a fraction.
    #[serde(with = "holdfast_attack::intensity")]
    pub alpha: f64,
    /// PGD steps (1 to 1000).
    pub steps: usize,
    /// Canary pictures attacked in one window (1 to 10 000).
    pub queries: usize,
    /// Recent queries attacked in one window (0 to 10 000).
    pub live_queries: usize,
    /// Recent queries remembered, a uniform sample (1 to 100 000). Held in memory as pixels, never on disk.
    pub reservoir: usize,
    /// How long a query stays among them, in seconds (1 to 2 592 000, thirty days).
    pub reservoir_seconds: u64,
    /// Most items of the catalog that an attack is ranked against (16 to 1 000 000).
    pub gallery: usize,
    /// Pictures in one forward and backward pass (1 to 1024).
    pub batch: usize,
    /// Windows kept for `GET /v1/robustness/windows` (1 to 100 000).
    pub history: usize,
    /// Seed of everything that a window draws.
    pub seed: u64,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        MonitorConfig {
            enabled: true,
            canary: None,
            interval_seconds: 60,
            cpu_share: 0.25,
            threads: 1,
            attacks: ["ES", "QA+", "QA-", "TMA"].map(str::to_owned).to_vec(),
            // The radius at which the paper evaluates RGB pictures; shipped files for 28×28 set 77/255.
            epsilon: 8.0 / 255.0,
            alpha: 3.0 / 255.0,
            steps: 32,
            queries: 32,
            live_queries: 32,
            reservoir: 512,
            reservoir_seconds: 3600,
            gallery: 2000,
            batch: 32,
            history: 1000,
            seed: 0,
        }
    }
}

impl MonitorConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.range("monitor.interval_seconds", self.interval_seconds, 1, 86_400);
        problems.range("monitor.cpu_share", self.cpu_share, 0.01, 1.0);
        problems.range("monitor.threads", self.threads, 1, 256);
        problems.range("monitor.steps", self.steps, 1, 1000);
        problems.range("monitor.queries", self.queries, 1, 10_000);
        problems.range("monitor.live_queries", self.live_queries, 0, 10_000);
        problems.range("monitor.reservoir", self.reservoir, 1, 100_000);
        problems.range("monitor.reservoir_seconds", self.reservoir_seconds, 1, 2_592_000);
        problems.range("monitor.gallery", self.gallery, 16, 1_000_000);
        problems.range("monitor.batch", self.batch, 1, 1024);
        problems.range("monitor.history", self.history, 1, 100_000);
        for (key, value) in [("monitor.epsilon", self.epsilon), ("monitor.alpha", self.alpha)] {
            if !(value > 0.0 && value <= 1.0) {
                problems.push(format!("{key} must be above 0 and at most 1, in pixel intensity, got {value}"));
            }
        }
        if self.attacks.is_empty() {
            problems.push("monitor.attacks is empty: name at least one attack, or set monitor.enabled = false");
        } else if let Err(unknown) = holdfast_attack::by_names(&self.attacks.join(",")) {
            problems.push(format!("monitor.attacks: {unknown}"));
        }
    }
}
