//! One picture to store, wherever it comes from.

use std::borrow::Cow;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// A picture with what it is stored as.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Where it comes from, for people: the file, or the line as `file:number`.
    pub(super) source: String,
    /// As the server knows it.
    pub(super) id: String,
    /// A flat object.
    pub(super) metadata: Map<String, Value>,
    /// Its content, or where that is.
    pub(super) picture: Picture,
}

/// The content of a picture file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Picture {
    /// A file, and its size when it was found.
    File { path: PathBuf, bytes: u64 },
    /// Read already.
    Bytes(Vec<u8>),
}

impl Picture {
    /// How large it is, as far as is known before it is read.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Picture::File { bytes, .. } => *bytes,
            Picture::Bytes(content) => content.len() as u64,
        }
    }

    /// The content.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(super) fn read(&self) -> std::io::Result<Cow<'_, [u8]>> {
        match self {
            Picture::File { path, .. } => std::fs::read(path).map(Cow::Owned),
            Picture::Bytes(content) => Ok(Cow::Borrowed(content)),
        }
    }
}
