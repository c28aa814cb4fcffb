//! Progress on stderr: bars on a terminal, a plain line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use holdfast_trainer::dataset::{Dataset, Splits};
use holdfast_trainer::step_log::StepLog;
use indicatif::{ProgressBar, ProgressStyle};

const BAR: &str = "{prefix:>11} [{bar:28}] {pos}/{len} {msg}";
/// Where there is no terminal, evaluation tells of itself this often.
const INTERVAL: Duration = Duration::from_secs(10);

/// A bar, hidden where stderr is no terminal.
fn bar(prefix: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(BAR).expect("the template is well-formed. This is a bug.");
    let bar = if stderr().is_terminal() { ProgressBar::new(length as u64) } else { ProgressBar::hidden() };
    bar.with_style(style.progress_chars("=> ")).with_prefix(prefix)
}

/// Moves a bar that may get another length on the way, in one go.
fn place(bar: &ProgressBar, done: usize, all: usize) {
    bar.update(|state| {
        state.set_len(all as u64);
        state.set_pos(done as u64);
    });
}

/// Pictures being read or drawn.
pub struct Loading {
    bar: ProgressBar,
    started: Instant,
}

impl Loading {
    pub fn new() -> Self {
        Self { bar: bar("pictures", 0), started: Instant::now() }
    }

    /// `done` of `all` pictures are there. May be called from several threads.
    pub fn observe(&self, done: usize, all: usize) {
        place(&self.bar, done, all);
    }

    /// One line about what is there now.
    pub fn finish(&self, splits: &Splits) {
        self.bar.finish_and_clear();
        let count = |set: &Dataset| format!("{} pictures of {} classes", set.len(), set.classes.len());
        let (train, test) = (count(&splits.train), count(&splits.test));
        let seconds = self.started.elapsed().as_secs_f64();
        eprintln!("{}: {train} to train, {test} to test ({seconds:.1} s)", splits.train.name);
    }
}

/// Training steps.
pub struct Training {
    bar: ProgressBar,
    plain: bool,
    every: usize,
    steps: usize,
    seen: usize,
    seconds: f64,
    pictures: usize,
}

impl Training {
    /// For a run of `steps`; on a file or pipe, every `every` steps are told.
    pub fn new(steps: usize, every: usize) -> Self {
        let plain = !stderr().is_terminal();
        Self { bar: bar("training", steps), plain, every, steps, seen: 0, seconds: 0.0, pictures: 0 }
    }

    /// One more step was made.
    pub fn step(&mut self, log: &StepLog) {
        self.seen += 1;
        self.seconds += log.seconds;
        self.pictures += log.pictures;
        let status = self.status(log);
        self.bar.set_position(log.step as u64);
        self.bar.set_message(status.clone());
        if self.plain && (log.step == 1 || log.step.is_multiple_of(self.every) || log.step == self.steps) {
            eprintln!("step {}/{}  {status}", log.step, self.steps);
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Loss, hardness (mined → attacked), speed and remaining time.
    fn status(&self, log: &StepLog) -> String {
        let hardness = match log.adversarial_hardness {
            Some(attacked) => format!("{:+.3} → {attacked:+.3}", log.source_hardness),
            None => format!("{:+.3}", log.source_hardness),
        };
        let speed = self.pictures as f64 / self.seconds.max(1e-9);
        let remaining = self.seconds / self.seen as f64 * self.steps.saturating_sub(log.step) as f64;
        format!("loss {:.4}  hardness {hardness}  {speed:.0} images/s  ETA {}", log.loss, clock(remaining))
    }
}

/// The stages of an evaluation.
pub struct Evaluating {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    told: Instant,
}

impl Evaluating {
    pub fn new() -> Self {
        Self {
            bar: bar("evaluating", 0),
            plain: !stderr().is_terminal(),
            started: Instant::now(),
            told: Instant::now(),
        }
    }

    /// `done` of `all` pictures of a stage ("gallery", or an attack's name) are through.
    pub fn observe(&mut self, stage: &str, done: usize, all: usize) {
        self.bar.set_message(format!("{stage}, {} elapsed", clock(self.started.elapsed().as_secs_f64())));
        place(&self.bar, done, all);
        if self.plain && self.told.elapsed() >= INTERVAL {
            self.told = Instant::now();
            eprintln!("evaluating {stage}: {done}/{all}");
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Seconds as `m:ss`, or `h:mm:ss`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_time_reads_like_a_clock() {
        assert_eq!(clock(0.4), "0:00");
        assert_eq!(clock(65.0), "1:05");
        assert_eq!(clock(3_725.0), "1:02:05");
    }
}
