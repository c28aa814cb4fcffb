//! Looking through a snapshot without trusting it: order, names, lengths, checksums and counts, in bounded memory.

use std::collections::HashSet;
use std::io::{self, BufReader, Read};

use serde::de::DeserializeOwned;
use tar::Archive;

use super::format::{
    Chain, FORMAT, HEADER, Header, ITEMS, Line, MANIFEST, MANIFEST_SUM, MAX_CHUNK_BYTES, MAX_PICTURE_BYTES, Manifest,
    Member, PICTURES, SnapshotError, VECTORS,
};
use crate::service::digest::Digest;
use crate::service::rules::check_id;

/// A vector behind the checksums of its picture and its model.
pub(super) type VectorOf = (Digest, Digest, Vec<f32>);

/// What is done with what is read. Nothing of it may count before [`read`] has returned.
pub(super) trait Sink {
    /// Items of one member, each well formed, by id; no id and no number comes twice.
    fn items(&mut self, items: Vec<Line>) -> Result<(), SnapshotError>;
    /// Vectors of one member.
    fn vectors(&mut self, vectors: Vec<VectorOf>) -> Result<(), SnapshotError>;
    /// A picture whose content has this checksum; none comes twice.
    fn picture(&mut self, sha256: Digest, content: Vec<u8>) -> Result<(), SnapshotError>;
}

/// Hands all that a snapshot holds to a sink, and returns its manifest, with which everything agreed.
///
/// # Errors
/// If anything is missing, too much, too long, out of order or not as its checksum says; or the sink fails.
pub(super) fn read(file: impl Read, sink: &mut dyn Sink) -> Result<Manifest, SnapshotError> {
    let mut archive = Archive::new(BufReader::with_capacity(1 << 16, file));
    let manifest = {
        // Raw: extended headers, with which a file could make the reader allocate, are no regular members.
        let entries = archive.entries().map_err(cut)?.raw(true);
        let mut members = entries.map(|entry| content_of(entry.map_err(cut)?));
        let mut next = |what: &str| members.next().unwrap_or_else(|| Err(broken(format!("it ends before {what}"))));
        let mut reader = Reader { sink, found: Found::default() };
        reader.header(&next("its first member")?)?;
        let manifest = loop {
            let member = next("its manifest")?;
            if member.name == MANIFEST {
                break member;
            }
            reader.member(member)?;
        };
        let sum = next("the manifest's checksum")?;
        if (sum.name.as_str(), sum.content.as_slice())
            != (MANIFEST_SUM, Digest::of(&manifest.content).to_string().as_bytes())
        {
            return Err(broken("the manifest is not as its checksum says"));
        }
        if members.next().is_some() {
            return Err(broken("something follows the manifest's checksum"));
        }
        reader.agree(parsed(&manifest)?)?
    };
    only_zeros_follow(archive.into_inner())?;
    Ok(manifest)
}

/// A member in memory.
struct Content {
    name: String,
    content: Vec<u8>,
}

/// Reads a member whose name, kind and length are legal.
fn content_of(mut entry: tar::Entry<'_, impl Read>) -> Result<Content, SnapshotError> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if !entry.header().entry_type().is_file() {
        return Err(broken(format!("its member \"{name}\" is no regular file")));
    }
    let max = max_bytes(&name).ok_or_else(|| broken(format!("it holds \"{name}\", which is no part of a snapshot")))?;
    let announced = entry.header().entry_size().map_err(cut)?;
    if announced > max {
        return Err(broken(format!("its member \"{name}\" has {announced} bytes, and at most {max} are accepted")));
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(cut)?;
    if content.len() as u64 != announced {
        return Err(broken(format!("it ends early, within \"{name}\"")));
    }
    Ok(Content { name, content })
}

/// How long a member of this name may be; `None` if there is none of this name.
fn max_bytes(name: &str) -> Option<u64> {
    let numbered = |name: &str, kind: &str| {
        let number = name.strip_suffix(kind).unwrap_or_default();
        number.len() >= 6 && number.bytes().all(|digit| digit.is_ascii_digit())
    };
    if [HEADER, MANIFEST, MANIFEST_SUM].contains(&name) {
        return Some(MAX_CHUNK_BYTES);
    }
    if let Some(name) = name.strip_prefix(ITEMS) {
        return numbered(name, ".ndjson").then_some(MAX_CHUNK_BYTES);
    }
    if let Some(name) = name.strip_prefix(VECTORS) {
        return numbered(name, ".bin").then_some(MAX_CHUNK_BYTES);
    }
    name.strip_prefix(PICTURES)?.parse::<Digest>().ok().map(|_| MAX_PICTURE_BYTES)
}

/// What was seen so far.
#[derive(Default)]
struct Found {
    members: Vec<Member>,
    chain: Chain,
    last_id: Option<String>,
    last_picture: Option<Digest>,
    numbers: HashSet<u64>,
    items: u64,
    vectors: u64,
    pictures: u64,
}

struct Reader<'s> {
    sink: &'s mut dyn Sink,
    found: Found,
}

