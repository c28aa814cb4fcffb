//! How long a batch takes: forward, with the gradient of the pixels (a PGD step), with all gradients (a training step).
//!
//! `cargo bench -p holdfast-model`. Medians of interleaved repetitions, in milliseconds.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use candle_core::{DType, Device, Tensor, Var};
use holdfast_model::backbone;
use holdfast_model::{Embedder, EmbeddingNet, InputShape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

const BATCH: usize = 192;
const REPETITIONS: usize = 15;

type Work<'a> = (&'static str, Box<dyn Fn() + 'a>);

fn main() {
    let threads = rayon::current_num_threads();
    println!("batch of {BATCH}, {threads} threads, median of {REPETITIONS} (milliseconds)");
    println!("{:<8} {:>10} {:>16} {:>14}", "net", "forward", "pixel gradient", "all gradients");
    for name in backbone::names() {
        let medians = measure(name);
        println!("{name:<8} {:>10.1} {:>16.1} {:>14.1}", medians[0], medians[1], medians[2]);
    }
}

fn measure(name: &str) -> Vec<f64> {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let net = EmbeddingNet::init(name, &Device::Cpu, DType::F32, rng).expect("a registered backbone");
    let InputShape { channels, height, width } = net.input();
    let values: Vec<f32> = (0..BATCH * net.input().len()).map(|_| rng.random()).collect();
    let pixels = Tensor::from_vec(values, (BATCH, channels, height, width), &Device::Cpu).expect("a batch");
    let var = Var::from_tensor(&pixels).expect("a variable");
    let (trained, _vars) = net.trainable().expect("variables");
    let gradient = |net: &EmbeddingNet, pixels: &Tensor| {
        let loss = net.embed(pixels).and_then(|e| Ok(e.sqr()?.sum_all()?)).expect("an embedding");
        drop(loss.backward().expect("gradients"));
    };
    let work: [Work<'_>; 3] = [
        ("forward", Box::new(|| drop(net.embed(&pixels).expect("an embedding")))),
        ("pixel gradient", Box::new(|| gradient(&net, &var))),
        ("all gradients", Box::new(|| gradient(&trained, &pixels))),
    ];
    let mut times = vec![Vec::new(); work.len()];
    for repetition in 0..=REPETITIONS {
        for (times, (_, work)) in times.iter_mut().zip(&work) {
            let start = Instant::now();
            work();
            if repetition > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    times.into_iter().map(median).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
