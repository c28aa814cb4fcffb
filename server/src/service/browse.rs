//! Looking through items and deleting many: what is chosen by a filter instead of by nearness.

use holdfast_index::ItemId;
use roaring::RoaringTreemap;

use super::Service;
use super::catalog::{Change, Outcome};
use super::error::{Fault, ServiceError};
use super::filter::Filter;
use super::rules::check_id;
use super::view::{Page, Place};

impl Service {
    /// Up to `limit` items that match, from a place on; from the first without one.
    ///
    /// Items stand in the order in which they were first stored, which no write changes: going from page to page meets every
    /// item that is there all the time exactly once.
    ///
    /// # Errors
    /// Only if the catalog cannot be read.
    pub fn page(&self, filter: Option<&Filter>, from: Option<Place>, limit: usize) -> Result<Page, ServiceError> {
        let directory = &self.generation().directory;
        let mut matching = directory.matching(filter);
        if let Some(Place(number)) = from {
            matching.remove_range(..number);
        }
        let mut numbers = matching.iter();
        let listings = numbers.by_ref().take(limit).filter_map(|number| directory.get(ItemId(number)));
        let ids: Vec<String> = listings.map(|listing| listing.id.clone()).collect();
        let rows = self.catalog.items(&ids)?;
        let items = ids.into_iter().zip(rows).filter_map(|(id, row)| Some(row?.into_view(id)));
        // What changed since the filter was asked is shown as it is now, or not at all.
        let items = items.filter(|item| filter.is_none_or(|filter| filter.matches(&item.metadata)));
        Ok(Page { items: items.collect(), next: numbers.next().map(Place) })
    }

    /// How many items match; all without a filter.
    pub fn count(&self, filter: Option<&Filter>) -> u64 {
        self.generation().directory.matching(filter).len()
    }

    /// Deletes items, all in one commit; a result for each id, in order.
    ///
    /// # Errors
    /// If too many changes wait, or the commit fails: then nothing was deleted. An id that breaks the rules, or that no item
    /// has, fails alone.
    pub fn delete_ids(&self, ids: &[String]) -> Result<Vec<Result<(), ServiceError>>, ServiceError> {
        let checked: Vec<_> = ids.iter().map(|id| check_id(id)).collect();
        let legal = ids.iter().zip(&checked).filter(|(_, checked)| checked.is_ok()).map(|(id, _)| id.clone());
        let mut deleted = self.delete_many(legal.collect(), None)?.into_iter();
        let results = ids.iter().zip(checked).map(|(id, checked)| {
            checked?;
            deleted.next().flatten().map(drop).ok_or_else(|| ServiceError::not_found(id))
        });
        Ok(results.collect())
    }

    /// Deletes the items that match when they are deleted, all in one commit; returns how many.
    ///
    /// Items that begin to match meanwhile may be left.
    ///
    /// # Errors
    /// If too many changes wait: then nothing was deleted.
    pub fn delete_matching(&self, filter: Filter) -> Result<usize, ServiceError> {
        let ids = self.ids_of(&self.generation().directory.matching(Some(&filter)));
        Ok(self.delete_many(ids, Some(filter))?.into_iter().flatten().count())
    }

    fn ids_of(&self, numbers: &RoaringTreemap) -> Vec<String> {
        let directory = &self.generation().directory;
        let listings = numbers.iter().filter_map(|number| directory.get(ItemId(number)));
        listings.map(|listing| listing.id.clone()).collect()
    }

    fn delete_many(&self, ids: Vec<String>, only: Option<Filter>) -> Result<Vec<Option<u64>>, ServiceError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let receipt = self.writer.submit(Change::DeleteMany { ids, only }, self.generation())?;
        match receipt.wait()? {
            Outcome::DeletedMany(numbers) => Ok(numbers),
            Outcome::Stored(_) | Outcome::Deleted { .. } | Outcome::Missing => Err(Fault::WrongOutcome.into()),
        }
    }
}
