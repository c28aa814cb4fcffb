//! Our side of a comparison: answers one line on standard output for each line on standard input, as `worker.py` does.
//!
//! ```text
//! prepare WORK SETTINGS   sets a work up; SETTINGS is JSON            → ready
//! run                     does it once                                → milliseconds
//! ```

mod evaluation;
mod layer;
mod passes;
mod training;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Does a work once and says how long it took.
type Work = Box<dyn FnMut() -> Result<Duration>>;

/// A work of which everything is timed.
fn timed(mut work: impl FnMut() -> Result<()> + 'static) -> Work {
    Box::new(move || {
        let started = Instant::now();
        work()?;
        Ok(started.elapsed())
    })
}

/// Answers until standard input ends.
pub fn serve() -> Result<()> {
    holdfast_ops::keep_freed_memory(); // as the trainer's program does
    println!("hello Holdfast {}", env!("CARGO_PKG_VERSION"));
    let mut work: Option<Work> = None;
    for line in std::io::stdin().lines() {
        let line = line?;
        match line.splitn(3, ' ').collect::<Vec<_>>()[..] {
            ["prepare", name, settings] => {
                drop(work.take()); // frees the last one's tensors before the next one's are made
                work = Some(prepare(name, settings)?);
                println!("ready");
            }
            ["run"] => {
                let work = work.as_mut().context("run before prepare")?;
                println!("{}", work()?.as_secs_f64() * 1e3);
            }
            _ => bail!("no order: {line}"),
        }
    }
    Ok(())
}

fn prepare(name: &str, settings: &str) -> Result<Work> {
    Ok(match name {
        "layer" => layer::prepare(serde_json::from_str(settings)?)?,
        "pass" => passes::prepare(&serde_json::from_str(settings)?)?,
        "training" => training::prepare(&serde_json::from_str(settings)?)?,
        "evaluation" => evaluation::prepare(&serde_json::from_str(settings)?)?,
        _ => bail!("no work called {name}"),
    })
}
