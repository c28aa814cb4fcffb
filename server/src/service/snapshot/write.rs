//! Writing a snapshot, a piece at a time.

use std::fs::File;
use std::io::{BufWriter, Write};

use jiff::Timestamp;
use tar::{Builder, EntryType};

use super::format::{
    CHUNK_BYTES, Chain, FORMAT, HEADER, Header, ITEMS, Line, MANIFEST, MANIFEST_SUM, Manifest, Member, PICTURES,
    SnapshotError, VECTORS, failed,
};
use crate::service::catalog::View;
use crate::service::digest::Digest;
use crate::service::pictures::Pictures;

/// Writes all of a revision. Holds one piece in memory, or one picture.
pub(super) fn write(
    file: &mut File,
    view: &View,
    pictures: &Pictures,
    now: Timestamp,
) -> Result<Manifest, SnapshotError> {
    let mut archive = Archive::new(file, now);
    archive.append(HEADER, &json(&Header { format: FORMAT }))?;

    let mut chunk = Chunk::new(ITEMS, "ndjson");
    view.for_each_item(|id, item| {
        chunk.bytes.extend(json(&Line { id: id.to_owned(), item }));
        chunk.bytes.push(b'\n');
        chunk.flush_if_large(&mut archive)
    })?;
    chunk.flush(&mut archive)?;

    let mut chunk = Chunk::new(VECTORS, "bin");
    view.for_each_vector(|picture, model, vector| {
        chunk.bytes.extend(picture.as_bytes());
        chunk.bytes.extend(model.as_bytes());
        chunk.bytes.extend((vector.len() as u32).to_le_bytes());
        chunk.bytes.extend(vector.iter().flat_map(|number| number.to_le_bytes()));
        chunk.flush_if_large(&mut archive)
    })?;
    chunk.flush(&mut archive)?;

    view.for_each_picture(|picture| {
        let lost = || SnapshotError::Picture { sha256: picture.to_string() };
        let bytes = pictures.read(&picture).map_err(|_| lost())?.ok_or_else(lost)?;
        archive.append(&format!("{PICTURES}{picture}"), &bytes).map(drop)
    })?;
    archive.finish(view)
}

/// Items or vectors that go into one member.
struct Chunk {
    folder: &'static str,
    kind: &'static str,
    number: usize,
    bytes: Vec<u8>,
}

impl Chunk {
    fn new(folder: &'static str, kind: &'static str) -> Self {
        Self { folder, kind, number: 0, bytes: Vec::new() }
    }

    fn flush_if_large(&mut self, archive: &mut Archive<'_>) -> Result<(), SnapshotError> {
        if self.bytes.len() < CHUNK_BYTES { Ok(()) } else { self.flush(archive) }
    }

    fn flush(&mut self, archive: &mut Archive<'_>) -> Result<(), SnapshotError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let name = format!("{}{:06}.{}", self.folder, self.number, self.kind);
        let sha256 = archive.append(&name, &self.bytes)?.to_string();
        archive.members.push(Member { name, bytes: self.bytes.len() as u64, sha256 });
        self.number += 1;
        self.bytes.clear();
        Ok(())
    }
}

/// The archive so far.
struct Archive<'f> {
    builder: Builder<BufWriter<&'f mut File>>,
    now: Timestamp,
    members: Vec<Member>,
    chain: Chain,
}

impl<'f> Archive<'f> {
    fn new(file: &'f mut File, now: Timestamp) -> Self {
        Self { builder: Builder::new(BufWriter::new(file)), now, members: Vec::new(), chain: Chain::default() }
    }

    /// Returns the checksum of the content.
    fn append(&mut self, name: &str, content: &[u8]) -> Result<Digest, SnapshotError> {
        let sha256 = Digest::of(content);
        self.chain.add(name, content.len() as u64, &sha256);
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(self.now.as_second().unsigned_abs());
        header.set_size(content.len() as u64);
        self.builder.append_data(&mut header, name, content).map_err(failed(name.as_ref()))?;
        Ok(sha256)
    }

    fn finish(mut self, view: &View) -> Result<Manifest, SnapshotError> {
        let [items, pictures, vectors] = view.sizes()?;
        let manifest = Manifest {
            format: FORMAT,
            created: self.now,
            revision: view.revision()?,
            next_number: view.next_number()?,
            items,
            pictures,
            vectors,
            members: std::mem::take(&mut self.members),
            sha256: std::mem::take(&mut self.chain).finish(),
        };
        let sum = self.append(MANIFEST, &json(&manifest))?;
        self.append(MANIFEST_SUM, sum.to_string().as_bytes())?;
        let mut file = self.builder.into_inner().map_err(failed(MANIFEST.as_ref()))?;
        file.flush().map_err(failed(MANIFEST.as_ref()))?;
        Ok(manifest)
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what a snapshot holds has string keys and finite numbers. This is a bug.")
}
