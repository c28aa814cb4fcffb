//! How the monitor stays within its share of the processors: it rests after every bit of work.
//!
//! Work happens on `threads` threads of a machine with `cores` processors. For a share s of the machine's processor time,
//! busy · threads / (busy + rest) / cores ≤ s, so rest ≥ busy · (threads / (cores · s) − 1).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use holdfast_model::{Embedder, InputShape};

/// Shorter rests cost more in switching than they give; work goes on until a rest is worth it.
const SHORTEST_REST: Duration = Duration::from_millis(5);

/// A share of the machine's processor time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Budget {
    /// Largest share, above 0 to 1.
    pub share: f64,
    /// Threads that work at the same time.
    pub threads: usize,
    /// Processors of the machine.
    pub cores: usize,
}

impl Budget {
    /// How long to rest after working for `busy`.
    pub fn rest_after(&self, busy: Duration) -> Duration {
        // More threads than processors cannot use more than all of them.
        let used = self.threads.min(self.cores) as f64 / self.cores as f64;
        busy.mul_f64((used / self.share - 1.0).max(0.0))
    }
}

/// Lets a thread sleep, and be told to stop at once.
#[derive(Debug, Default)]
pub(super) struct Bell {
    stopped: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    /// Tells every sleeper to stop, now and in future.
    pub fn stop(&self) {
        *self.lock() = true;
        self.rung.notify_all();
    }

    /// Whether the thread was told to stop.
    pub fn is_stopped(&self) -> bool {
        *self.lock()
    }

    /// Sleeps for `duration`, or until told to stop; returns whether it was.
    pub fn rest(&self, duration: Duration) -> bool {
        let waited = self.rung.wait_timeout_while(self.lock(), duration, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *stopped
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An embedder that keeps the budget: before each forward pass it rests for the work done since the last one.
///
/// One forward and one backward pass lie between two calls during an attack, so the budget holds within a gradient step,
/// however large net and batch are, and a server that shuts down waits for one step at most.
pub(super) struct Paced<'a> {
    embedder: &'a dyn Embedder,
    budget: Budget,
    bell: &'a Bell,
    working_since: Mutex<Instant>,
}

impl<'a> Paced<'a> {
    /// Work counts from now on.
    pub fn new(embedder: &'a dyn Embedder, budget: Budget, bell: &'a Bell) -> Self {
        Self { embedder, budget, bell, working_since: Mutex::new(Instant::now()) }
    }

    /// Rests for the work done so far; an error means that the monitor is to stop.
    fn breathe(&self) -> holdfast_model::Result<()> {
        let mut working_since = self.working_since.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = self.budget.rest_after(working_since.elapsed());
        if rest >= SHORTEST_REST {
            self.bell.rest(rest);
            *working_since = Instant::now();
        }
        if self.bell.is_stopped() {
            return Err(candle_core::Error::Msg("the monitor was told to stop".to_owned()).into());
        }
        Ok(())
    }
}

impl Embedder for Paced<'_> {
    fn embed(&self, pixels: &Tensor) -> holdfast_model::Result<Tensor> {
        self.breathe()?;
        self.embedder.embed(pixels)
    }

    fn input(&self) -> InputShape {
        self.embedder.input()
    }

    fn dim(&self) -> usize {
        self.embedder.dim()
    }

    fn dtype(&self) -> DType {
        self.embedder.dtype()
    }

    fn device(&self) -> &Device {
        self.embedder.device()
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn share_used(budget: Budget, busy: Duration) -> f64 {
        let wall = busy + budget.rest_after(busy);
        busy.as_secs_f64() * budget.threads.min(budget.cores) as f64 / (wall.as_secs_f64() * budget.cores as f64)
    }

    #[test]
    fn the_share_of_processor_time_is_met_exactly_where_the_threads_could_use_more() {
        for (share, threads, cores) in [(0.25, 1, 2), (0.1, 4, 4), (0.01, 16, 64), (0.5, 8, 2)] {
            let budget = Budget { share, threads, cores };

            let used = share_used(budget, SECOND);

            assert!((used - share).abs() < 1e-6, "{budget:?} uses {used}");
        }
    }

    #[test]
    fn one_thread_of_two_processors_on_a_quarter_share_rests_as_long_as_it_works() {
        let budget = Budget { share: 0.25, threads: 1, cores: 2 };

        assert_eq!(budget.rest_after(SECOND), SECOND);
    }

    #[test]
    fn threads_that_cannot_use_up_the_share_never_rest() {
        let budget = Budget { share: 0.5, threads: 1, cores: 8 };

        assert_eq!(budget.rest_after(SECOND), Duration::ZERO);
    }

    #[test]
    fn a_sleeper_wakes_at_once_when_told_to_stop() {
        let bell = Bell::default();

        let stopped = std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| bell.rest(Duration::from_secs(600)));
            bell.stop();
            sleeper.join().unwrap()
        });

        assert!(stopped && bell.is_stopped());
    }

    #[test]
    fn nothing_is_embedded_after_the_monitor_was_told_to_stop() {
        let net = super::super::testing::net();
        let (bell, budget) = (Bell::default(), Budget { share: 1.0, threads: 1, cores: 1 });
        let paced = Paced::new(&net, budget, &bell);
        let pixels = super::super::testing::pixels(&net, 1);
        paced.embed(&pixels).unwrap();

        bell.stop();

        let error = paced.embed(&pixels).unwrap_err();
        assert!(error.source().unwrap().to_string().contains("told to stop"));
    }
}
