//! Maintenance: linking items into the graph, and making the graph anew.
//!
//! hnsw_rs keeps for each node its nearest neighbours and forgets the far ones. Many equal vectors would link only to each
//! other, so they share a node. And a group may lose its last link from outside: nodes are looked for when they were linked,
//! and again later, and an item that is not found, a *stray*, is scanned by searches from then on.

use std::collections::HashSet;
use std::sync::Arc;

use rayon::ThreadPool;

use super::HnswEngine;
use super::graph::Graph;
use super::state::{Cover, Scattered};
use crate::ItemId;
use crate::vectors::Vectors;

/// Items linked between two looks at the lock and at whether to go on: some 0.2 s of work.
const ITEMS_PER_STEP: usize = 64;

/// Nodes looked for between two looks at the lock.
pub(super) const NODES_PER_AUDIT: usize = 64;
/// Nodes looked for again for each one that is linked. A walk costs a tenth of a link.
const AUDITS_PER_LINK: usize = 4;

/// Says whether to go on.
pub(super) type Proceed<'p> = dyn Fn() -> bool + Sync + 'p;

/// A copy of an item's vector, and where the graph has it.
struct Placed {
    id: ItemId,
    vector: Vec<f32>,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// On a node that walks find.
    Node(usize),
    /// On a node that walks do not find.
    Lost,
}

impl HnswEngine {
    /// Links the tail into the graph, a few items at a time.
    pub(super) fn link_tail(&self, pool: Option<&ThreadPool>, proceed: &Proceed<'_>) {
        while proceed() {
            let (graph, first_node, batch) = {
                let state = self.read();
                if state.wants_rebuild(&self.config) || !state.wants_linking(&self.config) {
                    return;
                }
                let ids = state.tail.iter().take(ITEMS_PER_STEP).map(|scattered| scattered.id);
                (Arc::clone(&state.cover.graph), state.cover.items.len(), copies(&state.vectors, ids))
            };
            let (placed, nodes) = link(&graph, first_node, batch, self.config.ef, pool);

            let mut state = self.write();
            state.changes += placed.len();
            for _ in 0..nodes {
                state.cover.push_node();
            }
            for Placed { id, vector, place } in placed {
                // An item that was changed meanwhile waits for another turn.
                if state.vectors.get(id) == Some(&vector) && state.tail.remove(&id.into()) {
                    match place {
                        Place::Node(node) => state.cover.attach(id, node),
                        Place::Lost => drop(state.strays.insert(id)),
                    }
                }
            }
            state.audit.owe(AUDITS_PER_LINK * nodes);
        }
    }

    /// Checks as many linked nodes as the links made since the last check call for.
    pub(super) fn pay_audits(&self, proceed: &Proceed<'_>) {
        while proceed() && self.read().audit.is_due(NODES_PER_AUDIT) {
            self.audit();
        }
    }

    /// Makes a graph without tombstones beside the old one, and puts it in its place.
    pub(super) fn rebuild(&self, pool: Option<&ThreadPool>, proceed: &Proceed<'_>) {
        let mut order: Vec<Scattered> = {
            let mut state = self.write();
            state.changed = Some(HashSet::new());
            let worth_it = state.vectors.len() > self.config.exact_below;
            let ids = state.vectors.ids().iter().filter(|_| worth_it);
            ids.map(|&id| id.into()).collect()
        };
        order.sort_unstable();
        let mut cover = Cover::new(Graph::new(&self.config));
        for step in order.chunks(ITEMS_PER_STEP) {
            if !proceed() {
                self.write().changed = None;
                return;
            }
            let batch = copies(&self.read().vectors, step.iter().map(|scattered| scattered.id));
            let (placed, nodes) = link(&cover.graph, cover.items.len(), batch, self.config.ef, pool);
            (0..nodes).for_each(|_| cover.push_node());
            for Placed { id, place, .. } in placed {
                if let Place::Node(node) = place {
                    cover.attach(id, node);
                }
            }
        }
        let mut strays = Vec::new();
        for first in (0..cover.items.len()).step_by(NODES_PER_AUDIT) {
            let some = cover.some_items(first, NODES_PER_AUDIT);
            if proceed() {
                strays.extend(self.lost(&cover.graph, some).into_iter().flat_map(|node| cover.strand(node)));
            }
        }
        drop(self.install(cover, strays));
    }

