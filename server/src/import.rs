//! `holdfast import`: a folder of class folders into the catalog of a running server, over its public API.

mod client;
mod folder;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context;

use client::Client;
pub use client::Rejected;
use folder::Picture;

/// The most bytes of pictures in one request; the server takes 128 MiB by default, and base64 adds a third.
const BATCH_BYTES: u64 = 24 << 20;

/// What to import, where to, and how fast.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Holds `class/picture` files.
    pub folder: PathBuf,
    /// Address of the server, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// Requests at once.
    pub concurrency: usize,
    /// Most pictures in a request.
    pub batch: usize,
}

/// How an import ended.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Pictures found.
    pub found: usize,
    /// Those that were not stored, sorted by path.
    pub rejected: Vec<Rejected>,
}

impl ImportReport {
    /// Pictures that are durable and searchable now.
    pub fn stored(&self) -> usize {
        self.found - self.rejected.len()
    }
}

/// Stores all pictures of a folder; `progress` is told how many are done and how many there are.
///
/// A picture that the server refuses is reported and does not stop the others. Importing the same folder again updates
/// the same items.
///
/// # Errors
/// If the folder cannot be walked or is empty, or the server cannot be reached.
pub fn import(options: &ImportOptions, progress: &(dyn Fn(usize, usize) + Sync)) -> anyhow::Result<ImportReport> {
    let pictures = folder::pictures(&options.folder)?;
    let client = Client::new(&options.url);
    client.greet()?;

    let found = pictures.len();
    progress(0, found);
    let mut rejected = send_all(&client, batches(&pictures, options.batch), options.concurrency, &|done| {
        progress(done, found);
    })?;
    rejected.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(ImportReport { found, rejected })
}

/// Consecutive runs of at most `count` pictures and [`BATCH_BYTES`], never empty.
fn batches(pictures: &[Picture], count: usize) -> Vec<&[Picture]> {
    let mut batches = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (position, picture) in pictures.iter().enumerate() {
        let full = position - start >= count.max(1) || bytes + picture.bytes > BATCH_BYTES;
        if full && position > start {
            batches.push(&pictures[start..position]);
            (start, bytes) = (position, 0);
        }
        bytes += picture.bytes;
    }
    batches.push(&pictures[start..]);
    batches
}

/// Sends every batch from `concurrency` threads; the first error stops them all.
fn send_all(
    client: &Client,
    batches: Vec<&[Picture]>,
    concurrency: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> anyhow::Result<Vec<Rejected>> {
    let queue = Mutex::new(batches.into_iter());
    let rejected = Mutex::new(Vec::new());
    let done = Mutex::new(0);
    let failed = AtomicBool::new(false);
    let work = || -> anyhow::Result<()> {
        while !failed.load(Ordering::Relaxed) {
            let Some(batch) = queue.lock().expect(NOT_POISONED).next() else { return Ok(()) };
            let refused = client.store(batch).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            rejected.lock().expect(NOT_POISONED).extend(refused);
            let mut done = done.lock().expect(NOT_POISONED);
            *done += batch.len();
            progress(*done);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..concurrency.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("an import thread panicked. This is a bug."))
    })
    .context("the import stopped; what was stored so far stays, and importing again continues")?;
    Ok(rejected.into_inner().expect(NOT_POISONED))
}

const NOT_POISONED: &str = "no thread panics while it holds this lock. This is a bug.";

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(sizes: &[u64]) -> Vec<Picture> {
        let picture = |(number, &bytes): (usize, &u64)| Picture {
            path: PathBuf::from(format!("{number}.png")),
            bytes,
            id: number.to_string(),
            label: String::new(),
        };
        sizes.iter().enumerate().map(picture).collect()
    }

    fn lengths(sizes: &[u64], count: usize) -> Vec<usize> {
        batches(&pictures(sizes), count).into_iter().map(<[Picture]>::len).collect()
    }

    #[test]
    fn a_batch_is_bounded_in_number_and_in_bytes_and_holds_every_picture_once() {
        assert_eq!(lengths(&[1; 10], 4), [4, 4, 2]);
        assert_eq!(lengths(&[BATCH_BYTES / 2, BATCH_BYTES / 2, 1], 4), [2, 1]);
        assert_eq!(lengths(&[1, BATCH_BYTES * 2, 1], 4), [1, 1, 1], "a picture larger than a batch travels alone");
    }

    #[test]
    fn an_address_without_a_server_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/x.png"), b"pixels").unwrap();
        let url = "http://127.0.0.1:1".to_owned();
        let options = ImportOptions { folder: folder.path().to_owned(), url, concurrency: 1, batch: 1 };

        let error = import(&options, &|_, _| {}).unwrap_err();
        assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
    }
}
