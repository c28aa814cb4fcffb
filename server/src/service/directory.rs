//! Names and metadata of all items, in memory, by number: what turns an index's hits into answers, and filters into items.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use holdfast_index::ItemId;
use roaring::RoaringTreemap;

use super::filter::{Filter, FilterIndex};
use super::metadata::Metadata;

/// What is known about an item beside its picture.
#[derive(Debug, PartialEq)]
pub(super) struct Listing {
    pub(super) id: String,
    pub(super) metadata: Metadata,
}

/// All listings. Written by the writer alone, after its commit.
#[derive(Default)]
pub(super) struct Directory {
    entries: RwLock<Entries>,
}

#[derive(Default)]
struct Entries {
    listings: HashMap<ItemId, Arc<Listing>>,
    index: FilterIndex,
}

impl Directory {
    /// Lists an item, in the place of what was listed under its number.
    pub(super) fn insert(&self, number: ItemId, listing: Listing) {
        let mut entries = self.write();
        entries.forget(number);
        entries.index.insert(number.0, &listing.metadata);
        entries.listings.insert(number, Arc::new(listing));
    }

    pub(super) fn remove(&self, number: ItemId) {
        self.write().forget(number);
    }

    pub(super) fn get(&self, number: ItemId) -> Option<Arc<Listing>> {
        self.read().listings.get(&number).map(Arc::clone)
    }

    /// All numbers, ascending.
    pub(super) fn numbers(&self) -> Vec<ItemId> {
        self.read().index.all().iter().map(ItemId).collect()
    }

    /// The numbers of the items that match; of all items without a filter.
    ///
    /// The first filter that names a key takes longer, about a microsecond for each item, and others wait for it.
    pub(super) fn matching(&self, filter: Option<&Filter>) -> RoaringTreemap {
        let entries = self.read();
        let Some(filter) = filter else { return entries.index.all().clone() };
        if entries.index.is_prepared(filter) {
            return entries.index.matching(filter);
        }
        drop(entries);
        let mut entries = self.write();
        entries.prepare(filter);
        entries.index.matching(filter)
    }

    // Nothing panics between two changes that belong together, so a poisoned lock still guards whole data.
    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn forget(&mut self, number: ItemId) {
        if let Some(old) = self.listings.remove(&number) {
            self.index.remove(number.0, &old.metadata);
        }
    }

    fn prepare(&mut self, filter: &Filter) {
        let items = self.listings.iter().map(|(number, listing)| (number.0, &listing.metadata));
        self.index.prepare(filter, &items);
    }
}
