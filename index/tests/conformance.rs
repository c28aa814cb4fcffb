//! One battery of claims that every engine must meet.
#![expect(clippy::unwrap_used, reason = "an error fails the test")]

#[path = "conformance/maintenance.rs"]
mod maintenance;
#[path = "conformance/recall.rs"]
mod recall;
#[path = "conformance/support.rs"]
mod support;

use std::collections::BTreeMap;

use holdfast_index::{ENGINES, Error, IndexConfig, ItemId, MAX_EF, SearchOptions, VectorIndex, build};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use support::{DIM, all, assert_same_hits, finish, nearest, random_unit, subjects, unit};

#[derive(Clone, Debug)]
enum Operation {
    Upsert(u64, Vec<f32>),
    Remove(u64),
    Maintain,
    Search { query: Vec<f32>, k: usize, exact: bool, odd_only: bool },
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let vector = || prop::collection::vec(-1.0_f32..1.0, DIM).prop_map(unit);
    // Few ids, so that items are overwritten and removed often; a few shared vectors, so that distances tie.
    let shared = (0..DIM).prop_map(|axis| (0..DIM).map(|i| if i == axis { 1.0 } else { 0.0 }).collect());
    let vector = prop_oneof![3 => vector(), 1 => shared];
    let search = (vector.clone(), 1..60_usize, any::<bool>(), any::<bool>())
        .prop_map(|(query, k, exact, odd_only)| Operation::Search { query, k, exact, odd_only });
    let operation = prop_oneof![
        6 => (0..40_u64, vector).prop_map(|(id, vector)| Operation::Upsert(id, vector)),
        2 => (0..40_u64).prop_map(Operation::Remove),
        1 => Just(Operation::Maintain),
        3 => search,
    ];
    prop::collection::vec(operation, 1..120)
}

fn is_odd(id: ItemId) -> bool {
    id.0 % 2 == 1
}

fn apply(name: &str, index: &dyn VectorIndex, model: &mut BTreeMap<u64, Vec<f32>>, operation: &Operation) {
    match operation {
        Operation::Upsert(id, vector) => {
            index.upsert(ItemId(*id), vector).unwrap();
            model.insert(*id, vector.clone());
        }
        Operation::Remove(id) => {
            assert_eq!(index.remove(ItemId(*id)).unwrap(), model.remove(id).is_some(), "{name}: remove {id}");
        }
        Operation::Maintain => finish(index),
        Operation::Search { query, k, exact, odd_only } => {
            let passes = if *odd_only { is_odd } else { all };
            let options =
                SearchOptions { exact: *exact, ef: None, filter: if *odd_only { Some(&is_odd) } else { None } };
            let got = index.search(query, *k, &options).unwrap();
            assert_same_hits(name, &got, &nearest(model, query, *k, passes), model, query);
        }
    }
    assert_eq!(index.len(), model.len(), "{name}: len");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_behaves_like_a_sorted_map_with_a_plain_loop(operations in operations()) {
        for (name, index) in subjects(DIM) {
            let mut model = BTreeMap::new();
            for operation in &operations {
                apply(&name, index.as_ref(), &mut model, operation);
            }
            for id in 0..40 {
                prop_assert_eq!(index.vector(ItemId(id)), model.get(&id).cloned());
            }
        }
    }
}

#[test]
fn an_empty_index_has_no_hits() {
    for (name, index) in subjects(2) {
        let hits = index.search(&[1.0, 0.0], 5, &SearchOptions::default()).unwrap();

        assert!(hits.is_empty() && index.is_empty(), "{name}");
    }
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    type Expected = fn(&Error) -> bool;
    let refused: [(&[f32], Expected); 6] = [
        (&[1.0, 0.0, 0.0], |e| matches!(e, Error::WrongDimension { expected: 2, got: 3 })),
        (&[], |e| matches!(e, Error::WrongDimension { expected: 2, got: 0 })),
        (&[f32::NAN, 0.0], |e| matches!(e, Error::NotFinite { position: 0, .. })),
        (&[0.0, f32::INFINITY], |e| matches!(e, Error::NotFinite { position: 1, .. })),
        (&[0.0, 0.0], |e| matches!(e, Error::NotUnit { .. })),
        (&[1.0, 0.1], |e| matches!(e, Error::NotUnit { .. })),
    ];
    for (name, index) in subjects(2) {
        index.upsert(ItemId(1), &[0.0, 1.0]).unwrap();
        for (vector, expected) in refused {
            let error = index.upsert(ItemId(1), vector).unwrap_err();
            assert!(expected(&error), "{name}: upsert of {vector:?} gave {error}");
            let error = index.search(vector, 1, &SearchOptions::default()).unwrap_err();
            assert!(expected(&error), "{name}: search for {vector:?} gave {error}");
        }
        finish(index.as_ref());
        assert_eq!(index.vector(ItemId(1)), Some(vec![0.0, 1.0]), "{name}");
    }
}

#[test]
fn a_search_for_nothing_or_with_an_impossible_effort_is_refused() {
    for (name, index) in subjects(2) {
        let search = |k, ef| index.search(&[1.0, 0.0], k, &SearchOptions { ef, ..SearchOptions::default() });

        assert_eq!(search(0, None), Err(Error::NothingAsked), "{name}");
        assert_eq!(search(1, Some(0)), Err(Error::EfOutOfRange { ef: 0 }), "{name}");
        assert_eq!(search(1, Some(MAX_EF + 1)), Err(Error::EfOutOfRange { ef: MAX_EF + 1 }), "{name}");
        assert_eq!(search(usize::MAX, Some(1)), Ok(vec![]), "{name}");
    }
}

#[test]
fn equal_distances_come_in_the_order_of_ids() {
    for (name, index) in subjects(2) {
        for id in [5, 3, 9, 1, 7] {
            index.upsert(ItemId(id), &[0.0, 1.0]).unwrap();
        }
        finish(index.as_ref());

        let hits = index.search(&[1.0, 0.0], 5, &SearchOptions::default()).unwrap();

        let ids: Vec<u64> = hits.iter().map(|hit| hit.id.0).collect();
        assert_eq!(ids, [1, 3, 5, 7, 9], "{name}");
    }
}

#[test]
fn memory_grows_with_the_vectors() {
    for (name, index) in subjects(DIM) {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let empty = index.memory_bytes();
        for id in 0..100 {
            index.upsert(ItemId(id), &random_unit(DIM, &mut rng)).unwrap();
        }
        assert!(index.memory_bytes() >= empty + 100 * DIM * 4, "{name}");
    }
}

#[test]
fn engine_names_are_unique_and_each_can_be_built() {
    let mut names: Vec<&str> = ENGINES.iter().map(|engine| engine.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ENGINES.len());
    assert!(ENGINES.iter().all(|engine| build(engine.name, &IndexConfig::new(4)).is_ok()));
}

#[test]
fn an_unknown_engine_and_an_illegal_configuration_are_explained() {
    let unknown = build("annoy", &IndexConfig::new(4)).map(|_| ()).unwrap_err();
    assert_eq!(unknown.to_string(), "unknown index engine \"annoy\"; known: exact, hnsw");

    // hnsw_rs ends the process at 257.
    let illegal = build("hnsw", &IndexConfig { m: 257, ..IndexConfig::new(4) }).map(|_| ()).unwrap_err();
    assert_eq!(illegal.to_string(), "invalid index configuration: m must be in 2..=128, got 257");
}
