//! Ctrl-C: the first one ends training with a valid checkpoint, the second one ends the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

/// Whether the user wants to stop, shared with the signal handler.
#[derive(Clone)]
pub struct Interrupt {
    pressed: Arc<AtomicBool>,
    graceful: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over Ctrl-C (and the termination signal): from now on it is only noted, once.
    ///
    /// # Errors
    /// If the operating system refuses the handler.
    pub fn install() -> anyhow::Result<Self> {
        let interrupt = Self { pressed: Arc::default(), graceful: Arc::new(AtomicBool::new(true)) };
        let shared = interrupt.clone();
        ctrlc::set_handler(move || shared.press()).context("cannot take over Ctrl-C")?;
        Ok(interrupt)
    }

    /// Whether Ctrl-C was pressed.
    pub fn pressed(&self) -> bool {
        self.pressed.load(Ordering::SeqCst)
    }

    /// Lets Ctrl-C end the program at once, for the time in which nothing can be lost; returns what `work` returns.
    pub fn at_once<T>(&self, work: impl FnOnce() -> T) -> T {
        self.graceful.store(false, Ordering::SeqCst);
        let result = work();
        self.graceful.store(true, Ordering::SeqCst);
        result
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "runs on the signal thread, from which main cannot be made to return"
    )]
    fn press(&self) {
        let again = self.pressed.swap(true, Ordering::SeqCst);
        if again || !self.graceful.load(Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\ninterrupted: this step is finished and the net saved; press Ctrl-C again to quit without that");
    }
}
