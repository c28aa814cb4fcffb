//! Is there room on the disk?
//!
//! New pictures are refused while there is still some left: deletes need a little, and so does the catalog when it is opened
//! again. Other programs may fill the disk in a moment, so a write may fail all the same, and is answered alike.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::error::ServiceError;

/// The room that is left for what must always go on.
pub(super) struct Room {
    folder: PathBuf,
    min_free_bytes: u64,
}

impl Room {
    pub(super) fn new(folder: &Path, min_free_bytes: u64) -> Self {
        Self { folder: folder.to_owned(), min_free_bytes }
    }

    /// Refuses new pictures if the disk is all but full.
    pub(super) fn check(&self) -> Result<(), ServiceError> {
        // What cannot be told does not stop a write that may well succeed.
        let Ok(disk) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= self.min_free_bytes {
            return Ok(());
        }
        let detail = format!(
            "the server's disk has {} MiB left, and {} MiB are kept free (store.min_free_bytes); delete items or free \
             space, then try again",
            free >> 20,
            self.min_free_bytes >> 20
        );
        Err(ServiceError::DiskFull { detail })
    }
}

/// Whether the system says that a disk, or somebody's share of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
