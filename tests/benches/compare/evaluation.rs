//! The robustness evaluation of 1,000 queries in a gallery of 10,000, C2F2, 32 steps, every attack.
//!
//! The whole takes minutes a side, so what is compared by default are its two parts: benign retrieval over the gallery,
//! once, and one batch of 128 queries under every attack. The whole has 1,000 / 128 such batches; `--whole` runs it.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::Options;
use crate::contest::{self, Taken, alternate, print};
use crate::inputs::{Inputs, fashion_mnist, trained_c2f2};
use crate::side::Side;

/// Queries of a batch, as in the profile rob28.
pub const BATCH: usize = 128;

const QUERIES: usize = 1000;
const STEPS: usize = 32;

/// A part of an evaluation, as a worker is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// The architecture.
    pub backbone: String,
    /// The file of the net's weights.
    pub net: PathBuf,
    /// The file of the gallery's pictures; the queries are the first of them.
    pub pictures: PathBuf,
    /// Which part.
    pub part: Part,
    /// Which way the peer is written: "weight-gradients" or "rewritten". Ours does not read it.
    pub peer: String,
    /// How many pictures are attacked.
    pub queries: usize,
    /// Radius of the attacks.
    pub epsilon: f64,
    /// Step of the attacks.
    pub alpha: f64,
    /// Updates of the attacks.
    pub steps: usize,
}

/// A part of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Embedding the gallery, and benign retrieval.
    Benign,
    /// One batch under every attack.
    Batch,
    /// Everything.
    Whole,
}

/// Both parts, or the whole.
pub fn compare(options: &Options) -> Result<()> {
    let (train, test) = fashion_mnist(options.data.as_deref())?;
    let inputs = Inputs::empty()?;
    let evaluation = Evaluation {
        backbone: "c2f2".to_owned(),
        net: inputs.save_net(&trained_c2f2(&train)?)?,
        pictures: inputs.save_pictures(&test.first(10_000))?,
        part: Part::Whole,
        peer: String::new(),
        queries: QUERIES,
        epsilon: 0.30196,
        alpha: 0.011_764,
        steps: STEPS,
    };
    if options.whole {
        println!("The whole: {QUERIES} queries, {STEPS} steps, every attack.\n");
        print(&measure(&evaluation, 1, options)?, 1);
        return Ok(());
    }
    println!("Benign retrieval over the gallery:\n");
    let benign = measure(&Evaluation { part: Part::Benign, ..evaluation.clone() }, 3, options)?;
    print(&benign, 1);
    println!("\n{BATCH} queries under every attack, {STEPS} steps:\n");
    let batch = measure(&Evaluation { part: Part::Batch, queries: BATCH, ..evaluation }, 2, options)?;
    print(&batch, 1);
    print_scaled(&benign, &batch);
    Ok(())
}

fn measure(evaluation: &Evaluation, rounds: usize, options: &Options) -> Result<Vec<Taken>> {
    let mut sides = vec![(Side::ours("Holdfast", options.threads)?, evaluation.clone())];
    for (peer, label) in
        [("weight-gradients", "PyTorch, weight gradients too, as the authors'"), ("rewritten", "PyTorch, rewritten")]
    {
        if let Some(process) = options.peer() {
            sides.push((Side::peer(label, process)?, Evaluation { peer: peer.to_owned(), ..evaluation.clone() }));
        }
    }
    alternate(&mut contest::prepare("evaluation", sides)?, rounds)
}

/// What the whole would take: the benign part once, and as many batches as it has.
fn print_scaled(benign: &[Taken], batch: &[Taken]) {
    let batches = QUERIES as f64 / BATCH as f64;
    let whole = |(benign, batch): (&Taken, &Taken)| (benign.median() + batches * batch.median()) / 1e3;
    let ours = whole((&benign[0], &batch[0]));
    println!("\nScaled to the whole, {QUERIES} queries (benign + {batches:.2} · batch):\n");
    println!("| side | s | ours / this |\n|---|---|---|");
    for sides in benign.iter().zip(batch) {
        println!("| {} | {:.1} | {:.2} |", sides.0.label, whole(sides), ours / whole(sides));
    }
}
