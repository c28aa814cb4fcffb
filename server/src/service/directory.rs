//! Names and metadata of all items, in memory, by number: what turns an index's hits into answers.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use holdfast_index::ItemId;

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
    listings: RwLock<HashMap<ItemId, Arc<Listing>>>,
}

impl Directory {
    pub(super) fn insert(&self, number: ItemId, listing: Listing) {
        let mut listings = self.listings.write().unwrap_or_else(PoisonError::into_inner);
        listings.insert(number, Arc::new(listing));
    }

    pub(super) fn remove(&self, number: ItemId) {
        self.listings.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    pub(super) fn get(&self, number: ItemId) -> Option<Arc<Listing>> {
        self.listings.read().unwrap_or_else(PoisonError::into_inner).get(&number).map(Arc::clone)
    }

    /// All numbers, ascending.
    pub(super) fn numbers(&self) -> Vec<ItemId> {
        let mut numbers: Vec<ItemId> =
            self.listings.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }
}
