//! The only place that talks to hnsw_rs.
//!
//! That crate ends the process on parameters it does not like, panics on NaN, and cannot delete. So parameters come from a
//! validated [`IndexConfig`], vectors and queries are checked before they get here, and a deleted node is filtered out of
//! results for as long as the graph lives. Its file formats are not used: a graph is built again from its vectors.

use hnsw_rs::prelude::{DistL2, FilterT, Hnsw};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::IndexConfig;

/// hnsw_rs has no more layers than this.
const MAX_LAYERS: usize = 16;

/// A hint to hnsw_rs; its tables grow past it.
const EXPECTED_NODES: usize = 1_024;

/// With a filter, hnsw_rs panics when its only candidate is filtered out, which cannot happen with two.
const MIN_EF: usize = 2;

/// Navigable small worlds over vectors, each under a node number chosen by the caller.
///
/// Searches may run while nodes are inserted.
pub(super) struct Graph {
    hnsw: Hnsw<'static, f32, DistL2>,
}

impl Graph {
    pub(super) fn new(config: &IndexConfig) -> Self {
        let hnsw = Hnsw::new(config.m, EXPECTED_NODES, MAX_LAYERS, config.ef_construction, DistL2);
        Self { hnsw }
    }

    /// Inserts `vectors` as nodes `first_node`, `first_node + 1`, …
    pub(super) fn insert<'v>(&self, first_node: usize, vectors: &[&'v [f32]], pool: Option<&ThreadPool>) {
        let insert = |(offset, vector): (usize, &&'v [f32])| self.hnsw.insert((vector, first_node + offset));
        // Two threads that both find an empty graph would leave one of their nodes without links, so node 0 goes alone.
        let alone = if first_node == 0 { 1 } else { 0 };
        match pool {
            Some(pool) => {
                vectors.iter().enumerate().take(alone).for_each(insert);
                pool.install(|| vectors.par_iter().enumerate().skip(alone).for_each(insert));
            }
            None => vectors.iter().enumerate().for_each(insert),
        }
    }

    /// Up to `ef` nodes near `query` with their distances, in no particular order. Nodes that `keep` refuses are walked
    /// over, and at most one of them is returned.
    ///
    /// `keep` must not change its mind during the call. Without it, nodes still being inserted may be returned.
    pub(super) fn search(&self, query: &[f32], ef: usize, keep: Option<&dyn FilterT>) -> Vec<(usize, f32)> {
        let ef = ef.max(MIN_EF);
        let neighbours = self.hnsw.search_filter(query, ef, ef, keep);
        neighbours.iter().map(|found| (found.d_id, found.distance)).collect()
    }

    /// The node with exactly this vector, if a walk finds it. Must not run while nodes are inserted.
    pub(super) fn find(&self, vector: &[f32], ef: usize) -> Option<usize> {
        let same = |(node, distance): (usize, f32)| (distance == 0.0).then_some(node);
        self.search(vector, ef, None).into_iter().find_map(same)
    }

    /// An estimate for `nodes` nodes of `dim` numbers: each holds its vector, lists and locks, and links that are allocations
    /// of their own. Fitted to what 5,000 vectors of 128 numbers took, within 20 %.
    pub(super) fn memory_bytes(nodes: usize, dim: usize, m: usize) -> usize {
        const NODE_BYTES: usize = 1_500;
        const LINK_BYTES: usize = 36;
        nodes * (dim * size_of::<f32>() + NODE_BYTES + 2 * m * LINK_BYTES)
    }
}
