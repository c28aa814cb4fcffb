//! The bytes of pictures, each once, under the checksum of its content.
//!
//! The order that keeps an acknowledged item whole: the picture is on disk (file, name and folder synced) before the catalog
//! row that names it is committed, and is removed only when no row names it. What a crash leaves in between, files that no
//! row names, is swept away at the next start.
//!
//! A picture that is being stored is *claimed* until its row is committed, so that the deletion of the last other item with
//! the same content cannot take it away in between. Reading, writing and removing one content take turns; no lock is held
//! meanwhile.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::runtime::{Builder, Runtime};
use walkdir::WalkDir;

use super::catalog::{Catalog, CatalogError};
use super::digest::Digest;

/// Why a picture cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PicturesError {
    /// The store or the disk under it failed.
    #[error("the picture store failed")]
    Store(#[from] object_store::Error),
    /// A folder could not be made or listed.
    #[error("cannot prepare the picture folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What is stored is not what was stored.
    #[error("the stored picture {sha256} is damaged: its content has the checksum {found}")]
    Damaged {
        /// The checksum it is stored under.
        sha256: String,
        /// The checksum of its content.
        found: String,
    },
    /// The catalog could not say whether a picture is still shown.
    #[error("cannot look up a picture")]
    Catalog(#[from] CatalogError),
}

impl PicturesError {
    /// Whether the cause is that the disk is full.
    pub(super) fn is_full(&self) -> bool {
        let first: &dyn std::error::Error = self;
        let mut causes = std::iter::successors(Some(first), |error| error.source());
        causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(super::room::is_full))
    }
}

/// Picture files, by content.
pub(super) struct Pictures {
    store: Box<dyn ObjectStore>,
    /// Polls the store's futures on the calling thread; `None` only while dropping.
    runtime: Option<Runtime>,
    catalog: Arc<Catalog>,
    claims: Mutex<Claims>,
    settled: Condvar,
}

#[derive(Default)]
struct Claims {
    /// How many are storing an item with this content.
    holders: HashMap<Digest, usize>,
    /// Contents being looked for, written or removed.
    busy: HashSet<Digest>,
    /// How many read pictures that no item may show any more.
    keepers: usize,
    /// What would have been removed but for them.
    kept: HashSet<Digest>,
}

/// Keeps all pictures from being removed, for a reader of an old revision of the catalog.
///
/// Taken before the revision is: what was removed until then, the revision does not name. Dropped, it lets all go that no
/// item shows by then.
pub(super) struct KeepAll<'p> {
    pictures: &'p Pictures,
}

/// Keeps a stored picture from being removed until its row is committed.
///
/// Whoever lets go last removes the picture if no item shows it, so a request that fails leaves nothing behind.
pub(super) struct Claim<'p> {
    pictures: &'p Pictures,
    digest: Digest,
}

impl Pictures {
    /// Opens the pictures in `folder`, which is created if absent, and sweeps away what no item shows.
    pub(super) fn open(folder: &Path, catalog: Arc<Catalog>) -> Result<Self, PicturesError> {
        prepare(folder).map_err(|source| PicturesError::Folder { path: folder.to_owned(), source })?;
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        let runtime = Builder::new_current_thread().thread_name("pictures").build();
        let runtime = runtime.map_err(|source| PicturesError::Folder { path: folder.to_owned(), source })?;
        let pictures = Self {
            store: Box::new(store),
            runtime: Some(runtime),
            catalog,
            claims: Mutex::default(),
            settled: Condvar::new(),
        };
        pictures.sweep()?;
        Ok(pictures)
    }

    /// Stores a picture durably, unless it is there already, and claims it.
    pub(super) fn keep(&self, digest: Digest, bytes: &[u8]) -> Result<Claim<'_>, PicturesError> {
        let mut claims = self.lock();
        while !claims.busy.insert(digest) {
            claims = self.settled.wait(claims).unwrap_or_else(PoisonError::into_inner);
        }
        *claims.holders.entry(digest).or_default() += 1;
        drop(claims);
        let claim = Claim { pictures: self, digest };