    /// Looks whether walks still find some of the linked nodes: later links may have cost them the ways that led there.
    fn audit(&self) {
        let (graph, some) = {
            let mut state = self.write();
            let total = state.cover.items.len();
            let first = state.audit.next(total, NODES_PER_AUDIT);
            (Arc::clone(&state.cover.graph), state.cover.some_items(first, NODES_PER_AUDIT))
        };
        let lost = self.lost(&graph, some);
        let mut state = self.write();
        for node in lost {
            let items = state.cover.strand(node);
            state.strays.extend(items);
        }
    }

    /// Those of some nodes, each given with one of its items, that walks do not find.
    fn lost(&self, graph: &Graph, nodes: Vec<(usize, ItemId)>) -> Vec<usize> {
        let is_lost = |id: ItemId| {
            // The lock is not held during the walk.
            let vector = self.read().vectors.get(id).map(<[f32]>::to_vec);
            vector.is_some_and(|vector| graph.find(&vector, self.config.ef).is_none())
        };
        nodes.into_iter().filter(|&(_, id)| is_lost(id)).map(|(node, _)| node).collect()
    }

    /// Puts a new graph in the place of the old one, which is returned so that it is taken apart outside the lock.
    fn install(&self, mut cover: Cover, strays: Vec<ItemId>) -> Cover {
        let mut state = self.write();
        let changed = state.changed.take().unwrap_or_default();
        changed.iter().for_each(|&id| cover.detach(id));
        state.changes = changed.len();
        state.strays = strays.into_iter().filter(|&id| state.vectors.get(id).is_some()).collect();
        let unlinked = |id: &&ItemId| !cover.nodes.contains_key(id) && !state.strays.contains(id);
        state.tail = state.vectors.ids().iter().filter(unlinked).map(|&id| id.into()).collect();
        std::mem::replace(&mut state.cover, cover)
    }
}

/// The vectors of those items that are still there.
fn copies(vectors: &Vectors, ids: impl Iterator<Item = ItemId>) -> Vec<(ItemId, Vec<f32>)> {
    ids.filter_map(|id| vectors.get(id).map(|vector| (id, vector.to_vec()))).collect()
}

/// Puts items on nodes with their vectors, on new ones from `first_node` where there are none; returns the number of those.
fn link(
    graph: &Graph,
    first_node: usize,
    batch: Vec<(ItemId, Vec<f32>)>,
    ef: usize,
    pool: Option<&ThreadPool>,
) -> (Vec<Placed>, usize) {
    let mut new: Vec<&[f32]> = Vec::new();
    let mut nodes = Vec::with_capacity(batch.len());
    for (_, vector) in &batch {
        let twin = new.iter().position(|other| other == vector).map(|at| first_node + at);
        nodes.push(twin.or_else(|| graph.find(vector, ef)).unwrap_or_else(|| {
            new.push(vector);
            first_node + new.len() - 1
        }));
    }
    graph.insert(first_node, &new, pool);

    let found: Vec<bool> = new.iter().map(|vector| graph.find(vector, ef).is_some()).collect();
    let place = |node: usize| match node.checked_sub(first_node).is_none_or(|at| found[at]) {
        true => Place::Node(node),
        false => Place::Lost,
    };
    let places: Vec<Place> = nodes.into_iter().map(place).collect();
    let placed = batch.into_iter().zip(places).map(|((id, vector), place)| Placed { id, vector, place });
    (placed.collect(), found.len())
}
