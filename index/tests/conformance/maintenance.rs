//! Searches and changes while an index is maintained, and what maintenance leaves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use holdfast_index::{ItemId, SearchOptions};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::support::{DIM, all, assert_same_hits, nearest, random_unit, subjects};

#[test]
fn rewriting_one_item_for_ever_neither_loses_it_nor_grows_the_index() {
    for (name, index) in subjects(DIM) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for id in 0..50 {
            index.upsert(ItemId(id), &random_unit(DIM, &mut rng)).unwrap();
        }
        for _ in 0..500 {
            let vector = random_unit(DIM, &mut rng);
            index.upsert(ItemId(7), &vector).unwrap();
            index.maintain(&|| true);
            let hits = index.search(&vector, 50, &SearchOptions::default()).unwrap();
            assert_eq!((hits[0].id, hits.len()), (ItemId(7), 50), "{name}");
        }
        assert!(index.tombstones() <= 50, "{name}: {} tombstones", index.tombstones());
    }
}

#[test]
fn searches_are_right_while_items_are_written_and_maintained() {
    for (name, index) in subjects(DIM) {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let fixed: Vec<Vec<f32>> = (0..100).map(|_| random_unit(DIM, &mut rng)).collect();
        for (id, vector) in fixed.iter().enumerate() {
            index.upsert(ItemId(id as u64), vector).unwrap();
        }
        let done = AtomicBool::new(false);
        let index = index.as_ref();

        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..1_000 {
                    index.upsert(ItemId(1_000 + round % 60), &random_unit(DIM, &mut rng)).unwrap();
                    index.remove(ItemId(1_000 + (round * 7) % 60)).unwrap();
                }
                done.store(true, Ordering::Release);
            });
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    index.maintain(&|| !done.load(Ordering::Acquire));
                }
            });
            for (id, vector) in fixed.iter().enumerate().cycle() {
                let hits = index.search(vector, 3, &SearchOptions::default()).unwrap();
                assert_eq!(hits[0].id, ItemId(id as u64), "{name}: an item that nobody touched");
                assert_eq!(hits.len(), 3, "{name}");
                if done.load(Ordering::Acquire) && id == 99 {
                    break;
                }
            }
        });
    }
}

#[test]
fn maintenance_that_is_told_to_stop_leaves_a_right_index() {
    for (name, index) in subjects(DIM) {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let mut model = BTreeMap::new();
        for step in 0..40 {
            for id in 0..20 {
                let vector = random_unit(DIM, &mut rng);
                index.upsert(ItemId(id * 3 + step % 3), &vector).unwrap();
                model.insert(id * 3 + step % 3, vector);
            }
            let polls = AtomicU64::new(0);
            index.maintain(&|| polls.fetch_add(1, Ordering::Relaxed) < step % 3);

            let query = random_unit(DIM, &mut rng);
            let hits = index.search(&query, 60, &SearchOptions::default()).unwrap();
            assert_same_hits(&name, &hits, &nearest(&model, &query, 60, all), &model, &query);
        }
    }
}
