//! Engine `exact`: look at every vector.
//!
//! Always right, and linear: about 1 ms for 10,000 vectors of 128 numbers on one core.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::{check_search, check_vector};
use crate::vectors::Vectors;
use crate::{Engine, Hit, IndexConfig, ItemId, Result, SearchOptions, VectorIndex};

pub(crate) const ENGINE: Engine = Engine {
    name: "exact",
    description: "looks at every vector: always right, time grows with the number of items",
    build: |config| Box::new(Exact::new(config)),
};

struct Exact {
    dim: usize,
    vectors: RwLock<Vectors>,
}

impl Exact {
    fn new(config: &IndexConfig) -> Self {
        Self { dim: config.dim, vectors: RwLock::new(Vectors::new(config.dim)) }
    }

    // Nothing panics between two changes that belong together, so a poisoned lock still guards whole data.
    fn read(&self) -> RwLockReadGuard<'_, Vectors> {
        self.vectors.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vectors> {
        self.vectors.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VectorIndex for Exact {
    fn upsert(&self, id: ItemId, vector: &[f32]) -> Result<()> {
        check_vector(vector, self.dim)?;
        self.write().set(id, vector);
        Ok(())
    }

    fn remove(&self, id: ItemId) -> Result<bool> {
        Ok(self.write().remove(id))
    }

    fn search(&self, query: &[f32], k: usize, options: &SearchOptions<'_>) -> Result<Vec<Hit>> {
        check_search(query, self.dim, k, options.ef)?;
        Ok(self.read().nearest(query, k, options.filter))
    }

    fn nearest_among(&self, query: &[f32], k: usize, items: &[ItemId]) -> Result<Vec<Hit>> {
        check_search(query, self.dim, k, None)?;
        Ok(self.read().nearest_among(query, k, items))
    }

    fn check(&self, vector: &[f32]) -> Result<()> {
        check_vector(vector, self.dim)
    }

    fn vector(&self, id: ItemId) -> Option<Vec<f32>> {
        self.read().get(id).map(<[f32]>::to_vec)
    }

    fn len(&self) -> usize {
        self.read().len()
    }

    fn tombstones(&self) -> usize {
        0
    }

    fn memory_bytes(&self) -> usize {
        self.read().memory_bytes()
    }
}
