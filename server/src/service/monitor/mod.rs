//! The monitor: attacks the live generation all the time and shows how it holds up.
//!
//! A thread of its own takes the generation that is serving, draws targets from its live index, perturbs the pictures of
//! a fixed labelled set (the canary) and of recent queries, and measures what a user would have seen. Serving is never
//! in its hands: it searches as users do, computes on its own threads, and keeps to a share of the processors.
//!
//! | module | question |
//! |---|---|
//! | `window` | What happens in one round? |
//! | `subject` | What is attacked? |
//! | `measure` | What did an attack do to a set of queries? |
//! | `budget` | How does it stay within its share of the machine, and stop at once? |
//! | `board`, `view` | What is known, and how is it shown? |
//! | `publish` | Which metrics come of it? |

mod board;
mod budget;
mod error;
mod measure;
mod publish;
mod subject;
#[cfg(test)]
mod testing;
pub mod view;
mod window;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use holdfast_attack::Pgd;
use jiff::Timestamp;
use rayon::ThreadPool;

use board::Board;
use budget::{Bell, Budget};
use error::WindowError;
use view::{MonitorState, ReplayView, Serving, Settings};
pub use view::{RobustnessView, WindowHistory};
use window::Worker;

use super::Service;
use crate::config::MonitorConfig;
use crate::metrics::Metrics;

/// How soon to look again for what was missing.
const RETRY: Duration = Duration::from_secs(2);

/// Owns the thread that attacks the live generation; stops and joins it when dropped.
pub struct Monitor {
    service: Arc<Service>,
    config: MonitorConfig,
    board: Arc<Board>,
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Monitor {
    /// Starts attacking at once, unless the configuration turns the monitor off.
    ///
    /// Never fails: what is wrong, such as a canary folder that is missing, is shown by [`Monitor::latest`], logged, and
    /// tried again.
    pub fn start(service: Arc<Service>, config: &MonitorConfig, metrics: Arc<Metrics>) -> Self {
        let state = if config.enabled { MonitorState::WarmingUp } else { MonitorState::Off };
        let board = Arc::new(Board::new(state, config.history));
        let bell = Arc::new(Bell::default());
        let monitor = Self {
            service: Arc::clone(&service),
            config: config.clone(),
            board: Arc::clone(&board),
            bell: Arc::clone(&bell),
            thread: Mutex::new(None),
        };
        if config.enabled {
            match spawn(service, config, metrics, board, bell) {
                Ok(thread) => *monitor.lock_thread() = Some(thread),
                Err(detail) => monitor.give_up(detail),
            }
        }
        monitor
    }

    /// The newest results, and what the monitor is doing.
    pub fn latest(&self) -> RobustnessView {
        let content = self.board.read();
        RobustnessView {
            state: content.state,
            detail: content.detail,
            serving: serving(&self.service),
            settings: settings(&self.config),
            replay: replay(&self.service),
            newest_complete: content.history.back().map(|window| window.number),
            latest: content.latest,
            failures: content.failures,
            last_failure: content.last_failure,
        }
    }

    /// The complete windows that are still in memory, oldest first.
    pub fn history(&self) -> WindowHistory {
        WindowHistory { windows: self.board.read().history.into() }
    }

    /// Stops the thread and waits until it has ended, which takes one gradient step at most. Idempotent.
    pub fn stop(&self) {
        self.bell.stop();
        let thread = self.lock_thread().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the monitor's thread had panicked");
        }
    }

    fn give_up(&self, detail: String) {
        tracing::error!(detail, "the monitor cannot start");
        self.board.failed(Timestamp::now(), detail);
    }

    fn lock_thread(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(
    service: Arc<Service>,
    config: &MonitorConfig,
    metrics: Arc<Metrics>,
    board: Arc<Board>,
    bell: Arc<Bell>,
) -> Result<JoinHandle<()>, String> {
    let attacks = holdfast_attack::by_names(&config.attacks.join(",")).map_err(|error| error.to_string())?;
    let pgd = Pgd::new(config.epsilon, config.alpha, config.steps).map_err(|error| error.to_string())?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(config.threads)
        .thread_name(|number| format!("attack-{number}"))
        .build()
        .map_err(|error| error.to_string())?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let budget = Budget { share: config.cpu_share, threads: config.threads, cores };
    let config = config.clone();
    let worker = Worker { service, metrics, board, bell, config, attacks, pgd, budget, canary: None };
    let thread = thread::Builder::new().name("monitor".to_owned());
    thread.spawn(move || run(worker, &pool)).map_err(|error| error.to_string())
}

/// Window after window until told to stop. Nothing that happens in a window ends the thread.
fn run(mut worker: Worker, pool: &ThreadPool) {
    let interval = Duration::from_secs(worker.config.interval_seconds);
    let mut number = 1;
    loop {
        let started = Instant::now();
        let guarded = catch_unwind(AssertUnwindSafe(|| pool.install(|| worker.window(number))));
        let result = guarded.unwrap_or_else(|panic| Err(WindowError::Panicked(words_of(panic.as_ref()))));
        let rest = match result {
            _ if worker.bell.is_stopped() => return,
            Ok(window) => {
                tracing::info!(number, seconds = window.duration_seconds, "robustness window complete");
                worker.board.complete(window);
                number += 1;
                interval.saturating_sub(started.elapsed())
            }
            Err(WindowError::Waiting(detail)) => {
                worker.board.waiting(detail);
                RETRY.min(interval)
            }
            Err(error) => {
                tracing::error!(number, error = &error as &dyn std::error::Error, "robustness window failed");
                worker.board.failed(Timestamp::now(), error.public());
                interval.saturating_sub(started.elapsed()).max(RETRY.min(interval))
            }
        };
        if worker.bell.rest(rest) {
            return;
        }
    }
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

fn serving(service: &Service) -> Serving {
    let generation = service.generation();
    let manifest = &generation.manifest;
    Serving {
        generation: generation.id.clone(),
        items: generation.index.len(),
        backbone: manifest.backbone.clone(),
        defense: manifest.defense.clone(),
        embedding_dim: manifest.embedding_dim,
        metrics: manifest.metrics.clone(),
    }
}

fn settings(config: &MonitorConfig) -> Settings {
    Settings {
        attacks: config.attacks.clone(),
        epsilon: config.epsilon,
        alpha: config.alpha,
        steps: config.steps,
        queries: config.queries,
        live_queries: config.live_queries,
        interval_seconds: config.interval_seconds,
        cpu_share: config.cpu_share,
        threads: config.threads,
    }
}

fn replay(service: &Service) -> ReplayView {
    ReplayView { kept: service.replay().len(), capacity: service.replay().capacity() }
}
