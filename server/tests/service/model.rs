//! The service against a sorted map: random operations, with restarts in between.

use std::collections::BTreeMap;

use holdfast_server::service::{Search, Service};
use proptest::prelude::*;

use crate::support::{Shop, by_picture, item, picture};

#[derive(Clone, Debug)]
enum Operation {
    Put(Vec<(u8, u64)>),
    Delete(u8),
    Reopen,
    Look(u64),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        4 => prop::collection::vec((0..6_u8, 0..5_u64), 1..5).prop_map(Operation::Put),
        2 => (0..6_u8).prop_map(Operation::Delete),
        1 => Just(Operation::Reopen),
        2 => (0..5_u64).prop_map(Operation::Look),
    ];
    prop::collection::vec(operation, 1..20)
}

/// Id → seed of its picture.
type Model = BTreeMap<String, u64>;

fn look(service: &Service, model: &Model, seed: u64) {
    let hits = service.search(&Search { limit: 100, ..by_picture(picture(seed)) }).unwrap().hits;
    let mut found: Vec<&str> = hits.iter().map(|hit| hit.id.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, model.keys().collect::<Vec<_>>());
    for hit in &hits {
        assert_eq!(hit.distance < 1e-3, model[&hit.id] == seed, "{hit:?} for picture {seed} among {model:?}");
    }
    for (id, seed) in model {
        assert_eq!(service.picture(id).unwrap().bytes, picture(*seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_service_behaves_like_a_sorted_map_that_is_reopened_now_and_then(operations in operations()) {
        let shop = Shop::new("c3f1", 20);
        let mut service = shop.open();
        let mut model = Model::new();
        for operation in operations {
            match operation {
                Operation::Put(items) => {
                    let results = service.put(items.iter().map(|(id, seed)| item(&id.to_string(), *seed)).collect());
                    prop_assert!(results.iter().all(Result::is_ok));
                    model.extend(items.into_iter().map(|(id, seed)| (id.to_string(), seed)));
                }
                Operation::Delete(id) => {
                    let deleted = service.delete(&id.to_string()).is_ok();
                    prop_assert_eq!(deleted, model.remove(&id.to_string()).is_some());
                }
                Operation::Reopen => {
                    drop(service);
                    service = shop.open();
                }
                Operation::Look(seed) => look(&service, &model, seed),
            }
        }
        look(&service, &model, 0);
        drop(service);
        let mut shown: Vec<u64> = model.into_values().collect();
        shown.sort_unstable();
        shown.dedup();
        prop_assert_eq!(shop.stored_pictures(), shown.len());
    }
}
