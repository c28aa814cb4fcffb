//! Sides that take turns, and the table of what they took.

use anyhow::Result;
use serde::Serialize;

use crate::side::{Memory, Side};
use crate::statistics::Quartiles;

/// What one side took.
pub struct Taken {
    /// What tables call the side.
    pub label: String,
    /// Milliseconds of each round.
    pub rounds: Vec<f64>,
    /// Memory after the last one.
    pub memory: Memory,
}

impl Taken {
    /// The median round in milliseconds.
    pub fn median(&self) -> f64 {
        Quartiles::of(&self.rounds).median
    }
}

/// Prepares the same work on every side; those that cannot do it drop out.
pub fn prepare<S: Serialize>(work: &str, sides: Vec<(Side, S)>) -> Result<Vec<Side>> {
    let prepared = sides.into_iter().map(|(side, settings)| side.prepared(work, &settings));
    prepared.filter_map(Result::transpose).collect()
}

/// Runs all sides once unmeasured, then `rounds` times in turn: first, second, …, first, second, …
pub fn alternate(sides: &mut [Side], rounds: usize) -> Result<Vec<Taken>> {
    for side in sides.iter_mut() {
        side.run()?;
    }
    let mut times = vec![Vec::new(); sides.len()];
    for _ in 0..rounds {
        for (side, times) in sides.iter_mut().zip(&mut times) {
            times.push(side.run()?);
        }
    }
    let taken =
        |(side, rounds): (&mut Side, Vec<f64>)| Ok(Taken { label: side.label.clone(), rounds, memory: side.memory()? });
    sides.iter_mut().zip(times).map(taken).collect()
}

/// Prints one row a side. The first `ours` sides are ours; each has a column of its time as a share of every side's.
pub fn print(taken: &[Taken], ours: usize) {
    let ours = &taken[..ours.min(taken.len())];
    let ratios: String = ours.iter().map(|side| format!(" {} / this |", side.label)).collect();
    println!("| side | median ms | quartiles |{ratios} peak MiB | of it the work | {} / this |", ours[0].label);
    println!("|---|---|---|{}---|---|---|", "---|".repeat(ours.len()));
    for side in taken {
        let Quartiles { lower, median, upper } = Quartiles::of(&side.rounds);
        let ratios: String = ours.iter().map(|ours| format!(" {:.2} |", ours.median() / median)).collect();
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "| {} | {median:.1} | {lower:.1} – {upper:.1} |{ratios} {:.0} | {:.0} | {:.2} |",
            side.label,
            mib(side.memory.peak),
            mib(side.memory.growth),
            ours[0].memory.growth as f64 / side.memory.growth as f64,
        );
    }
}