        let written = self.write_if_absent(&digest, bytes);
        self.settle(&digest);
        written.map(|()| claim)
    }

    /// Keeps all pictures that are there.
    pub(super) fn keep_all(&self) -> KeepAll<'_> {
        self.lock().keepers += 1;
        KeepAll { pictures: self }
    }

    /// The bytes of a picture; `None` if it is not there.
    pub(super) fn read(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PicturesError> {
        let read = async { self.store.get(&key(digest)).await?.bytes().await };
        let bytes = match self.runtime().block_on(read) {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(PicturesError::Damaged { sha256: digest.to_string(), found: found.to_string() });
        }
        Ok(Some(bytes.into()))
    }

    /// Removes a picture if no item shows it and nobody is storing one that does.
    pub(super) fn remove_if_unused(&self, digest: &Digest) {
        let mut claims = self.lock();
        if claims.keepers > 0 {
            claims.kept.insert(*digest);
            return;
        }
        if claims.holders.contains_key(digest) || !claims.busy.insert(*digest) {
            // They will look again when they are done.
            return;
        }
        drop(claims);
        let removed = self
            .catalog
            .shows(digest)
            .map_err(PicturesError::from)
            .and_then(|shown| if shown { Ok(()) } else { self.remove(digest) });
        self.settle(digest);
        if let Err(error) = removed {
            // It costs disk space until the sweep at the next start, and nothing else.
            tracing::warn!(picture = %digest, error = &error as &dyn std::error::Error, "cannot remove an unused picture");
        }
    }

    fn write_if_absent(&self, digest: &Digest, bytes: &[u8]) -> Result<(), PicturesError> {
        let key = key(digest);
        let write = async {
            match self.store.head(&key).await {
                Ok(_) => Ok(()),
                Err(object_store::Error::NotFound { .. }) => {
                    self.store.put(&key, PutPayload::from(bytes.to_vec())).await.map(drop)
                }
                Err(error) => Err(error),
            }
        };
        Ok(self.runtime().block_on(write)?)
    }

    fn remove(&self, digest: &Digest) -> Result<(), PicturesError> {
        match self.runtime().block_on(self.store.delete(&key(digest))) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sweep(&self) -> Result<(), PicturesError> {
        let stored: Vec<_> = self.runtime().block_on(self.store.list(None).try_collect())?;
        let digests = stored.iter().filter_map(|stored| stored.location.filename()?.parse().ok());
        let mut swept = 0;
        for digest in digests.collect::<Vec<Digest>>() {
            if !self.catalog.shows(&digest)? {
                self.remove(&digest)?;
                swept += 1;
            }
        }
        if swept > 0 {
            tracing::info!(pictures = swept, "removed pictures that no item shows");
        }
        Ok(())
    }

    /// Lets the next one at a content.
    fn settle(&self, digest: &Digest) {
        self.lock().busy.remove(digest);
        self.settled.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime lives as long as the pictures. This is a bug.")
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claims = self.pictures.lock();
        if let Some(holders) = claims.holders.get_mut(&self.digest) {
            *holders -= 1;
            if *holders == 0 {
                claims.holders.remove(&self.digest);
            }
        }
        drop(claims);
        self.pictures.remove_if_unused(&self.digest);
    }
}

impl Drop for KeepAll<'_> {
    fn drop(&mut self) {
        let mut claims = self.pictures.lock();
        claims.keepers -= 1;
        let released = if claims.keepers == 0 { std::mem::take(&mut claims.kept) } else { HashSet::new() };
        drop(claims);
        released.iter().for_each(|digest| self.pictures.remove_if_unused(digest));
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nothing is running: callers wait for their futures. A plain drop would panic on an async thread.
            runtime.shutdown_background();
        }
    }
}

/// One of 256 folders, so that none gets too long.
fn key(digest: &Digest) -> Key {
    let name = digest.to_string();
    Key::from_iter([&name[..2], name.as_str()])
}

/// Makes all folders at once and syncs them, and removes files that a crash left half written.
///
/// Were folders made as needed, a second writer could find a folder there whose own name is not durable yet.
fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for first in 0..=u8::MAX {
        fs::create_dir_all(folder.join(format!("{first:02x}")))?;
    }
    for changed in [Some(folder), folder.parent()].into_iter().flatten() {
        fs::File::open(changed)?.sync_all()?;
    }
    // The store writes "name#1" and renames it.
    for entry in WalkDir::new(folder).min_depth(2) {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains('#') {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn open() -> (TempDir, Pictures) {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Arc::new(Catalog::open(folder.path()).unwrap());
        let pictures = Pictures::open(&folder.path().join("pictures"), catalog).unwrap();
        (folder, pictures)
    }

    #[test]
    fn a_claim_protects_a_picture_until_the_last_holder_lets_go() {
        let (_folder, pictures) = open();
        let digest = Digest::of(b"pixels");
        let first = pictures.keep(digest, b"pixels").unwrap();
        let second = pictures.keep(digest, b"pixels").unwrap();

        pictures.remove_if_unused(&digest);
        drop(first);
        assert_eq!(pictures.read(&digest).unwrap().as_deref(), Some(&b"pixels"[..]));

        drop(second);
        assert_eq!(pictures.read(&digest).unwrap(), None);
    }

    #[test]
    fn many_threads_that_keep_and_drop_one_picture_always_find_it_while_they_hold_it() {
        let (_folder, pictures) = open();
        let digest = Digest::of(b"pixels");

        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let claim = pictures.keep(digest, b"pixels").unwrap();
                        assert!(pictures.read(&digest).unwrap().is_some());
                        drop(claim);
                    }
                });
            }
        });

        assert_eq!(pictures.read(&digest).unwrap(), None);
        assert!(pictures.lock().busy.is_empty() && pictures.lock().holders.is_empty());
    }
}
