//! What a snapshot may hold, and why one is refused.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::service::catalog::{CatalogError, ItemRow};
use crate::service::digest::Digest;
use crate::service::error::OpenError;
use crate::service::pictures::PicturesError;

/// The version of the format that this program reads and writes.
pub(super) const FORMAT: u32 = 1;

pub(super) const HEADER: &str = "holdfast-snapshot.json";
pub(super) const ITEMS: &str = "items/";
pub(super) const VECTORS: &str = "vectors/";
pub(super) const PICTURES: &str = "pictures/";
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const MANIFEST_SUM: &str = "manifest.sha256";

/// A member of items or vectors ends when it has grown to this.
pub(super) const CHUNK_BYTES: usize = 4 << 20;
/// A longer member of items, vectors or the manifest is refused; one item may have metadata of a whole request.
pub(super) const MAX_CHUNK_BYTES: u64 = 64 << 20;
/// A longer picture is refused: no configuration lets one be stored.
pub(super) const MAX_PICTURE_BYTES: u64 = 1 << 30;

/// The first member.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: u32,
}

/// One line of a member of items.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) item: ItemRow,
}

/// What a snapshot says that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// When the snapshot was made.
    pub created: Timestamp,
    /// How many commits had changed items by then.
    pub revision: u64,
    /// The number that the next new item would have got.
    pub next_number: u64,
    /// Items.
    pub items: u64,
    /// Pictures, each of which at least one item shows.
    pub pictures: u64,
    /// Embeddings of pictures under any model.
    pub vectors: u64,
    /// The members of items and vectors; a picture's name is its checksum.
    pub members: Vec<Member>,
    /// The SHA-256 over name, length and checksum of every member before the manifest, in order.
    pub sha256: String,
}

/// A member and its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Name in the archive.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// Of its content.
    pub sha256: String,
}

/// The checksum of all members together.
#[derive(Default)]
pub(super) struct Chain(Sha256);

impl Chain {
    pub(super) fn add(&mut self, name: &str, bytes: u64, content: &Digest) {
        self.0.update((name.len() as u64).to_le_bytes());
        self.0.update(name);
        self.0.update(bytes.to_le_bytes());
        self.0.update(content.as_bytes());
    }

    pub(super) fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a snapshot cannot be made, read or put back.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The system refuses.
    #[error("cannot read or write {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not one, was cut, damaged or tampered with.
    #[error("the snapshot cannot be used: {what}; nothing was restored; take another copy of it")]
    Broken {
        /// What is wrong, and where.
        what: String,
    },
    /// Another version of the program wrote it.
    #[error("the snapshot has format {found}, and this program reads format {FORMAT}; use the version that wrote it")]
    Format {
        /// The format found.
        found: u32,
    },
    /// What was read back differs from what is stored.
    #[error("the snapshot that was just written is not as it was written ({what}); the disk may be failing")]
    NotAsWritten {
        /// What differs.
        what: String,
    },
    /// A picture that should go into it.
    #[error("the stored picture {sha256} is lost or damaged; store its items again or delete them, then try again")]
    Picture {
        /// Its checksum.
        sha256: String,
    },
    /// One at a time.
    #[error("another snapshot is being made; try again when it is done")]
    Busy,
    /// The target holds something already.
    #[error("the folder {} is not empty; name one that is empty or does not exist", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// A new catalog cannot be made.
    #[error("cannot make a new catalog")]
    DataFolder(#[source] Box<OpenError>),
    /// The catalog cannot be read or written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The pictures cannot be read or written.
    #[error(transparent)]
    Pictures(#[from] PicturesError),
}

impl SnapshotError {
    pub(super) fn broken(what: impl Into<String>) -> Self {
        SnapshotError::Broken { what: what.into() }
    }

    /// Whether the cause is that the disk is full.
    pub(in crate::service) fn is_full(&self) -> bool {
        match self {
            SnapshotError::File { source, .. } => crate::service::room::is_full(source),
            SnapshotError::Catalog(error) => error.is_full(),
            SnapshotError::Pictures(error) => error.is_full(),
            _ => false,
        }
    }
}

/// Wraps what the system said about a path.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> SnapshotError {
    let path = path.to_owned();
    move |source| SnapshotError::File { path: path.clone(), source }
}
