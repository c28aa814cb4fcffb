//! Changes to the catalog: several at once, in order, all or none, durable when they return.

use std::collections::BTreeSet;

use jiff::Timestamp;
use redb::{Durability, ReadableTable, Table, WriteTransaction};

use super::row::vector_to_bytes;
use super::{COUNTERS, Catalog, CatalogError, EMBEDDINGS, ITEMS, ItemRow, META, PICTURES, PictureRow, failed};
use crate::service::digest::Digest;
use crate::service::filter::Filter;
use crate::service::metadata::Metadata;

/// One change.
pub(in crate::service) enum Change {
    /// Store an item, or replace it.
    Put(NewRow),
    /// Delete the item with this id.
    Delete(String),
    /// Delete the items with these ids, and keep those that do not match the filter.
    DeleteMany { ids: Vec<String>, only: Option<Filter> },
}

/// An item to store.
pub(in crate::service) struct NewRow {
    pub(in crate::service) id: String,
    pub(in crate::service) metadata: Metadata,
    pub(in crate::service) picture: PictureRow,
    pub(in crate::service) model: Digest,
    pub(in crate::service) vector: Vec<f32>,
    pub(in crate::service) now: Timestamp,
}

/// What became of a change.
pub(in crate::service) enum Outcome {
    Stored(ItemRow),
    Deleted {
        number: u64,
    },
    /// There was nothing to delete.
    Missing,
    /// The number of each item that was deleted, in the order of the ids.
    DeletedMany(Vec<Option<u64>>),
}

/// What became of a group of changes.
pub(in crate::service) struct Committed {
    /// One for each change, in order.
    pub(in crate::service) outcomes: Vec<Outcome>,
    /// Pictures that no item shows any more.
    pub(in crate::service) unused: BTreeSet<Digest>,
}

impl Catalog {
    /// Applies changes in order in one transaction, which is on disk when this returns.
    ///
    /// After an error nothing has changed. Costs one fsync, however many the changes are.
    pub(in crate::service) fn commit(&self, changes: &[Change]) -> Result<Committed, CatalogError> {
        let mut writing = self.store.begin_write()?;
        writing.set_durability(Durability::Immediate).map_err(failed)?;
        count(&writing)?;
        let committed = Tables::open(&writing)?.apply(changes)?;
        writing.commit().map_err(failed)?;
        Ok(committed)
    }

    /// Remembers vectors of pictures under a model. Pictures that no item shows any more are passed over.
    pub(in crate::service) fn remember(
        &self,
        model: &Digest,
        vectors: &[(Digest, Vec<f32>)],
    ) -> Result<(), CatalogError> {
        let writing = self.store.begin_write()?;
        let mut tables = Tables::open(&writing)?;
        for (picture, vector) in vectors {
            if tables.pictures.get(picture.as_bytes()).map_err(failed)?.is_some() {
                tables.embed(picture, model, vector)?;
            }
        }
        drop(tables);
        writing.commit().map_err(failed)
    }
}

/// Makes the next revision.
fn count(writing: &WriteTransaction) -> Result<(), CatalogError> {
    let mut meta = writing.open_table(META).map_err(failed)?;
    let revision = meta.get("revision").map_err(failed)?.map_or(0, |revision| revision.value());
    meta.insert("revision", revision + 1).map_err(failed)?;
    Ok(())
}

