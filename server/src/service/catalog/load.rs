//! Filling an empty catalog with what another one held, piece by piece. Each piece is on disk when its call returns.

use redb::ReadableTable;

use super::commit::Tables;
use super::row::vector_to_bytes;
use super::{Catalog, CatalogError, ItemRow, META, failed};
use crate::service::digest::Digest;

impl Catalog {
    /// Adds items with their numbers, as they were.
    pub(in crate::service) fn load_items(&self, items: &[(String, ItemRow)]) -> Result<(), CatalogError> {
        let writing = self.store.begin_write()?;
        let mut tables = Tables::open(&writing)?;
        for (id, row) in items {
            tables.take(&row.picture.sha256)?;
            tables.items.insert(id.as_str(), row.to_json().as_slice()).map_err(failed)?;
        }
        drop(tables);
        writing.commit().map_err(failed)
    }

    /// Adds vectors, each with its picture and its model; says whether all of their pictures are shown.
    pub(in crate::service) fn load_vectors(
        &self,
        vectors: &[(Digest, Digest, Vec<f32>)],
    ) -> Result<bool, CatalogError> {
        let writing = self.store.begin_write()?;
        let mut tables = Tables::open(&writing)?;
        for (picture, model, vector) in vectors {
            if tables.pictures.get(picture.as_bytes()).map_err(failed)?.is_none() {
                return Ok(false);
            }
            let key = (picture.as_bytes(), model.as_bytes());
            tables.embeddings.insert(key, vector_to_bytes(vector).as_slice()).map_err(failed)?;
        }
        drop(tables);
        writing.commit().map_err(failed)?;
        Ok(true)
    }

    /// Sets the counters with which the other catalog would have gone on.
    pub(in crate::service) fn load_counters(&self, revision: u64, next_number: u64) -> Result<(), CatalogError> {
        let writing = self.store.begin_write()?;
        Tables::open(&writing)?.counters.insert("next_number", next_number).map_err(failed)?;
        writing.open_table(META).map_err(failed)?.insert("revision", revision).map_err(failed)?;
        writing.commit().map_err(failed)
    }
}
