//! The file under the catalog: how it is opened, and opened again after the disk has failed.
//!
//! redb refuses all further work once a read, a write or a sync of its file has failed, because it no longer knows what the
//! file holds. Opening it again finds out: everything up to the last commit. So a full disk costs the commit that met it, and
//! nothing after that.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction};

use super::{CatalogError, FILE, failed};
use crate::service::error::OpenError;

/// Memory for pages; the rows of a million items fit into several times this, so only the hot ones are kept.
const CACHE_BYTES: usize = 128 << 20;

/// The name of a catalog that is being made.
const STAGED: &str = ".staged-catalog.redb";

type Opener = Box<dyn Fn(Arc<AtomicBool>) -> Result<Database, DatabaseError> + Send + Sync>;

/// A database that can be opened again.
pub(super) struct Store {
    opener: Opener,
    /// `None` if it could not be opened again the last time.
    database: RwLock<Option<Database>>,
    /// Whether its file has failed since it was opened.
    file_failed: Arc<AtomicBool>,
}

impl Store {
    /// Opens the file in `folder`; creates it if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        let file = move || FileBackend::new(OpenOptions::new().read(true).write(true).open(&path)?);
        create_if_absent(folder).and_then(|()| Self::open_on(file)).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: folder.to_owned() },
            DatabaseError::Storage(redb::StorageError::Io(source)) if is_refusal(&source) => {
                OpenError::DataFolder { path: folder.to_owned(), source }
            }
            DatabaseError::Storage(redb::StorageError::Corrupted(_)) => CatalogError::Damaged.into(),
            error => failed(error).into(),
        })
    }

    /// Opens a database on what `backend` gives, now and after each failure.
    pub(super) fn open_on<B: StorageBackend>(
        backend: impl Fn() -> Result<B, DatabaseError> + Send + Sync + 'static,
    ) -> Result<Self, DatabaseError> {
        let opener: Opener = Box::new(move |failed| {
            let watched = Watched { inner: backend()?, failed };
            let open = || Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(watched);
            // redb asserts that a file is as long as its header says.
            let damaged = |_| Err(redb::StorageError::Corrupted("the store panicked".to_owned()).into());
            catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(damaged)
        });
        let file_failed = Arc::new(AtomicBool::new(false));
        let database = opener(Arc::clone(&file_failed))?;
        Ok(Self { opener, database: RwLock::new(Some(database)), file_failed })
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, CatalogError> {
        self.with_database(|database| database.begin_read().map_err(failed))
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, CatalogError> {
        self.with_database(|database| database.begin_write().map_err(failed))
    }

    /// Reads, and once more if the file failed meanwhile: a reader need not suffer from a writer's full disk.
    pub(super) fn retry<T>(&self, read: impl Fn() -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        read().or_else(|error| if self.has_failed() { read() } else { Err(error) })
    }

    fn with_database<T>(&self, begin: impl Fn(&Database) -> Result<T, CatalogError>) -> Result<T, CatalogError> {
        if self.has_failed() {
            self.reopen()?;
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.as_ref().map_or(Err(CatalogError::Damaged), &begin)
    }

    fn has_failed(&self) -> bool {
        self.file_failed.load(Ordering::Acquire)
    }

    /// Transactions that are still open on the old database end with an error.
    fn reopen(&self) -> Result<(), CatalogError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if !self.has_failed() {
            // Somebody else has done it.
            return Ok(());
        }
        // First let go of the file, which is locked.
        *database = None;
        *database = Some((self.opener)(Arc::clone(&self.file_failed)).map_err(failed)?);
        self.file_failed.store(false, Ordering::Release);
        tracing::warn!("opened the catalog again after its disk had failed; all that was acknowledged is there");
        Ok(())
    }
}

/// Makes an empty database under another name first: a crash within would leave a file that is none.
fn create_if_absent(folder: &Path) -> Result<(), DatabaseError> {
    let (path, staged) = (folder.join(FILE), folder.join(STAGED));
    if path.try_exists()? {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&staged)?;
    drop(Database::builder().create_file(file)?);
    Ok(fs::rename(staged, path)?)
}

/// Whether the folder is at fault, and not what is in it.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::StorageFull)
}

/// Notes failures, and makes a greater length durable before anything relies on it.
#[derive(Debug)]
struct Watched<B> {
    inner: B,
    failed: Arc<AtomicBool>,
}

impl<B> Watched<B> {
    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        result
    }
}

impl<B: StorageBackend> StorageBackend for Watched<B> {
    fn len(&self) -> io::Result<u64> {
        self.note(self.inner.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.note(self.inner.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        // redb refuses a file that is shorter than its header says. The header is written in the same breath as what fills the
        // new part, and may reach the disk alone.
        self.note(self.inner.set_len(len).and_then(|()| self.inner.sync_data()))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note(self.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}
