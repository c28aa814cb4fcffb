//! Engine `hnsw`: walk a graph of near neighbours, and look at all vectors where that is better.
//!
//! The vectors themselves are the truth, and the graph covers most of them. An upsert stores the vector and puts the item on
//! the *tail*, the items that the graph does not know yet; a search walks the graph, scans the tail, and merges. So a write
//! costs microseconds and is seen at once, and linking, which costs milliseconds, happens in [`VectorIndex::maintain`].
//! The graph cannot forget: the node of a replaced or removed item becomes a tombstone, which searches walk over. And it may
//! lose the way to a node, whose items, the *strays*, are then scanned like the tail. When there are too many of either,
//! maintenance builds a new graph beside the old one.
//!
//! All vectors are scanned instead when there are few of them, when few pass the filter, or when the graph comes back with
//! too few hits.

mod graph;
mod link;
mod state;

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rayon::ThreadPool;

use self::graph::Graph;
use self::link::NODES_PER_AUDIT;
use self::state::State;
use crate::error::{check_search, check_vector};
use crate::{Engine, Filter, Hit, IndexConfig, ItemId, Result, SearchOptions, VectorIndex};

pub(crate) const ENGINE: Engine = Engine {
    name: "hnsw",
    description: "walks a graph of near neighbours: finds nearly all of them in a time that hardly grows",
    build: |config| Box::new(HnswEngine::new(config)),
};

struct HnswEngine {
    config: IndexConfig,
    state: RwLock<State>,
    /// Held by the one thread that changes the graph; never needed to search, upsert or remove.
    maintainer: Mutex<()>,
}

impl HnswEngine {
    fn new(config: &IndexConfig) -> Self {
        let state = RwLock::new(State::new(config));
        Self { config: config.clone(), state, maintainer: Mutex::new(()) }
    }

    // Nothing panics between two changes that belong together, so a poisoned lock still guards whole data.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether looking at every item that passes the filter costs less than walking the graph.
    ///
    /// With a share s of n items passing, a scan compares s·n vectors and a walk about ef/s times a constant; they break
    /// even where s²·n reaches a bound that grows with ef. `exact_below` is that bound at the configured ef.
    fn scan_is_cheaper(&self, state: &State, ef: usize, filter: Option<&Filter<'_>>) -> bool {
        let share = state.share(filter);
        let bound = self.config.exact_below as f64 * (ef as f64 / self.config.ef as f64).max(1.0);
        share * share * state.vectors.len() as f64 <= bound
    }

    fn pool(&self) -> Option<ThreadPool> {
        if self.config.build_threads == 1 {
            return None;
        }
        // If the system gives no more threads, this one does the work.
        rayon::ThreadPoolBuilder::new().num_threads(self.config.build_threads).build().ok()
    }
}

impl VectorIndex for HnswEngine {
    fn upsert(&self, id: ItemId, vector: &[f32]) -> Result<()> {
        check_vector(vector, self.config.dim)?;
        let mut state = self.write();
        if state.vectors.set(id, vector) {
            state.displace(id);
            state.tail.insert(id.into());
        }
        Ok(())
    }

    fn remove(&self, id: ItemId) -> Result<bool> {
        let mut state = self.write();
        let existed = state.vectors.remove(id);
        if existed {
            state.displace(id);
        }
        Ok(existed)
    }

    fn search(&self, query: &[f32], k: usize, options: &SearchOptions<'_>) -> Result<Vec<Hit>> {
        check_search(query, self.config.dim, k, options.ef)?;
        let state = self.read();
        let k = k.min(state.vectors.len());
        let ef = options.ef.unwrap_or(self.config.ef).max(k);
        if !options.exact && !self.scan_is_cheaper(&state, ef, options.filter) {
            let hits = state.nearest(query, k, ef, options.filter);
            // The graph may not connect everything. A larger ef would not help: a walk that found too few went everywhere.
            if hits.len() == k {
                return Ok(hits);
            }
        }
        Ok(state.vectors.nearest(query, k, options.filter))
    }

    fn nearest_among(&self, query: &[f32], k: usize, items: &[ItemId]) -> Result<Vec<Hit>> {
        check_search(query, self.config.dim, k, None)?;
        Ok(self.read().vectors.nearest_among(query, k, items))
    }

    fn check(&self, vector: &[f32]) -> Result<()> {
        check_vector(vector, self.config.dim)
    }

    fn vector(&self, id: ItemId) -> Option<Vec<f32>> {
        self.read().vectors.get(id).map(<[f32]>::to_vec)
    }

    fn len(&self) -> usize {
        self.read().vectors.len()
    }

    fn tombstones(&self) -> usize {
        self.read().cover.tombstones
    }

    fn memory_bytes(&self) -> usize {
        let state = self.read();
        let nodes = state.cover.items.len();
        state.vectors.memory_bytes() + Graph::memory_bytes(nodes, self.config.dim, self.config.m)
    }

    fn needs_maintenance(&self) -> bool {
        let state = self.read();
        state.wants_rebuild(&self.config) || state.wants_linking(&self.config) || state.audit.is_due(NODES_PER_AUDIT)
    }

    fn maintain(&self, proceed: &(dyn Fn() -> bool + Sync)) {
        let _turn = self.maintainer.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = self.pool();
        while proceed() && self.needs_maintenance() {
            let rebuild = self.read().wants_rebuild(&self.config);
            if rebuild {
                self.rebuild(pool.as_ref(), proceed);
            }
            self.link_tail(pool.as_ref(), proceed);
            self.pay_audits(proceed);
        }
    }
}
