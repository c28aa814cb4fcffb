//! Every engine, vectors to put in, and what a plain loop finds.

use std::collections::BTreeMap;

use holdfast_index::{ENGINES, Engine, Hit, IndexConfig, ItemId, VectorIndex, build};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub const DIM: usize = 6;

/// Every engine as configured by default, and once more without its shortcut past the graph.
pub fn subjects(dim: usize) -> Vec<(String, Box<dyn VectorIndex>)> {
    let of_engine = |engine: &'static Engine| {
        let default = IndexConfig::new(dim);
        let always_graph = IndexConfig { exact_below: 0, ..IndexConfig::new(dim) };
        [default, always_graph].map(|config| {
            let name = format!("{} (exact_below {})", engine.name, config.exact_below);
            (name, build(engine.name, &config).unwrap())
        })
    };
    ENGINES.iter().flat_map(of_engine).collect()
}

/// The unit vector of the same direction; the first axis for 0, which a shrinking test may come to.
pub fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm < 1e-6 {
        vector[0] = 1.0;
        return vector;
    }
    vector.into_iter().map(|x| x / norm).collect()
}

pub fn random_unit(dim: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    unit((0..dim).map(|_| rng.random_range(-1.0..1.0)).collect())
}

pub fn all(_: ItemId) -> bool {
    true
}

pub fn finish(index: &dyn VectorIndex) {
    index.maintain(&|| true);
    assert!(!index.needs_maintenance(), "maintenance must leave nothing to do");
}

/// The k nearest by a plain loop in f64.
pub fn nearest(
    model: &BTreeMap<u64, Vec<f32>>,
    query: &[f32],
    k: usize,
    passes: fn(ItemId) -> bool,
) -> Vec<(u64, f64)> {
    let square = |(&a, &b): (&f32, &f32)| (f64::from(a) - f64::from(b)).powi(2);
    let mut all: Vec<(u64, f64)> = model
        .iter()
        .filter(|(id, _)| passes(ItemId(**id)))
        .map(|(id, vector)| (*id, query.iter().zip(vector).map(square).sum::<f64>().sqrt()))
        .collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    all.truncate(k);
    all
}

/// The same distances in the same order, and each hit's distance its own: ids may swap only within rounding.
pub fn assert_same_hits(name: &str, got: &[Hit], want: &[(u64, f64)], model: &BTreeMap<u64, Vec<f32>>, query: &[f32]) {
    assert_eq!(got.len(), want.len(), "{name}: number of hits");
    for (hit, (id, distance)) in got.iter().zip(want) {
        // f32 distances of unit vectors err by less than 1e-6, and by up to the root of that next to 0.
        assert!((f64::from(hit.distance) - distance).abs() < 1e-5, "{name}: {hit:?}, want {id} at {distance}");
        let own = nearest(&BTreeMap::from([(hit.id.0, model[&hit.id.0].clone())]), query, 1, all)[0].1;
        assert!((f64::from(hit.distance) - own).abs() < 1e-5, "{name}: {hit:?} is at {own}");
    }
    let mut ids: Vec<u64> = got.iter().map(|hit| hit.id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), got.len(), "{name}: an item came twice");
}
