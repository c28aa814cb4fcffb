//! What the catalog stores, as bytes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::CatalogError;
use crate::service::digest::Digest;
use crate::service::metadata::Metadata;
use crate::service::view::ItemView;

/// An item, without its id, which is the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::service) struct ItemRow {
    /// Given at the first write, kept by updates, never given again.
    pub(in crate::service) number: u64,
    pub(in crate::service) metadata: Metadata,
    pub(in crate::service) picture: PictureRow,
    /// How often the item was written.
    pub(in crate::service) revision: u64,
    pub(in crate::service) updated: Timestamp,
}

/// The picture of an item; its bytes are elsewhere, under the checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::service) struct PictureRow {
    pub(in crate::service) sha256: Digest,
    pub(in crate::service) content_type: String,
    pub(in crate::service) bytes: u64,
    pub(in crate::service) width: u32,
    pub(in crate::service) height: u32,
}

impl ItemRow {
    pub(super) fn from_json(id: &str, json: &[u8]) -> Result<Self, CatalogError> {
        serde_json::from_slice(json).map_err(|source| CatalogError::Row { id: id.to_owned(), source })
    }

    pub(in crate::service) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a row has string keys and finite numbers. This is a bug.")
    }

    pub(in crate::service) fn into_view(self, id: String) -> ItemView {
        let PictureRow { sha256, content_type, bytes, width, height } = self.picture;
        ItemView {
            id,
            metadata: self.metadata,
            content_type,
            bytes,
            sha256: sha256.to_string(),
            width,
            height,
            revision: self.revision,
            updated: self.updated,
        }
    }
}

pub(super) fn vector_to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Bytes left over at the end are dropped: the index refuses a vector that is too short.
pub(super) fn vector_from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect()
}
