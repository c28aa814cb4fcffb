//! The catalog as one commit left it.

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::row::vector_from_bytes;
use super::{COUNTERS, CatalogError, EMBEDDINGS, ITEMS, ItemRow, META, PICTURES, failed};
use crate::service::digest::Digest;

/// One revision of the catalog. Holding it costs disk space, since what later commits replace is kept for it.
pub(in crate::service) struct View {
    reading: ReadTransaction,
}

impl View {
    pub(super) fn open(reading: ReadTransaction) -> Result<Self, CatalogError> {
        Ok(Self { reading })
    }

    /// How many commits have changed items.
    pub(in crate::service) fn revision(&self) -> Result<u64, CatalogError> {
        let meta = self.reading.open_table(META).map_err(failed)?;
        Ok(meta.get("revision").map_err(failed)?.map_or(0, |revision| revision.value()))
    }

    /// The number that the next new item gets.
    pub(in crate::service) fn next_number(&self) -> Result<u64, CatalogError> {
        let counters = self.reading.open_table(COUNTERS).map_err(failed)?;
        Ok(counters.get("next_number").map_err(failed)?.map_or(1, |number| number.value()))
    }

    /// The number of items, of pictures, and of vectors.
    pub(in crate::service) fn sizes(&self) -> Result<[u64; 3], CatalogError> {
        Ok([
            self.reading.open_table(ITEMS).map_err(failed)?.len().map_err(failed)?,
            self.reading.open_table(PICTURES).map_err(failed)?.len().map_err(failed)?,
            self.reading.open_table(EMBEDDINGS).map_err(failed)?.len().map_err(failed)?,
        ])
    }

    pub(in crate::service) fn item(&self, id: &str) -> Result<Option<ItemRow>, CatalogError> {
        let items = self.reading.open_table(ITEMS).map_err(failed)?;
        let row = items.get(id).map_err(failed)?;
        row.map(|row| ItemRow::from_json(id, row.value())).transpose()
    }

    pub(in crate::service) fn shows(&self, picture: &Digest) -> Result<bool, CatalogError> {
        let pictures = self.reading.open_table(PICTURES).map_err(failed)?;
        Ok(pictures.get(picture.as_bytes()).map_err(failed)?.is_some())
    }

    pub(in crate::service) fn embedding(
        &self,
        picture: &Digest,
        model: &Digest,
    ) -> Result<Option<Vec<f32>>, CatalogError> {
        let embeddings = self.reading.open_table(EMBEDDINGS).map_err(failed)?;
        let bytes = embeddings.get((picture.as_bytes(), model.as_bytes())).map_err(failed)?;
        Ok(bytes.map(|bytes| vector_from_bytes(bytes.value())))
    }

    /// Calls `visit` with every item, by id.
    pub(in crate::service) fn for_each_item<E: From<CatalogError>>(
        &self,
        mut visit: impl FnMut(&str, ItemRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let items = self.reading.open_table(ITEMS).map_err(failed)?;
        for entry in items.iter().map_err(failed)? {
            let (id, row) = entry.map_err(failed)?;
            visit(id.value(), ItemRow::from_json(id.value(), row.value())?)?;
        }
        Ok(())
    }

    /// Calls `visit` with every picture that an item shows, by checksum.
    pub(in crate::service) fn for_each_picture<E: From<CatalogError>>(
        &self,
        mut visit: impl FnMut(Digest) -> Result<(), E>,
    ) -> Result<(), E> {
        let pictures = self.reading.open_table(PICTURES).map_err(failed)?;
        for entry in pictures.iter().map_err(failed)? {
            visit((*entry.map_err(failed)?.0.value()).into())?;
        }
        Ok(())
    }

    /// Calls `visit` with every vector and the checksums of its picture and its model, by these.
    pub(in crate::service) fn for_each_vector<E: From<CatalogError>>(
        &self,
        mut visit: impl FnMut(Digest, Digest, Vec<f32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let embeddings = self.reading.open_table(EMBEDDINGS).map_err(failed)?;
        for entry in embeddings.iter().map_err(failed)? {
            let (key, vector) = entry.map_err(failed)?;
            let (picture, model) = key.value();
            visit((*picture).into(), (*model).into(), vector_from_bytes(vector.value()))?;
        }
        Ok(())
    }
}
