//! How many of the nearest items are found.

use holdfast_index::{IndexConfig, ItemId, SearchOptions, VectorIndex, build, engine_names};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{DIM, finish, random_unit, subjects, unit};

/// Vectors around well separated centres, as embeddings of classes are.
fn clustered(clusters: usize, each: usize, dim: usize, spread: f32, rng: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    let mut vectors = Vec::new();
    for _ in 0..clusters {
        let centre = random_unit(dim, rng);
        for _ in 0..each {
            let noise = random_unit(dim, rng);
            vectors.push(unit(centre.iter().zip(&noise).map(|(c, n)| c + spread * n).collect()));
        }
    }
    vectors
}

fn recall_at_10(index: &dyn VectorIndex, queries: &[Vec<f32>]) -> f64 {
    let (mut found, mut wanted) = (0, 0);
    for query in queries {
        let exact = index.search(query, 10, &SearchOptions { exact: true, ..SearchOptions::default() }).unwrap();
        let hits = index.search(query, 10, &SearchOptions::default()).unwrap();
        // A hit as near as the tenth is as good as the tenth.
        found += hits.iter().filter(|hit| hit.distance <= exact[9].distance).count();
        wanted += exact.len();
    }
    found as f64 / wanted as f64
}

#[test]
fn nine_and_a_half_of_the_ten_nearest_are_found_among_clusters() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut vectors = clustered(50, 62, 32, 0.6, &mut rng);
    let queries = vectors.split_off(3_000);
    for (name, index) in subjects(32) {
        for (id, vector) in vectors.iter().enumerate() {
            index.upsert(ItemId(id as u64), vector).unwrap();
        }
        finish(index.as_ref());

        let recall = recall_at_10(index.as_ref(), &queries);

        assert!(recall >= 0.95, "{name}: recall@10 is {recall}");
    }
}

/// What `holdfast import` does: one class after the other, with maintenance keeping up.
fn put_in_turn(index: &dyn VectorIndex, vectors: &[Vec<f32>]) {
    for (id, vector) in vectors.iter().enumerate() {
        index.upsert(ItemId(id as u64), vector).unwrap();
        if id % 20 == 19 {
            finish(index);
        }
    }
}

#[test]
fn tight_classes_that_come_one_after_the_other_are_all_found() {
    // With so few links a class fills them with its own, and the graph loses the way to others.
    let config = IndexConfig { m: 4, ef_construction: 16, ef: 16, exact_below: 100, ..IndexConfig::new(16) };
    for seed in 0..4 {
        let vectors = clustered(8, 100, 16, 0.02, &mut ChaCha8Rng::seed_from_u64(seed));
        for engine in engine_names() {
            let index = build(engine, &config).unwrap();
            put_in_turn(index.as_ref(), &vectors);

            let recall = recall_at_10(index.as_ref(), &vectors);

            assert!(recall >= 0.98, "{engine}, seed {seed}: recall@10 is {recall}");
        }
    }
}

#[test]
fn a_picture_under_many_ids_does_not_hide_the_others_and_takes_one_node() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut vectors = vec![random_unit(16, &mut rng); 300];
    vectors.extend(clustered(10, 20, 16, 0.1, &mut rng));
    let all_different = clustered(25, 20, 16, 0.1, &mut rng);
    for ((name, index), (_, other)) in subjects(16).into_iter().zip(subjects(16)) {
        put_in_turn(index.as_ref(), &vectors);
        put_in_turn(other.as_ref(), &all_different);

        let recall = recall_at_10(index.as_ref(), &vectors);

        assert!(recall >= 0.99, "{name}: recall@10 is {recall}");
        let graph = name == "hnsw (exact_below 0)";
        assert_eq!(index.memory_bytes() * 3 < other.memory_bytes() * 2, graph, "{name}");
    }
}

#[test]
fn a_graph_built_by_many_threads_finds_as_much() {
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    let mut vectors = clustered(30, 35, 24, 0.4, &mut rng);
    let queries = vectors.split_off(1_000);
    let config = IndexConfig { exact_below: 0, build_threads: 4, ..IndexConfig::new(24) };
    let index = build("hnsw", &config).unwrap();
    for (id, vector) in vectors.iter().enumerate() {
        index.upsert(ItemId(id as u64), vector).unwrap();
    }
    finish(index.as_ref());

    assert!(recall_at_10(index.as_ref(), &queries) >= 0.95);
}

#[test]
fn a_filter_that_few_items_pass_still_fills_the_hits() {
    for (name, index) in subjects(DIM) {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for id in 0..3_000 {
            index.upsert(ItemId(id), &random_unit(DIM, &mut rng)).unwrap();
        }
        finish(index.as_ref());
        for share in [2, 10, 100, 1_000] {
            let filter = move |id: ItemId| id.0.is_multiple_of(share);
            let options = SearchOptions { filter: Some(&filter), ..SearchOptions::default() };
            let hits = index.search(&random_unit(DIM, &mut rng), 10, &options).unwrap();
            assert_eq!(hits.len() as u64, 10.min(3_000 / share), "{name}: 1 in {share}");
            assert!(hits.iter().all(|hit| filter(hit.id)), "{name}: 1 in {share}");
        }
    }
}
