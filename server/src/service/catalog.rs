//! The durable truth: which items there are.
//!
//! | table | holds |
//! |---|---|
//! | `items` | id → [`ItemRow`] as JSON |
//! | `pictures` | checksum of a picture → number of items that show it |
//! | `embeddings` | (checksum of a picture, checksum of a model) → vector, f32 little-endian |
//! | `counters` | `format`, and `next_number`, the number of the next new item |
//! | `meta` | `revision`: how many commits have changed items |
//!
//! An embedding belongs to a picture and a model, not to an item: an item that gets another picture cannot keep a stale
//! vector, and a model that comes back finds its vectors again.

mod commit;
mod load;
#[cfg(test)]
mod power;
mod row;
mod store;
#[cfg(test)]
mod tests;
mod view;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use redb::TableDefinition;

pub(super) use commit::{Change, NewRow, Outcome};
pub(super) use row::{ItemRow, PictureRow};
pub(super) use view::View;

use store::Store;

use super::digest::Digest;
use super::error::OpenError;

/// The version of the tables that this program reads and writes.
const FORMAT: u64 = 1;

/// The catalog's file in the data folder.
pub(super) const FILE: &str = "catalog.redb";

const ITEMS: TableDefinition<&str, &[u8]> = TableDefinition::new("items");
const PICTURES: TableDefinition<&[u8; 32], u64> = TableDefinition::new("pictures");
const EMBEDDINGS: TableDefinition<(&[u8; 32], &[u8; 32]), &[u8]> = TableDefinition::new("embeddings");
const COUNTERS: TableDefinition<&str, u64> = TableDefinition::new("counters");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

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
    /// The file breaks the rules of the store so badly that it gave up.
    #[error("the catalog's file is damaged; restore a snapshot with `holdfast restore`")]
    Damaged,
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

impl CatalogError {
    /// Whether the cause is that the disk is full.
    pub(super) fn is_full(&self) -> bool {
        let CatalogError::Store(error) = self else { return false };
        matches!(error.as_ref(), redb::Error::Io(error) if super::room::is_full(error))
    }
}

/// Wraps any of the store's error types.
fn failed(error: impl Into<redb::Error>) -> CatalogError {
    CatalogError::Store(Box::new(error.into()))
}

/// Items, the pictures they show and their embeddings, on disk. Readers see the last commit and never wait.
pub(super) struct Catalog {
    store: Store,
}

impl Catalog {
    /// Opens the catalog in `folder`, which exists; creates it if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        let catalog = Self { store: Store::open(folder)? };
        catalog.initialise()?;
        sync_folder(folder)?;
        Ok(catalog)
    }

    /// All of the catalog as the last commit left it, whatever is written meanwhile.
    pub(super) fn view(&self) -> Result<View, CatalogError> {
        View::open(self.store.begin_read()?)
    }

    /// The item with this id.
    pub(super) fn item(&self, id: &str) -> Result<Option<ItemRow>, CatalogError> {
        self.store.retry(|| self.view()?.item(id))
    }

    /// The items with these ids, as they are at one moment; none where there is no such item.
    pub(super) fn items(&self, ids: &[String]) -> Result<Vec<Option<ItemRow>>, CatalogError> {
        self.store.retry(|| {
            let view = self.view()?;
            ids.iter().map(|id| view.item(id)).collect()
        })
    }

    /// Calls `visit` with every item, by id.
    pub(super) fn for_each_item<E: From<CatalogError>>(
        &self,
        visit: impl FnMut(&str, ItemRow) -> Result<(), E>,
    ) -> Result<(), E> {
        self.view()?.for_each_item(visit)
    }

    /// Whether an item shows this picture.
    pub(super) fn shows(&self, picture: &Digest) -> Result<bool, CatalogError> {
        self.store.retry(|| self.view()?.shows(picture))
    }

    /// The vector of a picture under a model, if it is known.
    pub(super) fn embedding(&self, picture: &Digest, model: &Digest) -> Result<Option<Vec<f32>>, CatalogError> {
        self.store.retry(|| self.view()?.embedding(picture, model))
    }

    /// Makes the tables, or checks that they are of the known format.
    fn initialise(&self) -> Result<(), CatalogError> {
        let writing = self.store.begin_write()?;
        writing.open_table(META).map_err(failed)?;
        writing.open_table(ITEMS).map_err(failed)?;
        writing.open_table(PICTURES).map_err(failed)?;
        writing.open_table(EMBEDDINGS).map_err(failed)?;
        let mut counters = writing.open_table(COUNTERS).map_err(failed)?;
        let found = redb::ReadableTable::get(&counters, "format").map_err(failed)?.map(|format| format.value());
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
