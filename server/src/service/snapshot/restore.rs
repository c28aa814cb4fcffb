//! Putting a snapshot back into an empty folder: all of it, or nothing.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::format::{Line, Manifest, SnapshotError, failed};
use super::read::{Sink, VectorOf, read};
use crate::service::catalog::{Catalog, FILE};
use crate::service::digest::Digest;
use crate::service::pictures::Pictures;

/// Makes `data_dir` the data folder of a server that holds what the snapshot holds. No server may use it meanwhile.
///
/// Everything is written and checked in a folder within `data_dir`, whose parts then get their names, the catalog's last:
/// until then, a server finds an empty gallery there. Returns what the snapshot said that it holds, which is what it held.
///
/// # Errors
/// If the snapshot is broken or of another format, or the folder is not empty or cannot be written. The folder is then as it
/// was.
pub fn restore(snapshot: &Path, data_dir: &Path) -> Result<Manifest, SnapshotError> {
    let file = File::open(snapshot).map_err(failed(snapshot))?;
    let existed = data_dir.exists();
    refuse_unless_empty(data_dir)?;
    fs::create_dir_all(data_dir).map_err(failed(data_dir))?;
    let restored = into_staged_folder(&file, data_dir);
    if restored.is_err() && !existed {
        // Only if it is empty, which it is.
        let _ = fs::remove_dir(data_dir);
    }
    restored
}

fn refuse_unless_empty(data_dir: &Path) -> Result<(), SnapshotError> {
    match fs::read_dir(data_dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(SnapshotError::Occupied { path: data_dir.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(data_dir)(error)),
    }
}

fn into_staged_folder(file: &File, data_dir: &Path) -> Result<Manifest, SnapshotError> {
    let staged = tempfile::Builder::new().prefix(".staged-").tempdir_in(data_dir).map_err(failed(data_dir))?;
    let manifest = fill(file, staged.path())?;
    for name in ["pictures", FILE] {
        let (from, to) = (staged.path().join(name), data_dir.join(name));
        fs::rename(&from, &to).map_err(failed(&to))?;
        File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(failed(data_dir))?;
    }
    Ok(manifest)
}

fn fill(file: &File, folder: &Path) -> Result<Manifest, SnapshotError> {
    let catalog = Catalog::open(folder).map_err(|error| SnapshotError::DataFolder(Box::new(error)))?;
    let catalog = Arc::new(catalog);
    let pictures = Pictures::open(&folder.join("pictures"), Arc::clone(&catalog))?;
    let manifest = read(file, &mut Filling { catalog: &catalog, pictures: &pictures })?;
    catalog.load_counters(manifest.revision, manifest.next_number)?;
    let [_, shown, _] = catalog.view().and_then(|view| view.sizes())?;
    if shown != manifest.pictures {
        return Err(SnapshotError::broken("it lacks pictures that its items show"));
    }
    Ok(manifest)
}

struct Filling<'r> {
    catalog: &'r Catalog,
    pictures: &'r Pictures,
}

impl Sink for Filling<'_> {
    fn items(&mut self, items: Vec<Line>) -> Result<(), SnapshotError> {
        let items: Vec<_> = items.into_iter().map(|line| (line.id, line.item)).collect();
        Ok(self.catalog.load_items(&items)?)
    }

    fn vectors(&mut self, vectors: Vec<VectorOf>) -> Result<(), SnapshotError> {
        let all_shown = self.catalog.load_vectors(&vectors)?;
        if all_shown { Ok(()) } else { Err(SnapshotError::broken("it holds a vector of a picture that no item shows")) }
    }

    fn picture(&mut self, sha256: Digest, content: Vec<u8>) -> Result<(), SnapshotError> {
        if !self.catalog.shows(&sha256)? {
            return Err(SnapshotError::broken(format!("it holds the picture {sha256}, which no item shows")));
        }
        Ok(self.pictures.keep(sha256, &content).map(drop)?)
    }
}
