//! What the engine remembers, and how a search walks it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::graph::Graph;
use crate::vectors::{Nearest, Vectors, distance};
use crate::{Filter, Hit, IndexConfig, ItemId};

/// Items asked how selective a filter is; enough to tell 1 in 10 from 1 in 20.
const FILTER_SAMPLES: usize = 256;

/// What searches read. A search holds the read lock throughout, so that what counts as a tombstone stays fixed under it.
pub(super) struct State {
    pub(super) vectors: Vectors,
    pub(super) cover: Cover,
    /// Items that the graph does not know yet, in the order in which to link them.
    pub(super) tail: BTreeSet<Scattered>,
    /// Items that were linked, and that walks do not find.
    pub(super) strays: BTreeSet<ItemId>,
    /// Items linked and nodes buried since the graph was made.
    pub(super) changes: usize,
    pub(super) audit: Audit,
    /// Items changed since a rebuild began, if one is going on.
    pub(super) changed: Option<HashSet<ItemId>>,
}

/// An item at its place in an order that looks random and is always the same.
///
/// Items tend to come class by class. Linked in that order, early classes fill all links of their nodes with each other
/// before there is anything else to link to, and later classes are left without a way in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scattered {
    place: u64,
    pub(super) id: ItemId,
}

impl From<ItemId> for Scattered {
    fn from(id: ItemId) -> Self {
        // The finaliser of splitmix64: a one-to-one mixing of 64 bits.
        let mixed = (id.0 ^ (id.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self { place: mixed ^ (mixed >> 31), id }
    }
}

/// Which nodes to look for again, and how many of them are due.
#[derive(Default)]
pub(super) struct Audit {
    next: usize,
    due: usize,
}

impl Audit {
    pub(super) fn owe(&mut self, nodes: usize) {
        self.due += nodes;
    }

    pub(super) fn is_due(&self, nodes: usize) -> bool {
        self.due >= nodes
    }

    /// The first of the next `count` nodes, going round `total`.
    pub(super) fn next(&mut self, total: usize, count: usize) -> usize {
        // More than once round finds nothing new.
        self.due = self.due.min(total).saturating_sub(count);
        let first = if self.next < total { self.next } else { 0 };
        self.next = first + count;
        first
    }
}

/// A graph, and which items each of its nodes stands for.
pub(super) struct Cover {
    pub(super) graph: Arc<Graph>,
    /// By node: the items with its vector; none for a tombstone. Nodes beyond the end are still being linked.
    pub(super) items: Vec<Vec<ItemId>>,
    pub(super) nodes: HashMap<ItemId, usize>,
    pub(super) tombstones: usize,
}

impl Cover {
    pub(super) fn new(graph: Graph) -> Self {
        Self { graph: Arc::new(graph), items: Vec::new(), nodes: HashMap::new(), tombstones: 0 }
    }

    /// Adds the next node, as a tombstone.
    pub(super) fn push_node(&mut self) {
        self.items.push(Vec::new());
        self.tombstones += 1;
    }

    pub(super) fn attach(&mut self, id: ItemId, node: usize) {
        self.tombstones -= usize::from(self.items[node].is_empty());
        self.items[node].push(id);
        self.nodes.insert(id, node);
    }

    pub(super) fn detach(&mut self, id: ItemId) {
        let Some(node) = self.nodes.remove(&id) else { return };
        self.items[node].retain(|&other| other != id);
        self.tombstones += usize::from(self.items[node].is_empty());
    }

    /// Detaches and returns all items of a node.
    pub(super) fn strand(&mut self, node: usize) -> Vec<ItemId> {
        let items = self.items[node].clone();
        items.iter().for_each(|&id| self.detach(id));
        items
    }

    /// One item of each live node among `count` nodes from `first`.
    pub(super) fn some_items(&self, first: usize, count: usize) -> Vec<(usize, ItemId)> {
        let nodes = self.items.iter().enumerate().skip(first).take(count);
        nodes.filter_map(|(node, items)| items.first().map(|&id| (node, id))).collect()
    }
}

impl State {
    pub(super) fn new(config: &IndexConfig) -> Self {
        Self {
            vectors: Vectors::new(config.dim),
            cover: Cover::new(Graph::new(config)),
            tail: BTreeSet::new(),
            strays: BTreeSet::new(),
            changes: 0,
            audit: Audit::default(),
            changed: None,
        }
    }

    /// Forgets what was known about an item's place.
    pub(super) fn displace(&mut self, id: ItemId) {
        self.changes += usize::from(self.cover.nodes.contains_key(&id));
        self.cover.detach(id);
        self.tail.remove(&id.into());
        self.strays.remove(&id);
        if let Some(changed) = &mut self.changed {
            changed.insert(id);
        }
    }

    /// The nearest hits that a walk finds, and those that the graph does not know of.
    pub(super) fn nearest(&self, query: &[f32], k: usize, ef: usize, filter: Option<&Filter<'_>>) -> Vec<Hit> {
        let passes = |id: &ItemId| filter.is_none_or(|filter| filter(*id));
        let items = |node: usize| self.cover.items.get(node).map_or(&[][..], Vec::as_slice);
        let keep = |node: &usize| items(*node).iter().any(passes);
        let keeps_all = filter.is_none() && self.cover.tombstones == 0;
        let found = self.cover.graph.search(query, ef, if keeps_all { None } else { Some(&keep) });

        let mut nearest = Nearest::new(k);
        for (node, distance) in found {
            items(node).iter().copied().filter(passes).for_each(|id| nearest.offer(id, distance));
        }
        let unlinked = self.tail.iter().map(|scattered| scattered.id).chain(self.strays.iter().copied());
        for id in unlinked.filter(passes) {
            if let Some(vector) = self.vectors.get(id) {
                nearest.offer(id, distance(query, vector));
            }
        }
        nearest.into_hits()
    }

    /// The share of items that pass the filter, estimated from a few of them.
    pub(super) fn share(&self, filter: Option<&Filter<'_>>) -> f64 {
        let Some(passes) = filter else { return 1.0 };
        let ids = self.vectors.ids();
        let stride = ids.len().div_ceil(FILTER_SAMPLES).max(1);
        let (mut asked, mut passed) = (0_usize, 0_usize);
        for &id in ids.iter().step_by(stride) {
            asked += 1;
            passed += usize::from(passes(id));
        }
        if asked == 0 { 0.0 } else { passed as f64 / asked as f64 }
    }

    /// Whether a new graph would be better than this one, and enough has changed since this one was new.
    pub(super) fn wants_rebuild(&self, config: &IndexConfig) -> bool {
        let share = config.compact_above * self.cover.items.len() as f64;
        // A new graph has strays of its own, and so would be followed by the next one for ever.
        if self.changes as f64 <= share {
            return false;
        }
        // Scanning as many strays as a small index has items costs little.
        self.cover.tombstones as f64 > share || self.strays.len() > config.exact_below
    }

    pub(super) fn wants_linking(&self, config: &IndexConfig) -> bool {
        self.vectors.len() > config.exact_below && !self.tail.is_empty()
    }
}
