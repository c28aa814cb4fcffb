//! What the monitor shows: the wire types of `GET /v1/robustness` and `GET /v1/robustness/windows`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// The newest results, what they were measured on, and what the monitor is doing.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RobustnessView {
    /// What the monitor is doing.
    pub state: MonitorState,
    /// What it is waiting for, in words; null when it waits for nothing.
    pub detail: Option<String>,
    /// What is being served and attacked.
    pub serving: Serving,
    /// How it is attacked.
    pub settings: Settings,
    /// Recent query pictures that are kept in memory to be attacked.
    pub replay: ReplayView,
    /// The newest window, whether complete or not; null before the first result.
    pub latest: Option<Window>,
    /// The number of the newest complete window; null before the first.
    pub newest_complete: Option<u64>,
    /// Windows that failed since the server started.
    pub failures: u64,
    /// Why the last one of them failed; null once a window has completed after it.
    pub last_failure: Option<Failure>,
}

/// What the monitor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MonitorState {
    /// No window yet: it has just started, or waits for something.
    WarmingUp,
    /// Attacking now.
    Running,
    /// Resting until the next window is due.
    Idle,
    /// Turned off by configuration.
    Off,
}

/// What is being served and attacked.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Serving {
    /// Generation of net and index.
    pub generation: String,
    /// Searchable items.
    pub items: usize,
    /// Architecture of the net.
    pub backbone: String,
    /// How the net was trained to withstand attacks.
    pub defense: String,
    /// Length of an embedding.
    pub embedding_dim: usize,
    /// What its checkpoint promises, as measured at training.
    pub metrics: BTreeMap<String, f64>,
}

/// How the monitor attacks: the part of the configuration that decides what the numbers mean.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Settings {
    /// Names of the attacks.
    pub attacks: Vec<String>,
    /// L∞ radius in pixel intensity [0, 1].
    pub epsilon: f64,
    /// Step size in pixel intensity.
    pub alpha: f64,
    /// Gradient steps.
    pub steps: usize,
    /// Canary pictures a window.
    pub queries: usize,
    /// Recent queries a window.
    pub live_queries: usize,
    /// Seconds from the start of one window to the start of the next.
    pub interval_seconds: u64,
    /// Largest share of the machine's processor time.
    pub cpu_share: f64,
    /// Threads that compute attacks.
    pub threads: usize,
}

/// How full the sample of recent queries is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReplayView {
    /// Pictures kept now.
    pub kept: usize,
    /// Most pictures that are kept.
    pub capacity: usize,
}

/// One round of attacks on the live generation.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Window {
    /// Counts from 1 at every start of the server.
    pub number: u64,
    /// Generation that was attacked, for the whole window.
    pub generation: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started: Timestamp,
    /// How long it took, or has taken so far.
    pub duration_seconds: f64,
    /// Whether every attack is done.
    pub complete: bool,
    /// Items that the attacks took their targets from and ranks refer to: the live index or a sample of it.
    pub gallery: usize,
    /// The labelled, fixed set; null where none is configured.
    pub canary: Option<SetResult>,
    /// Recent queries; null while there are none.
    pub live: Option<SetResult>,
}

/// What the attacks did to one set of query pictures.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SetResult {
    /// Number of query pictures.
    pub queries: usize,
    /// How often the first hit in the live index is of the query's class; null without labels.
    pub recall_at_1: Option<Recall>,
    /// Results by attack, in the order of the configuration; attacks that are still to come are missing.
    pub attacks: Vec<AttackResult>,
}

/// R@1 in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Recall {
    /// Of the pictures as they are.
    pub benign: f64,
    /// Under the attack that hurts most; null until every attack is done.
    pub adversarial: Option<f64>,
}

/// What one attack did to one set.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AttackResult {
    /// Name of the attack.
    pub attack: String,
    /// What the attacker wants.
    pub description: String,
    /// The measured quantities; ES has two.
    pub outcomes: Vec<OutcomeResult>,
    /// R@1 under this attack in percent, through the live index; null without labels.
    pub recall_at_1: Option<f64>,
    /// Distance from 0 to 2 between the embeddings before and after.
    pub embedding_shift: Summary,
    /// Share of the gallery, 0 to 1, that came in before the item which had been nearest.
    pub rank_shift: Summary,
    /// Sanity of the attack itself, by name; a score is not to be trusted where one is false.
    pub checks: BTreeMap<String, bool>,
    /// How long it took, rests included.
    pub seconds: f64,
}

/// The mean of one measured quantity over the queries.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OutcomeResult {
    /// "ES:D", "ES:R", "QA+", "QA-", "TMA", …
    pub name: String,
    /// In its own unit: percent, cosine or distance.
    pub raw: f64,
    /// 0 to 100, higher is better.
    pub score: f64,
}

/// How a quantity is spread over the queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Summary {
    /// Arithmetic mean.
    pub mean: f64,
    /// Half of the queries are at or below it.
    pub median: f64,
    /// Nine in ten queries are at or below it.
    pub p90: f64,
    /// The largest.
    pub max: f64,
}

/// A window that could not be finished.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Failure {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Why.
    pub detail: String,
}

/// Complete windows, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WindowHistory {
    /// The windows still in memory.
    pub windows: Vec<Window>,
}
