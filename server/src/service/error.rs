//! What can go wrong in the service, sorted by who can do something about it.

use std::path::PathBuf;
use std::time::Duration;

use holdfast_model::pixels::{PixelsError, Rejection};

use super::catalog::CatalogError;
use super::pictures::PicturesError;
use super::snapshot::SnapshotError;

/// Why a request was not fulfilled. All messages but that of [`ServiceError::Internal`] are meant for the client.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// An id, a vector, metadata or a number breaks a rule.
    #[error("{detail}")]
    InvalidRequest {
        /// The rule, and what was found.
        detail: String,
    },
    /// The bytes are not a picture that can be read.
    #[error("{detail}")]
    UnsupportedImage {
        /// What is wrong with them, and what to do.
        detail: String,
    },
    /// The picture has more bytes or pixels than are accepted.
    #[error("{detail}")]
    ImageTooLarge {
        /// How large it is, and what is accepted.
        detail: String,
    },
    /// There is no such item.
    #[error("there is no item \"{id}\"")]
    NotFound {
        /// The id asked for.
        id: String,
    },
    /// There is no such snapshot.
    #[error("there is no snapshot \"{id}\"")]
    NoSnapshot {
        /// The id asked for.
        id: String,
    },
    /// The state of the server forbids it.
    #[error("{detail}")]
    Conflict {
        /// What is in the way.
        detail: String,
    },
    /// A queue is full.
    #[error("the server is busy; try again in {} s", retry_after.as_secs().max(1))]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// There is no room on the disk for what should be written.
    #[error("{detail}")]
    DiskFull {
        /// What is full, and what to do.
        detail: String,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    NotReady,
    /// Our fault: for the log, not for the client.
    #[error("internal error: {0}")]
    Internal(#[source] Fault),
}

/// What failed inside.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The catalog cannot be read or written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A picture cannot be read or written.
    #[error(transparent)]
    Pictures(#[from] PicturesError),
    /// A snapshot cannot be made or read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The forward pass failed; the log says why, once for the whole batch.
    #[error("embedding failed")]
    Embedding,
    /// A decoded picture could not be brought to the net's size.
    #[error("cannot prepare a picture for the net")]
    Pixels(#[source] PixelsError),
    /// The net gave an embedding that no index takes, such as one with NaN.
    #[error("the net gave an unusable embedding")]
    Embedded(#[source] holdfast_index::Error),
    /// A commit failed; the log says why, once for the whole group.
    #[error("the commit failed")]
    Commit,
    /// A commit failed because the disk is full.
    #[error("the commit failed: the disk is full")]
    CommitDiskFull,
    /// A row names a picture that is not there.
    #[error("the stored picture {sha256} is lost")]
    PictureLost {
        /// Its checksum.
        sha256: String,
    },
    /// The writer answered another question.
    #[error("the writer gave the outcome of another kind of change")]
    WrongOutcome,
    /// A thread that should answer is gone; its own log line says why.
    #[error("the {thread} thread is gone")]
    ThreadGone {
        /// Its name.
        thread: &'static str,
    },
}

/// Why a service could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The checkpoint, the device or the net.
    #[error("cannot serve the checkpoint {}", path.display())]
    Checkpoint {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: holdfast_model::Error,
    },
    /// A folder could not be made.
    #[error("cannot create the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The data folder refuses.
    #[error("cannot use the data folder {}; the user that runs the server must be able to read and write it", path.display())]
    DataFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process works on the same data.
    #[error("the data folder {} is in use by another server; stop it, or choose another data_dir", path.display())]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
    /// The catalog cannot be read.
    #[error("cannot open the catalog")]
    Catalog(#[from] CatalogError),
    /// Left-overs among the snapshots cannot be removed.
    #[error("cannot open the snapshots")]
    Snapshots(#[from] SnapshotError),
    /// The pictures cannot be read.
    #[error("cannot open the pictures")]
    Pictures(#[from] PicturesError),
    /// The index cannot be made.
    #[error("cannot make the index")]
    Index(#[from] holdfast_index::Error),
    /// The system gives no thread.
    #[error("cannot start the {thread} thread")]
    Thread {
        /// Its name.
        thread: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl ServiceError {
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::InvalidRequest { detail: detail.into() }
    }

    pub(super) fn not_found(id: &str) -> Self {
        Self::NotFound { id: id.to_owned() }
    }

    pub(super) fn no_snapshot(id: &str) -> Self {
        Self::NoSnapshot { id: id.to_owned() }
    }

    /// A vector from a client that the index refused.
    pub(super) fn refused(error: &holdfast_index::Error) -> Self {
        Self::invalid(error.to_string())
    }
}

impl Fault {
    fn is_full_disk(&self) -> bool {
        match self {
            Fault::Catalog(error) => error.is_full(),
            Fault::Pictures(error) => error.is_full(),
            Fault::Snapshot(error) => error.is_full(),
            Fault::CommitDiskFull => true,
            _ => false,
        }
    }
}

impl From<Fault> for ServiceError {
    fn from(fault: Fault) -> Self {
        if fault.is_full_disk() {
            let detail = "the server's disk is full; nothing was stored; delete items or free space, then try again";
            return Self::DiskFull { detail: detail.to_owned() };
        }
        Self::Internal(fault)
    }
}

impl From<CatalogError> for ServiceError {
    fn from(error: CatalogError) -> Self {
        Fault::from(error).into()
    }
}

impl From<PicturesError> for ServiceError {
    fn from(error: PicturesError) -> Self {
        Fault::from(error).into()
    }
}

impl From<SnapshotError> for ServiceError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Busy | SnapshotError::Picture { .. } => Self::Conflict { detail: error.to_string() },
            error => Fault::from(error).into(),
        }
    }
}

impl From<PixelsError> for ServiceError {
    fn from(error: PixelsError) -> Self {
        match error.rejection() {
            Some(Rejection::TooLarge) => Self::ImageTooLarge { detail: error.to_string() },
            Some(Rejection::Unsupported | Rejection::Corrupt) => Self::UnsupportedImage { detail: error.to_string() },
            None => Self::Internal(Fault::Pixels(error)),
        }
    }
}
