//! How our training step grows with the attack's steps and with the pairs: linearly, or something is wrong.

use anyhow::Result;

use crate::Options;
use crate::contest::{self, alternate};
use crate::inputs::{Inputs, fashion_mnist, trained_c2f2};
use crate::side::Side;
use crate::statistics::Line;
use crate::training::Training;

const STEPS: [usize; 5] = [1, 2, 4, 8, 16];
const PAIRS: [usize; 6] = [16, 32, 48, 64, 96, 128];

/// Both curves, with every triplet in every step so that the work is the same each time.
pub fn measure(options: &Options) -> Result<()> {
    let (pictures, _) = fashion_mnist(options.data.as_deref())?;
    let inputs = Inputs::empty()?;
    let net = inputs.save_net(&trained_c2f2(&pictures)?)?;

    let full = inputs.save_batches(&pictures, 128)?;
    let of_steps = |steps| Training { steps, ..Training::c2f2(net.clone(), full.clone()).without_skipping() };
    curve("attack steps, 128 pairs", &STEPS.map(|steps| (steps, of_steps(steps))), options)?;

    let mut of_pairs = Vec::new();
    for pairs in PAIRS {
        let folder = Inputs::empty()?;
        let batches = folder.save_batches(&pictures, pairs)?;
        of_pairs.push((pairs, Training::c2f2(net.clone(), batches).without_skipping(), folder));
    }
    let points: Vec<_> = of_pairs.iter().map(|(pairs, training, _)| (*pairs, training.clone())).collect();
    curve("pairs, 8 attack steps", &points, options)
}

fn curve(what: &str, points: &[(usize, Training)], options: &Options) -> Result<()> {
    let sides = points.iter().map(|(x, training)| Ok((Side::ours(&x.to_string(), options.threads)?, training.clone())));
    let taken = alternate(&mut contest::prepare("training", sides.collect::<Result<_>>()?)?, options.rounds.min(5))?;
    let measured: Vec<(f64, f64)> =
        points.iter().zip(&taken).map(|((x, _), side)| (*x as f64, side.median())).collect();
    let Line { offset, slope, worst } = Line::through(&measured);

    println!("| {what} | ms | on the line |\n|---|---|---|");
    for (x, y) in &measured {
        println!("| {x} | {y:.1} | {:.1} |", offset + slope * x);
    }
    println!("\nms = {offset:.1} + {slope:.2} · x; the worst point is {:.1} % off.\n", 100.0 * worst);
    Ok(())
}
