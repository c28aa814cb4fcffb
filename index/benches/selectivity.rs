//! Searches under a filter: a walk over the graph that passes what does not match, against looking at each item that matches.
//!
//! `cargo bench --bench selectivity [-- items dim]`, by default 30,000 vectors of 128 numbers in 1,000 clusters. For each share
//! of items that match, drawn at random: the recall@10 of the walk and the median time of both ways, each query in turn.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers that prints a table")]

use std::time::Instant;

use holdfast_index::{IndexConfig, ItemId, SearchOptions, build};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const K: usize = 10;
const QUERIES: usize = 200;
const CLUSTERS: usize = 1000;
const SHARES: [f64; 8] = [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001];

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let (items, dim) = (numbers.first().map_or(30_000, |&n| n), numbers.get(1).map_or(128, |&n| n));
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let centres: Vec<Vec<f32>> = (0..CLUSTERS).map(|_| direction(dim, rng)).collect();
    let index = build("hnsw", &IndexConfig { build_threads: 2, ..IndexConfig::new(dim) }).unwrap();
    let started = Instant::now();
    for id in 0..items as u64 {
        index.upsert(ItemId(id), &near(&centres, rng)).unwrap();
    }
    index.maintain(&|| true);
    println!("{items} vectors of {dim} numbers, graph made in {:.1} s", started.elapsed().as_secs_f64());
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|_| near(&centres, rng)).collect();

    println!(
        "| share that matches | recall@{K} of the walk | walk, median ms | each in turn, median ms |\n|---|---|---|---|"
    );
    for share in SHARES {
        let matches: Vec<bool> = (0..items).map(|_| rng.random_bool(share)).collect();
        let chosen: Vec<ItemId> = (0..items).filter(|&at| matches[at]).map(|at| ItemId(at as u64)).collect();
        let filter = |id: ItemId| matches[id.0 as usize];
        let options = SearchOptions { filter: Some(&filter), ..SearchOptions::default() };
        let (mut walks, mut scans, mut found) = (Vec::new(), Vec::new(), 0);
        for query in &queries {
            let (walked, walk) = timed(|| index.search(query, K, &options).unwrap());
            let (exact, scan) = timed(|| index.nearest_among(query, K, &chosen).unwrap());
            found += walked.iter().filter(|hit| exact.iter().any(|right| right.id == hit.id)).count();
            walks.push(walk);
            scans.push(scan);
        }
        let recall = found as f64 / (QUERIES * K.min(chosen.len())) as f64;
        println!("| {:.1} % | {recall:.3} | {:.2} | {:.2} |", 100.0 * share, median(walks), median(scans));
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed().as_secs_f64() * 1000.0)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn unit(vector: &[f32]) -> Vec<f32> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    vector.iter().map(|x| x / norm).collect()
}

fn direction(dim: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    unit(&(0..dim).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f32>>())
}

/// A unit vector around one of the centres, as embeddings of one class lie.
fn near(centres: &[Vec<f32>], rng: &mut ChaCha8Rng) -> Vec<f32> {
    let centre = &centres[rng.random_range(0..centres.len())];
    let noise = direction(centre.len(), rng);
    unit(&centre.iter().zip(noise).map(|(a, b)| a + 0.7 * b).collect::<Vec<f32>>())
}
