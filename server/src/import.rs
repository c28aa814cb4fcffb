//! `holdfast import`: a folder of pictures, or lines of NDJSON, into the catalog of a running server, over its public API.
//!
//! There is no state file: each picture's checksum and metadata are compared with what the server has, so that an import
//! that was interrupted, or is repeated, sends only what is missing or different.

mod entry;
mod folder;
mod lines;
mod send;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use entry::Entry;
use send::{Outcome, Sender};

/// The most bytes of pictures in one request; the server takes 128 MiB by default, and base64 adds a third.
const BATCH_BYTES: u64 = 24 << 20;

/// What to import, and how fast.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// A folder, `class/picture` or pictures alone; or a file of NDJSON.
    pub source: PathBuf,
    /// Requests at once.
    pub concurrency: usize,
    /// Most pictures in a request.
    pub batch: usize,
    /// Where rejected pictures are written, one JSON object a line, as they occur.
    pub report: Option<PathBuf>,
}

/// How an import ended.
#[derive(Debug, Default)]
pub struct ImportReport {
    /// Pictures found.
    pub found: usize,
    /// Those that the server had already, with the same metadata.
    pub unchanged: usize,
    /// Those that were not stored, sorted by place.
    pub rejected: Vec<Rejected>,
}

/// A picture that was not stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rejected {
    /// The file, or the line as `file:number`.
    pub source: String,
    /// The id under which it would have been stored, if that is known.
    pub id: Option<String>,
    /// The server's code for the problem; null where the picture did not come so far.
    pub code: Option<String>,
    /// Why, in the words of the server or of the system.
    pub detail: String,
}

impl ImportReport {
    /// Pictures that were sent, and are durable and searchable now.
    pub fn stored(&self) -> usize {
        self.found - self.unchanged - self.rejected.len()
    }
}

#[derive(Deserialize)]
struct Health {
    items: u64,
}

/// Stores all pictures of a source; `progress` is told how many are done and how many there are.
///
/// A picture that the server refuses is reported and does not stop the others. Importing again sends what has changed.
///
/// # Errors
/// If the source cannot be read or is empty, the report cannot be written, the server cannot be reached, wants another API
/// key, or cannot store anything.
pub fn import(
    options: &ImportOptions,
    client: &Client,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> anyhow::Result<ImportReport> {
    let (found, entries) = entries(&options.source)?;
    let report = options.report.as_deref().map(ReportFile::create).transpose()?;
    let health: Health = client.get("/healthz")?;
    // An empty server has nothing to compare with.
    let sender = Sender::new(client, health.items > 0);

    progress(0, found);
    let import = Import { queue: Mutex::new(entries), sender, report, tally: Mutex::new(Tally::default()) };
    let work = |failed: &AtomicBool| import.work(failed, options.batch.max(1), &|done| progress(done, found));
    in_parallel(options.concurrency.max(1), &work)
        .context("the import stopped; what was stored so far stays, and importing again continues")?;
    let mut tally = import.tally.into_inner().expect(NOT_POISONED);
    tally.rejected.sort();
    Ok(ImportReport { found, unchanged: tally.unchanged, rejected: tally.rejected })
}

type Entries = Box<dyn Iterator<Item = Result<Entry, Rejected>> + Send>;

/// How many pictures there are, and one after the other.
fn entries(source: &Path) -> anyhow::Result<(usize, Entries)> {
    let kind = std::fs::metadata(source).with_context(|| format!("cannot read {}", source.display()))?;
    if kind.is_dir() {
        let pictures = folder::pictures(source)?;
        return Ok((pictures.len(), Box::new(pictures.into_iter().map(Ok))));
    }
    let found = lines::count(source)?;
    Ok((found, Box::new(lines::entries(source)?)))
}

/// What the threads of an import share.
struct Import<'a> {
    queue: Mutex<Entries>,
    sender: Sender<'a>,
    report: Option<ReportFile>,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    done: usize,
    unchanged: usize,
    rejected: Vec<Rejected>,
}