/// The tables, open in one transaction.
pub(super) struct Tables<'t> {
    pub(super) items: Table<'t, &'static str, &'static [u8]>,
    pub(super) pictures: Table<'t, &'static [u8; 32], u64>,
    pub(super) embeddings: Table<'t, (&'static [u8; 32], &'static [u8; 32]), &'static [u8]>,
    pub(super) counters: Table<'t, &'static str, u64>,
    unused: BTreeSet<Digest>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(writing: &'t WriteTransaction) -> Result<Self, CatalogError> {
        Ok(Self {
            items: writing.open_table(ITEMS).map_err(failed)?,
            pictures: writing.open_table(PICTURES).map_err(failed)?,
            embeddings: writing.open_table(EMBEDDINGS).map_err(failed)?,
            counters: writing.open_table(COUNTERS).map_err(failed)?,
            unused: BTreeSet::new(),
        })
    }

    fn apply(mut self, changes: &[Change]) -> Result<Committed, CatalogError> {
        let outcome = |change: &Change| match change {
            Change::Put(new) => self.put(new),
            Change::Delete(id) => self.delete(id, None).map(|number| match number {
                Some(number) => Outcome::Deleted { number },
                None => Outcome::Missing,
            }),
            Change::DeleteMany { ids, only } => {
                let numbers = ids.iter().map(|id| self.delete(id, only.as_ref()));
                numbers.collect::<Result<_, _>>().map(Outcome::DeletedMany)
            }
        };
        let outcomes = changes.iter().map(outcome).collect::<Result<_, _>>()?;
        Ok(Committed { outcomes, unused: self.unused })
    }

    fn put(&mut self, new: &NewRow) -> Result<Outcome, CatalogError> {
        let old = self.item(&new.id)?;
        let (number, revision) = match &old {
            Some(old) => (old.number, old.revision + 1),
            None => (self.next_number()?, 1),
        };
        // Taken before the old one is let go: they may be the same.
        self.take(&new.picture.sha256)?;
        if let Some(old) = old {
            self.let_go(&old.picture.sha256)?;
        }
        self.embed(&new.picture.sha256, &new.model, &new.vector)?;
        let (metadata, picture) = (new.metadata.clone(), new.picture.clone());
        let row = ItemRow { number, metadata, picture, revision, updated: new.now };
        self.items.insert(new.id.as_str(), row.to_json().as_slice()).map_err(failed)?;
        Ok(Outcome::Stored(row))
    }

    /// Deletes an item that is there and matches; returns its number.
    fn delete(&mut self, id: &str, only: Option<&Filter>) -> Result<Option<u64>, CatalogError> {
        let Some(old) = self.item(id)? else { return Ok(None) };
        if only.is_some_and(|filter| !filter.matches(&old.metadata)) {
            return Ok(None);
        }
        self.items.remove(id).map_err(failed)?;
        self.let_go(&old.picture.sha256)?;
        Ok(Some(old.number))
    }

    fn item(&self, id: &str) -> Result<Option<ItemRow>, CatalogError> {
        let row = self.items.get(id).map_err(failed)?;
        row.map(|row| ItemRow::from_json(id, row.value())).transpose()
    }

    fn next_number(&mut self) -> Result<u64, CatalogError> {
        let number = self.counters.get("next_number").map_err(failed)?.map_or(1, |number| number.value());
        self.counters.insert("next_number", number + 1).map_err(failed)?;
        Ok(number)
    }

    fn uses(&self, picture: &Digest) -> Result<u64, CatalogError> {
        Ok(self.pictures.get(picture.as_bytes()).map_err(failed)?.map_or(0, |uses| uses.value()))
    }

    pub(super) fn take(&mut self, picture: &Digest) -> Result<(), CatalogError> {
        let uses = self.uses(picture)? + 1;
        self.pictures.insert(picture.as_bytes(), uses).map_err(failed)?;
        self.unused.remove(picture);
        Ok(())
    }

    fn let_go(&mut self, picture: &Digest) -> Result<(), CatalogError> {
        let uses = self.uses(picture)?;
        if uses > 1 {
            self.pictures.insert(picture.as_bytes(), uses - 1).map_err(failed)?;
            return Ok(());
        }
        self.pictures.remove(picture.as_bytes()).map_err(failed)?;
        let every_model = (picture.as_bytes(), &[0; 32])..=(picture.as_bytes(), &[u8::MAX; 32]);
        self.embeddings.retain_in(every_model, |_, _| false).map_err(failed)?;
        self.unused.insert(*picture);
        Ok(())
    }

    fn embed(&mut self, picture: &Digest, model: &Digest, vector: &[f32]) -> Result<(), CatalogError> {
        let key = (picture.as_bytes(), model.as_bytes());
        self.embeddings.insert(key, vector_to_bytes(vector).as_slice()).map_err(failed)?;
        Ok(())
    }
}
