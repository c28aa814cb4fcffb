//! The service against a sorted map and a search that compares with everything: very many random operations, with restarts.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_server::service::{Metadata, MetadataValue, NewItem, Search, SearchBy, Service, ServiceError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{Shop, picture, search};

const IDS: usize = 300;
const PICTURES: usize = 60;
/// Vectors of one picture may differ in the last bits with the batch that they were embedded in.
const TOLERANCE: f32 = 1e-3;

/// What an item should be.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    picture: usize,
    label: String,
    revision: u64,
}

struct Trial {
    shop: Shop,
    service: Option<Arc<Service>>,
    pictures: Vec<Vec<u8>>,
    /// The vector of each picture.
    vectors: Vec<Vec<f32>>,
    model: BTreeMap<String, Expected>,
    rng: ChaCha8Rng,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let shop = Shop::in_memory("c2f2", seed);
        let service = shop.open();
        let pictures: Vec<_> = (0..PICTURES as u64).map(picture).collect();
        let vectors = service.embed(pictures.clone()).unwrap().vectors;
        let (model, rng) = (BTreeMap::new(), ChaCha8Rng::seed_from_u64(seed));
        Self { shop, service: Some(service), pictures, vectors, model, rng }
    }

    fn service(&self) -> &Service {
        self.service.as_deref().unwrap()
    }

    fn id(&mut self) -> String {
        format!("item.{}", self.rng.random_range(0..IDS))
    }

    fn put(&mut self) {
        let count = self.rng.random_range(1..4);
        let mut items = Vec::new();
        for _ in 0..count {
            let (id, shown) = (self.id(), self.rng.random_range(0..PICTURES));
            let label = format!("class-{}", self.rng.random_range(0..5));
            let metadata: Metadata = [("label", MetadataValue::Text(label.clone()))].into_iter().collect();
            let revision = self.model.get(&id).map_or(1, |old| old.revision + 1);
            self.model.insert(id.clone(), Expected { picture: shown, label, revision });
            items.push(NewItem { id, picture: self.pictures[shown].clone(), metadata });
        }
        for stored in self.service().put(items) {
            stored.unwrap();
        }
    }

    fn delete(&mut self) {
        let id = self.id();
        let deleted = self.service().delete(&id);
        match self.model.remove(&id) {
            Some(_) => deleted.unwrap(),
            None => assert!(matches!(deleted, Err(ServiceError::NotFound { .. })), "{id}"),
        }
    }

    fn get(&mut self) {
        let id = self.id();
        let found = self.service().get(&id);
        let Some(expected) = self.model.get(&id) else {
            assert!(matches!(found, Err(ServiceError::NotFound { .. })), "{id}");
            return;
        };
        let found = found.unwrap();
        assert_eq!(
            (found.revision, found.metadata.label()),
            (expected.revision, Some(expected.label.as_str())),
            "{id}"
        );
        assert_eq!(self.service().picture(&id).unwrap().bytes, self.pictures[expected.picture], "{id}");
    }

    fn search(&mut self) {
        let limit = self.rng.random_range(1..40);
        let exact = self.rng.random_ratio(1, 2);
        let query = self.vectors[self.rng.random_range(0..PICTURES)].clone();
        let distances: BTreeMap<&str, f32> =
            self.model.iter().map(|(id, item)| (id.as_str(), distance(&query, &self.vectors[item.picture]))).collect();
        let mut nearest: Vec<f32> = distances.values().copied().collect();
        nearest.sort_by(f32::total_cmp);

        let by = SearchBy::Vector(query);
        let hits = self.service().search(&Search { limit, exact, ..search(by) }).unwrap().hits;

        for hit in &hits {
            let expected = distances.get(hit.id.as_str()).unwrap_or_else(|| panic!("{} is a ghost", hit.id));
            assert!((hit.distance - expected).abs() < TOLERANCE, "{hit:?}, expected {expected}");
            assert_eq!(hit.metadata.label(), Some(self.model[&hit.id].label.as_str()));
        }
        assert!(hits.windows(2).all(|pair| pair[0].distance <= pair[1].distance));
        if exact {
            assert_eq!(hits.len(), limit.min(nearest.len()));
            let found = hits.iter().map(|hit| hit.distance);
            assert!(found.zip(&nearest).all(|(found, expected)| (found - expected).abs() < TOLERANCE));
        }
    }

    fn reopen(&mut self) {
        self.service = None;
        self.service = Some(self.shop.open());
        let all = Search { limit: 1000, exact: true, ..search(SearchBy::Vector(self.vectors[0].clone())) };
        let mut found: Vec<_> = self.service().search(&all).unwrap().hits.into_iter().map(|hit| hit.id).collect();
        found.sort();
        assert!(found.iter().eq(self.model.keys()), "after a restart");
        let shown: std::collections::BTreeSet<_> = self.model.values().map(|item| item.picture).collect();
        assert_eq!(self.shop.stored_pictures(), shown.len());
    }
}

fn distance(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum::<f32>().sqrt()
}

fn operate(operations: usize, seed: u64) {
    eprintln!("{operations} operations, seed {seed}");
    let mut trial = Trial::new(seed);
    for _ in 0..operations {
        match trial.rng.random_range(0..1000) {
            0 => trial.reopen(),
            1..300 => trial.put(),
            300..500 => trial.delete(),
            500..750 => trial.get(),
            _ => trial.search(),
        }
    }
    trial.reopen();
}

#[test]
fn the_service_agrees_with_a_sorted_map_and_brute_force() {
    operate(2_000, 1);
}

#[test]
#[ignore = "slow: a hundred thousand operations"]
fn the_service_agrees_with_a_sorted_map_and_brute_force_for_a_hundred_thousand_operations() {
    operate(100_000, 2);
}
