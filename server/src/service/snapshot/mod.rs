//! Snapshots: the whole gallery at one revision as one file, checked when it is made, and when it is put back.
//!
//! The file is a tar archive that other tools can look into. Its members, in this order:
//!
//! | member | holds |
//! |---|---|
//! | `holdfast-snapshot.json` | the version of this format |
//! | `items/000000.ndjson`, … | items with all that the catalog knows of them, by id |
//! | `vectors/000000.bin`, … | embeddings: picture, model (32 bytes each), length (u32), f32; little-endian |
//! | `pictures/<sha256>` | the files of pictures |
//! | `manifest.json` | [`Manifest`]: revision, counts, the SHA-256 of each member above and of all together |
//! | `manifest.sha256` | the SHA-256 of the manifest |
//!
//! | module | question |
//! |---|---|
//! | `format` | What may a file hold? |
//! | `write`, `read` | How does it come to be, and how is it looked through without trusting it? |
//! | `verify`, `restore` | What is done with what was read: compared, or put back? |

mod format;
mod read;
mod restore;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, TryLockError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

pub use format::{Manifest, SnapshotError};
pub use restore::restore;

use super::Service;
use super::catalog::Catalog;
use super::error::ServiceError;
use super::pictures::Pictures;
use format::failed;

/// What is known of a snapshot without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotInfo {
    /// Its name on this server.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// How many commits had changed items by then.
    pub revision: u64,
    /// Items in it.
    pub items: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Of the whole file, as `sha256sum` prints it.
    pub sha256: String,
}

/// The snapshots of one server, in a folder. A file without its `.json` beside it is not one yet.
pub(super) struct Snapshots {
    folder: PathBuf,
    making: Mutex<()>,
}

impl Snapshots {
    /// Opens the folder, which is created if absent, and removes what a crash left half made.
    pub(super) fn open(folder: &Path) -> Result<Self, SnapshotError> {
        fs::create_dir_all(folder).map_err(failed(folder))?;
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            let whole = path.extension().is_some_and(|kind| kind == "json") || path.with_extension("json").is_file();
            if !whole && path.is_file() {
                fs::remove_file(&path).map_err(failed(&path))?;
            }
        }
        Ok(Self { folder: folder.to_owned(), making: Mutex::new(()) })
    }

    fn make(&self, catalog: &Catalog, pictures: &Pictures, now: Timestamp) -> Result<SnapshotInfo, SnapshotError> {
        let _making = match self.making.try_lock() {
            Ok(making) => making,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(SnapshotError::Busy),
        };
        // Before the view: what goes away until then, the view does not name.
        let _kept = pictures.keep_all();
        let view = catalog.view()?;
        let staged = tempfile::Builder::new().prefix(".staged-").tempfile_in(&self.folder);
        let mut staged = staged.map_err(failed(&self.folder))?;
        let manifest = write::write(staged.as_file_mut(), &view, pictures, now)?;
        staged.as_file().sync_all().map_err(failed(staged.path()))?;

        let written = File::open(staged.path()).map_err(failed(staged.path()))?;
        let read = read::read(&written, &mut verify::Comparison::new(&view))?;
        if read != manifest {
            return Err(SnapshotError::NotAsWritten { what: "its manifest".to_owned() });
        }
        let (bytes, sha256) = checksum(staged.path())?;
        let id = format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), &Uuid::new_v4().simple().to_string()[..8]);
        let (revision, items) = (manifest.revision, manifest.items);
        let info = SnapshotInfo { id, created: now, revision, items, bytes, sha256 };
        let path = self.path(&info.id);
        staged.persist(&path).map_err(|error| failed(&path)(error.error))?;
        // Makes the name of the file durable, too.
        let json = serde_json::to_vec_pretty(&info).expect("a snapshot's description is plain data. This is a bug.");
        holdfast_model::atomic::write(&path.with_extension("json"), &json).map_err(failed(&path))?;
        Ok(info)
    }

    /// All snapshots, the oldest first.
    fn list(&self) -> Result<Vec<SnapshotInfo>, SnapshotError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed(&self.folder))? {
            let path = entry.map_err(failed(&self.folder))?.path();
            if let (true, Some(id)) = (path.extension() == Some("json".as_ref()), path.file_stem()) {
                found.extend(self.info(&id.to_string_lossy())?);
            }
        }
        found.sort_by(|one: &SnapshotInfo, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        Ok(found)
    }

    /// `None` if there is no such snapshot.
    fn info(&self, id: &str) -> Result<Option<SnapshotInfo>, SnapshotError> {
        // An id becomes part of a path.
        if id.is_empty() || id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Ok(None);
        }
        let path = self.path(id).with_extension("json");
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map(Some)
                .map_err(|error| SnapshotError::Broken { what: format!("{}: {error}", path.display()) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path)(error)),
        }
    }

    fn open_file(&self, id: &str) -> Result<Option<(SnapshotInfo, File)>, SnapshotError> {
        let Some(info) = self.info(id)? else { return Ok(None) };
        let path = self.path(id);
        Ok(Some((info, File::open(&path).map_err(failed(&path))?)))
    }

    fn delete(&self, id: &str) -> Result<bool, SnapshotError> {
        if self.info(id)?.is_none() {
            return Ok(false);
        }
        let path = self.path(id);
        // First what makes it a snapshot: a crash in between leaves a file that the next start removes.
        for path in [path.with_extension("json"), path] {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed(&self.folder))?;
        Ok(true)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(id).with_extension("tar")
    }
}

impl Service {
    /// Makes a snapshot of the last commit while writes go on, and reads it back before it is announced.
    ///
    /// # Errors
    /// If another one is being made, the disk is full, or a stored picture is lost or damaged.
    pub fn make_snapshot(&self) -> Result<SnapshotInfo, ServiceError> {
        self.room.check()?;
        Ok(self.snapshots.make(&self.catalog, &self.pictures, Timestamp::now())?)
    }

    /// All snapshots, the oldest first.
    ///
    /// # Errors
    /// If their folder cannot be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>, ServiceError> {
        Ok(self.snapshots.list()?)
    }

    /// A snapshot and its file.
    ///
    /// # Errors
    /// If there is none of this id, or it cannot be read.
    pub fn snapshot(&self, id: &str) -> Result<(SnapshotInfo, File), ServiceError> {
        self.snapshots.open_file(id)?.ok_or_else(|| ServiceError::no_snapshot(id))
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// If there is none of this id, or the folder cannot be written.
    pub fn delete_snapshot(&self, id: &str) -> Result<(), ServiceError> {
        if self.snapshots.delete(id)? { Ok(()) } else { Err(ServiceError::no_snapshot(id)) }
    }
}

/// Length and SHA-256 of a file.
fn checksum(path: &Path) -> Result<(u64, String), SnapshotError> {
    let mut file = File::open(path).map_err(failed(path))?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(failed(path))? {
            0 => return Ok((bytes, format::hexadecimal(&hash.finalize()))),
            read => {
                hash.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}