impl Import<'_> {
    /// Sends batches until there are none, or another thread has failed.
    fn work(&self, failed: &AtomicBool, count: usize, progress: &dyn Fn(usize)) -> anyhow::Result<()> {
        while !failed.load(Ordering::Relaxed) {
            let (batch, broken) = next_batch(&mut *self.queue.lock().expect(NOT_POISONED), count);
            if batch.is_empty() && broken.is_empty() {
                return Ok(());
            }
            let size = batch.len() + broken.len();
            let Outcome { unchanged, mut rejected } = self.sender.store(batch)?;
            rejected.extend(broken);
            if let Some(report) = &self.report {
                report.write(&rejected)?;
            }
            let mut tally = self.tally.lock().expect(NOT_POISONED);
            tally.done += size;
            tally.unchanged += unchanged;
            tally.rejected.extend(rejected);
            progress(tally.done);
        }
        Ok(())
    }
}

/// At most `count` pictures and, unless one alone is larger, about [`BATCH_BYTES`]; and what could not be read on the way.
fn next_batch(entries: &mut dyn Iterator<Item = Result<Entry, Rejected>>, count: usize) -> (Vec<Entry>, Vec<Rejected>) {
    let (mut batch, mut broken, mut bytes) = (Vec::new(), Vec::new(), 0);
    while batch.len() < count && bytes < BATCH_BYTES {
        match entries.next() {
            Some(Ok(entry)) => {
                bytes += entry.picture.bytes();
                batch.push(entry);
            }
            Some(Err(rejected)) => broken.push(rejected),
            None => break,
        }
    }
    (batch, broken)
}

/// Runs `work` on several threads; the first error stops them all.
fn in_parallel(threads: usize, work: &(dyn Fn(&AtomicBool) -> anyhow::Result<()> + Sync)) -> anyhow::Result<()> {
    let failed = AtomicBool::new(false);
    let one = || work(&failed).inspect_err(|_| failed.store(true, Ordering::Relaxed));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let ended: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("an import thread panicked. This is a bug."))
            .collect();
        ended.into_iter().collect()
    })
}

/// Rejected pictures on disk, one JSON object a line.
struct ReportFile {
    path: PathBuf,
    file: Mutex<BufWriter<File>>,
}

impl ReportFile {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write the report {}", path.display()))?;
        Ok(ReportFile { path: path.to_owned(), file: Mutex::new(BufWriter::new(file)) })
    }

    /// Whole lines reach the file at once, so that an import that stops leaves a report that can be read.
    fn write(&self, rejected: &[Rejected]) -> anyhow::Result<()> {
        let mut file = self.file.lock().expect(NOT_POISONED);
        let written = rejected.iter().try_for_each(|rejected| writeln!(file, "{}", serde_json::to_string(rejected)?));
        written.and_then(|()| file.flush()).with_context(|| format!("cannot write the report {}", self.path.display()))
    }
}

const NOT_POISONED: &str = "no thread panics while it holds this lock. This is a bug.";

#[cfg(test)]
mod tests {
    use super::entry::Picture;
    use super::*;

    fn sizes(sizes: &[u64], count: usize) -> Vec<usize> {
        let entry = |bytes: &u64| {
            let picture = Picture::File { path: PathBuf::from("x.png"), bytes: *bytes };
            Ok(Entry { source: "x.png".to_owned(), id: "x".to_owned(), metadata: serde_json::Map::new(), picture })
        };
        let mut entries = sizes.iter().map(entry);
        std::iter::repeat_with(|| next_batch(&mut entries, count).0.len()).take_while(|&size| size > 0).collect()
    }

    #[test]
    fn a_batch_is_bounded_in_number_and_in_bytes_and_every_picture_is_in_one() {
        assert_eq!(sizes(&[1; 10], 4), [4, 4, 2]);
        assert_eq!(sizes(&[BATCH_BYTES / 2, BATCH_BYTES / 2, 1], 4), [2, 1]);
        assert_eq!(sizes(&[BATCH_BYTES * 2, 1, 1], 4), [1, 2], "a picture larger than a batch travels alone");
    }

    #[test]
    fn an_error_in_one_thread_ends_the_others() {
        let work = |failed: &AtomicBool| {
            if failed.load(Ordering::Relaxed) { Ok(()) } else { Err(anyhow::anyhow!("no more")) }
        };
        assert_eq!(in_parallel(3, &work).unwrap_err().to_string(), "no more");
    }
}
