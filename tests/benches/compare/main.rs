//! How fast is Holdfast, next to the same work written in PyTorch?
//!
//! `make bench` runs all comparisons, `make bench BENCH=hm-c2f2` one. Each side is a process of its own with the same
//! number of threads; they take turns, so that what else the machine does hits both. What a comparison prints is a
//! Markdown table. The peers are our own Python on their library, in `../peers`; where there is no PyTorch, our side is
//! measured alone.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

mod contest;
mod evaluation;
mod inputs;
mod layers;
mod ours;
mod passes;
mod scaling;
mod side;
mod statistics;
mod training;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Parser;

use side::Peer;

/// A comparison: its name and what it does.
type Comparison = (&'static str, fn(&Options) -> Result<()>);

const COMPARISONS: &[Comparison] = &[
    ("layers", layers::compare),
    ("passes", passes::compare),
    ("hm-c2f2", training::compare_c2f2),
    ("hm-resnet18", training::compare_resnet18),
    ("ers-c2f2", evaluation::compare),
    ("scaling", scaling::measure),
];

/// Compares Holdfast with PyTorch on this machine.
#[derive(Debug, Parser)]
pub struct Options {
    names: Vec<String>,
    /// A Python that has torch; without one, our side is measured alone.
    #[arg(long)]
    python: Option<PathBuf>,
    /// The folder of Fashion-MNIST; without one, pictures of the same shape are drawn.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Threads of each side.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Measured rounds of the step comparisons.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Runs the whole robustness evaluation, not a part of it: about an hour.
    #[arg(long)]
    whole: bool,
    /// Answers a driver line by line: how our side is started.
    #[arg(long, hide = true)]
    worker: bool,
    /// What `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn peer(&self) -> Option<Peer<'_>> {
        self.python.as_deref().map(|python| Peer { python, threads: self.threads })
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.worker {
        return ours::serve();
    }
    let known: Vec<&str> = COMPARISONS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = options.names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("unknown comparison \"{unknown}\"; there are {}", known.join(", "));
    }
    if options.python.is_none() {
        println!("No Python with torch: our side is measured alone.");
    }
    for (name, compare) in COMPARISONS {
        if options.names.is_empty() || options.names.iter().any(|wanted| wanted == name) {
            println!("\n## {name}\n");
            compare(&options)?;
        }
    }
    Ok(())
}
