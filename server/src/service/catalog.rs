//! The durable truth: which items there are.
//!
//! | table | holds |
//! |---|---|
//! | `items` | id → [`ItemRow`] as JSON |
//! | `pictures` | checksum of a picture → number of items that show it |
//! | `embeddings` | (checksum of a picture, checksum of a model) → vector, f32 little-endian |
//! | `counters` | `format`, and `next_number`, the number of the next new item |
//!
//! An embedding belongs to a picture and a model, not to an item: an item that gets another picture cannot keep a stale
//! vector, and a model that comes back finds its vectors again.

mod commit;
mod row;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};

pub(super) use commit::{Change, NewRow, Outcome};
pub(super) use row::{ItemRow, PictureRow};

use super::digest::Digest;
use super::error::OpenError;

/// The version of the tables that this program reads and writes.
const FORMAT: u64 = 1;

const FILE: &str = "catalog.redb";
/// Memory for pages; the rows of a million items fit into several times this, so only the hot ones are kept.
const CACHE_BYTES: usize = 128 << 20;

const ITEMS: TableDefinition<&str, &[u8]> = TableDefinition::new("items");
const PICTURES: TableDefinition<&[u8; 32], u64> = TableDefinition::new("pictures");
const EMBEDDINGS: TableDefinition<(&[u8; 32], &[u8; 32]), &[u8]> = TableDefinition::new("embeddings");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");

/// Why the catalog cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The store or the disk under it failed.
    #[error("the catalog store failed")]
    Store(#[source] Box<redb::Error>),
    /// A row is not what this program writes.
    #[error("the catalog row of item \"{id}\" is damaged")]
    Row {
        /// The item.
        id: String,
        /// What is wrong with the row.
        #[source]
        source: serde_json::Error,
    },
    /// Another version of the program wrote it.
    #[error("the catalog has format {found}, and this program reads format {FORMAT}; use the version that wrote it")]
    Format {
        /// The format found.
        found: u64,
    },
    /// The folder's entry for the file could not be made durable.
    #[error("cannot sync the folder {}", path.display())]
    Sync {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Wraps any of the store's error types.
fn failed(error: impl Into<redb::Error>) -> CatalogError {
    CatalogError::Store(Box::new(error.into()))
}

/// Items, the pictures they show and their embeddings, on disk. Readers see the last commit and never wait.
pub(super) struct Catalog {
    database: Database,
}

impl Catalog {
    /// Opens the catalog in `folder`, which exists; creates it if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(folder.join(FILE));
        let database = opened.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: folder.to_owned() },
            error => failed(error).into(),
        })?;
        let catalog = Self { database };
        catalog.initialise()?;
        sync_folder(folder)?;
        Ok(catalog)
    }

    /// The item with this id.
    pub(super) fn item(&self, id: &str) -> Result<Option<ItemRow>, CatalogError> {
        let reading = self.database.begin_read().map_err(failed)?;
        let items = reading.open_table(ITEMS).map_err(failed)?;
        let row = items.get(id).map_err(failed)?;
        row.map(|row| ItemRow::from_json(id, row.value())).transpose()
    }

    /// The items with these ids, as they are at one moment; none where there is no such item.
    pub(super) fn items(&self, ids: &[String]) -> Result<Vec<Option<ItemRow>>, CatalogError> {
        let reading = self.database.begin_read().map_err(failed)?;
        let items = reading.open_table(ITEMS).map_err(failed)?;
        let row = |id: &String| {
            let row = items.get(id.as_str()).map_err(failed)?;
            row.map(|row| ItemRow::from_json(id, row.value())).transpose()
        };
        ids.iter().map(row).collect()
    }

    /// Calls `visit` with every item, by id.
    pub(super) fn for_each_item<E: From<CatalogError>>(
        &self,
        mut visit: impl FnMut(&str, ItemRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let reading = self.database.begin_read().map_err(failed)?;
        let items = reading.open_table(ITEMS).map_err(failed)?;
        for entry in items.iter().map_err(failed)? {
            let (id, row) = entry.map_err(failed)?;
            visit(id.value(), ItemRow::from_json(id.value(), row.value())?)?;
        }
        Ok(())
    }

    /// Whether an item shows this picture.
    pub(super) fn shows(&self, picture: &Digest) -> Result<bool, CatalogError> {
        let reading = self.database.begin_read().map_err(failed)?;
        let pictures = reading.open_table(PICTURES).map_err(failed)?;
        Ok(pictures.get(picture.as_bytes()).map_err(failed)?.is_some())
    }

    /// The vector of a picture under a model, if it is known.
    pub(super) fn embedding(&self, picture: &Digest, model: &Digest) -> Result<Option<Vec<f32>>, CatalogError> {
        let reading = self.database.begin_read().map_err(failed)?;
        let embeddings = reading.open_table(EMBEDDINGS).map_err(failed)?;
        let bytes = embeddings.get((picture.as_bytes(), model.as_bytes())).map_err(failed)?;
        Ok(bytes.map(|bytes| row::vector_from_bytes(bytes.value())))
    }

    /// Makes the tables, or checks that they are of the known format.
    fn initialise(&self) -> Result<(), CatalogError> {
        let writing = self.database.begin_write().map_err(failed)?;
        writing.open_table(ITEMS).map_err(failed)?;
        writing.open_table(PICTURES).map_err(failed)?;
        writing.open_table(EMBEDDINGS).map_err(failed)?;
        let mut counters = writing.open_table(COUNTERS).map_err(failed)?;
        let found = counters.get("format").map_err(failed)?.map(|format| format.value());
        match found {
            None => drop(counters.insert("format", FORMAT).map_err(failed)?),
            Some(FORMAT) => {}
            Some(found) => return Err(CatalogError::Format { found }),
        }
        drop(counters);
        writing.commit().map_err(failed)
    }
}

/// Makes the names of files in `folder` durable, and that of the folder itself.
fn sync_folder(folder: &Path) -> Result<(), CatalogError> {
    let parent = folder.canonicalize().ok().and_then(|folder| folder.parent().map(Path::to_owned));
    for path in [Some(folder.to_owned()), parent].into_iter().flatten() {
        let synced = File::open(&path).and_then(|folder| folder.sync_all());
        synced.map_err(|source| CatalogError::Sync { path, source })?;
    }
    Ok(())
}