impl Reader<'_> {
    fn header(&mut self, member: &Content) -> Result<(), SnapshotError> {
        if member.name != HEADER {
            return Err(broken(format!("its first member is \"{}\" instead of \"{HEADER}\"", member.name)));
        }
        match parsed::<Header>(member)?.format {
            FORMAT => {}
            found => return Err(SnapshotError::Format { found }),
        }
        self.found.chain.add(&member.name, member.content.len() as u64, &Digest::of(&member.content));
        Ok(())
    }

    fn member(&mut self, member: Content) -> Result<(), SnapshotError> {
        let Content { name, content } = member;
        let (bytes, sha256) = (content.len() as u64, Digest::of(&content));
        self.found.chain.add(&name, bytes, &sha256);
        if let Some(named) = name.strip_prefix(PICTURES) {
            return self.picture(named, sha256, content);
        }
        if name.starts_with(ITEMS) {
            self.items(&name, &content)?;
        } else if name.starts_with(VECTORS) {
            self.vectors(&name, &content)?;
        } else {
            return Err(broken(format!("its member \"{name}\" is out of place")));
        }
        self.found.members.push(Member { name, bytes, sha256: sha256.to_string() });
        Ok(())
    }

    fn items(&mut self, name: &str, content: &[u8]) -> Result<(), SnapshotError> {
        let wrong = |at: usize, why: String| broken(format!("line {} of its member \"{name}\": {why}", at + 1));
        let mut lines = Vec::new();
        for (at, json) in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let line: Line = serde_json::from_slice(json).map_err(|error| wrong(at, error.to_string()))?;
            check_id(&line.id).map_err(|error| wrong(at, error.to_string()))?;
            line.item.metadata.check().map_err(|error| wrong(at, error.to_string()))?;
            if self.found.last_id.as_ref().is_some_and(|last| *last >= line.id) {
                return Err(wrong(at, format!("the id \"{}\" is out of order", line.id)));
            }
            if !self.found.numbers.insert(line.item.number) {
                return Err(wrong(at, format!("the number {} comes twice", line.item.number)));
            }
            self.found.last_id = Some(line.id.clone());
            lines.push(line);
        }
        self.found.items += lines.len() as u64;
        self.sink.items(lines)
    }

    fn vectors(&mut self, name: &str, mut content: &[u8]) -> Result<(), SnapshotError> {
        let wrong = || broken(format!("its member \"{name}\" ends within a vector"));
        let mut vectors = Vec::new();
        while !content.is_empty() {
            let (picture, rest) = content.split_first_chunk::<32>().ok_or_else(wrong)?;
            let (model, rest) = rest.split_first_chunk::<32>().ok_or_else(wrong)?;
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(wrong)?;
            let length = u32::from_le_bytes(*length) as usize;
            let (numbers, rest) =
                length.checked_mul(4).and_then(|bytes| rest.split_at_checked(bytes)).ok_or_else(wrong)?;
            let vector = numbers.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)).collect();
            vectors.push(((*picture).into(), (*model).into(), vector));
            content = rest;
        }
        self.found.vectors += vectors.len() as u64;
        self.sink.vectors(vectors)
    }

    fn picture(&mut self, named: &str, sha256: Digest, content: Vec<u8>) -> Result<(), SnapshotError> {
        if sha256.to_string() != named {
            return Err(broken(format!("its picture {named} is not as its checksum says")));
        }
        if self.found.last_picture.replace(sha256).is_some_and(|last| last >= sha256) {
            return Err(broken(format!("its picture {named} is out of order")));
        }
        self.found.pictures += 1;
        self.sink.picture(sha256, content)
    }

    /// The manifest, if all that was found is as it says.
    fn agree(self, manifest: Manifest) -> Result<Manifest, SnapshotError> {
        let found = self.found;
        let too_high = found.numbers.iter().any(|number| *number >= manifest.next_number);
        let agrees = manifest.format == FORMAT
            && !too_high
            && (manifest.items, manifest.vectors, manifest.pictures) == (found.items, found.vectors, found.pictures)
            && manifest.members == found.members
            && manifest.sha256 == found.chain.finish();
        if agrees { Ok(manifest) } else { Err(broken("what it holds is not what its manifest says")) }
    }
}

fn parsed<T: DeserializeOwned>(member: &Content) -> Result<T, SnapshotError> {
    serde_json::from_slice(&member.content).map_err(|error| broken(format!("its member \"{}\": {error}", member.name)))
}

/// tar archives end with blocks of zeros.
fn only_zeros_follow(mut rest: impl Read) -> Result<(), SnapshotError> {
    let mut buffer = [0; 512];
    loop {
        match rest.read(&mut buffer).map_err(cut)? {
            0 => return Ok(()),
            read if buffer[..read].iter().all(|byte| *byte == 0) => {}
            _ => return Err(broken("something follows its end")),
        }
    }
}

fn broken(what: impl Into<String>) -> SnapshotError {
    SnapshotError::Broken { what: what.into() }
}

/// What the tar reader says of a file that ends early or is none.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn cut(error: io::Error) -> SnapshotError {
    broken(format!("it cannot be read as a tar archive ({error})"))
}
