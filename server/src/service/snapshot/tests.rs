//! Snapshots are whole, of one revision, and not to be fooled with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tar::{Builder, EntryType};
use tempfile::TempDir;

use super::format::{FORMAT, HEADER, Header, Line, MANIFEST};
use super::read::{Sink, VectorOf};
use super::*;
use crate::service::catalog::{Change, NewRow, PictureRow};
use crate::service::digest::Digest;
use crate::service::metadata::Metadata;

struct Gallery {
    folder: TempDir,
    catalog: Arc<Catalog>,
    pictures: Pictures,
    snapshots: Snapshots,
}

fn open(folder: TempDir) -> Gallery {
    let catalog = Arc::new(Catalog::open(folder.path()).unwrap());
    let pictures = Pictures::open(&folder.path().join("pictures"), Arc::clone(&catalog)).unwrap();
    let snapshots = Snapshots::open(&folder.path().join("snapshots")).unwrap();
    Gallery { folder, catalog, pictures, snapshots }
}

impl Gallery {
    fn empty() -> Self {
        open(tempfile::tempdir().unwrap())
    }

    /// Items that share a picture, that were updated and that are gone.
    fn filled() -> Self {
        let gallery = Self::empty();
        for (id, picture) in [("a", "one"), ("b", "one"), ("c", "two"), ("gone", "three"), ("c", "four")] {
            gallery.put(&[(id, picture)]);
        }
        gallery.catalog.commit(&[Change::Delete("gone".to_owned())]).unwrap();
        gallery
    }

    fn put(&self, items: &[(&str, &str)]) {
        let claims: Vec<_> = items
            .iter()
            .map(|(_, picture)| self.pictures.keep(Digest::of(picture.as_bytes()), picture.as_bytes()).unwrap())
            .collect();
        let changes: Vec<_> = items.iter().map(|(id, picture)| put(id, picture)).collect();
        let unused = self.catalog.commit(&changes).unwrap().unused;
        drop(claims);
        unused.iter().for_each(|picture| self.pictures.remove_if_unused(picture));
    }

    fn make(&self) -> Result<SnapshotInfo, SnapshotError> {
        self.snapshots.make(&self.catalog, &self.pictures, Timestamp::UNIX_EPOCH)
    }

    fn snapshot(&self) -> Vec<u8> {
        let info = self.make().unwrap();
        fs::read(self.snapshots.path(&info.id)).unwrap()
    }

    /// Ids with what shows them, and what the net made of that.
    fn content(&self) -> BTreeMap<String, (Vec<u8>, Vec<f32>, u64, u64)> {
        let mut content = BTreeMap::new();
        let model = Digest::of(b"model");
        let visit = |id: &str, row: super::super::catalog::ItemRow| {
            let sha256 = row.picture.sha256;
            let picture = self.pictures.read(&sha256).unwrap().unwrap();
            let vector = self.catalog.embedding(&sha256, &model).unwrap().unwrap();
            content.insert(id.to_owned(), (picture, vector, row.number, row.revision));
            Ok::<_, SnapshotError>(())
        };
        self.catalog.for_each_item(visit).unwrap();
        content
    }
}

fn put(id: &str, picture: &str) -> Change {
    let sha256 = Digest::of(picture.as_bytes());
    let row = PictureRow { sha256, content_type: "image/png".to_owned(), bytes: 1, width: 1, height: 1 };
    let vector = vec![picture.len() as f32, 0.1];
    let (metadata, now) = (Metadata::default(), Timestamp::UNIX_EPOCH);
    Change::Put(NewRow { id: id.to_owned(), metadata, picture: row, model: Digest::of(b"model"), vector, now })
}

/// Restores bytes into a folder that does not exist yet.
fn restored(snapshot: &[u8]) -> Result<Gallery, SnapshotError> {
    let folder = tempfile::tempdir().unwrap();
    let (file, data_dir) = (folder.path().join("snapshot.tar"), folder.path().join("data"));
    fs::write(&file, snapshot).unwrap();
    if let Err(error) = restore(&file, &data_dir) {
        assert!(!data_dir.exists(), "something was half restored");
        return Err(error);
    }
    let kept = tempfile::tempdir().unwrap();
    fs::rename(&data_dir, kept.path()).unwrap();
    Ok(open(kept))
}

#[test]
fn what_is_restored_is_what_was_there_and_goes_on_as_it_would_have() {
    let gallery = Gallery::filled();

    let info = gallery.make().unwrap();
    let file = fs::read(gallery.snapshots.path(&info.id)).unwrap();
    let restored = restored(&file).unwrap();

    assert_eq!((info.items, info.revision, info.bytes), (3, 6, file.len() as u64));
    assert_eq!(info.sha256, Digest::of(&file).to_string());
    assert_eq!(restored.content(), gallery.content());
    assert_eq!(restored.catalog.view().unwrap().revision().unwrap(), 6);
    restored.put(&[("new", "five")]);
    assert_eq!(
        restored.catalog.item("new").unwrap().unwrap().number,
        5,
        "the number of a deleted item is not given again"
    );
    restored.catalog.commit(&[Change::Delete("a".to_owned())]).unwrap();
    assert!(restored.catalog.shows(&Digest::of(b"one")).unwrap(), "another item shows it");
    assert!(restored.catalog.commit(&[Change::Delete("b".to_owned())]).unwrap().unused.contains(&Digest::of(b"one")));
}

#[test]
fn an_empty_gallery_survives_too() {
    assert!(restored(&Gallery::empty().snapshot()).unwrap().content().is_empty());
}

#[test]
fn a_snapshot_under_writes_is_of_one_revision() {
    let gallery = Gallery::filled();
    let done = AtomicBool::new(false);

    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0_u64.. {
                // Both in one commit, always with the same picture, and the one before is collected.
                let picture = format!("picture {round}");
                gallery.put(&[("left", picture.as_str()), ("right", picture.as_str())]);
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..8 {
            let content = restored(&gallery.snapshot()).unwrap().content();
            assert_eq!(content.get("left").map(|left| &left.0), content.get("right").map(|right| &right.0));
            assert_eq!(content.get("a").unwrap().0, b"one");
        }
        done.store(true, Ordering::Relaxed);
    });

    assert!(gallery.pictures.read(&Digest::of(b"picture 0")).unwrap().is_none(), "what was kept is let go");
}

#[test]
fn pictures_that_a_reader_keeps_go_when_it_lets_go() {
    let gallery = Gallery::filled();
    let digest = Digest::of(b"four");
    let kept = gallery.pictures.keep_all();

    gallery.put(&[("c", "five")]);
    assert!(gallery.pictures.read(&digest).unwrap().is_some());
    drop(kept);

    assert!(gallery.pictures.read(&digest).unwrap().is_none());
    assert!(gallery.pictures.read(&Digest::of(b"five")).unwrap().is_some());
}

#[test]
fn a_snapshot_of_a_gallery_with_a_damaged_picture_is_refused_and_leaves_nothing() {
    let gallery = Gallery::filled();
    let sha256 = Digest::of(b"one").to_string();
    fs::write(gallery.folder.path().join("pictures").join(&sha256[..2]).join(&sha256), "damaged").unwrap();

    let refused = gallery.make().unwrap_err();

    assert!(matches!(refused, SnapshotError::Picture { sha256: named } if named == sha256));
    assert_eq!(fs::read_dir(&gallery.snapshots.folder).unwrap().count(), 0);
}

#[test]
fn snapshots_are_listed_until_they_are_deleted_and_half_made_ones_are_swept_away() {
    let gallery = Gallery::filled();
    let [first, second] = [gallery.make().unwrap(), gallery.make().unwrap()];
    assert_eq!(gallery.snapshots.list().unwrap().len(), 2);
    fs::write(gallery.snapshots.folder.join(".staged-xyz"), "half made").unwrap();
    fs::write(gallery.snapshots.folder.join("20260101T000000Z-00000000.tar"), "not announced").unwrap();

    assert!(gallery.snapshots.delete(&first.id).unwrap());

    let reopened = Snapshots::open(&gallery.snapshots.folder).unwrap();
    assert_eq!(reopened.list().unwrap(), [second]);
    assert_eq!(fs::read_dir(&reopened.folder).unwrap().count(), 2);
    for id in [first.id.as_str(), "", "..", "../catalog", "a/b", &"a".repeat(65)] {
        assert!(!reopened.delete(id).unwrap() && reopened.open_file(id).unwrap().is_none(), "{id}");
    }
}

#[test]
fn one_snapshot_is_made_at_a_time() {
    let gallery = Gallery::filled();
    let _making = gallery.snapshots.making.lock().unwrap();

    assert!(matches!(gallery.make(), Err(SnapshotError::Busy)));
}

#[test]
fn a_folder_that_holds_something_is_refused_and_left_alone() {
    let gallery = Gallery::filled();
    let info = gallery.make().unwrap();
    let target = tempfile::tempdir().unwrap();
    fs::write(target.path().join("notes.txt"), "mine").unwrap();

    let refused = restore(&gallery.snapshots.path(&info.id), target.path()).unwrap_err();

    assert!(matches!(refused, SnapshotError::Occupied { .. }), "{refused}");
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 1);
}

#[test]
fn a_snapshot_that_was_cut_anywhere_is_refused() {
    let whole = Gallery::filled().snapshot();

    for length in (0..whole.len() - 1024).step_by(256) {
        let refused = read::read(&whole[..length], &mut Collected::default()).unwrap_err();
        assert!(matches!(refused, SnapshotError::Broken { .. }), "{length}: {refused}");
    }
    restored(&whole[..whole.len() / 2]).map(|_| ()).unwrap_err();
}

#[test]
fn a_flipped_bit_is_noticed_wherever_it_matters() {
    let whole = Gallery::filled().snapshot();
    let mut expected = Collected::default();
    let manifest = read::read(whole.as_slice(), &mut expected).unwrap();

    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        let mut collected = Collected::default();
        if let Ok(read) = read::read(flipped.as_slice(), &mut collected) {
            assert_eq!((read, collected), (manifest.clone(), expected.clone()), "byte {at} changed what is restored");
        }
    }
}

/// What a file holds, as far as it is let through.
#[derive(Default, Debug, PartialEq, Clone)]
struct Collected {
    ids: Vec<String>,
    vectors: Vec<VectorOf>,
    pictures: Vec<Vec<u8>>,
}

impl Sink for Collected {
    fn items(&mut self, items: Vec<Line>) -> Result<(), SnapshotError> {
        self.ids.extend(items.into_iter().map(|line| line.id));
        Ok(())
    }

    fn vectors(&mut self, vectors: Vec<VectorOf>) -> Result<(), SnapshotError> {
        self.vectors.extend(vectors);
        Ok(())
    }

    fn picture(&mut self, _sha256: Digest, content: Vec<u8>) -> Result<(), SnapshotError> {
        self.pictures.push(content);
        Ok(())
    }
}

/// An archive that begins like a snapshot and goes on as somebody pleases.
fn hostile(name: &str, kind: EntryType, announced: u64, content: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let first = serde_json::to_vec(&Header { format: FORMAT }).unwrap();
    append(&mut builder, HEADER, EntryType::Regular, first.len() as u64, &first);
    append(&mut builder, name, kind, announced, content);
    builder.into_inner().unwrap()
}

/// Unlike the crate's own, takes any name and any length.
fn append(builder: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, announced: u64, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(announced);
    header.set_cksum();
    builder.append(&header, content).unwrap();
}

#[test]
fn members_that_no_snapshot_has_are_refused_before_they_are_read() {
    let digest = Digest::of(b"x").to_string();
    let huge = u64::from(u32::MAX) << 8;
    let cases = [
        ("../../../tmp/escaped", EntryType::Regular, 1, "no part of a snapshot"),
        ("/etc/passwd", EntryType::Regular, 1, "no part of a snapshot"),
        ("pictures/../../escaped", EntryType::Regular, 1, "no part of a snapshot"),
        ("items/000000.ndjson/../../x", EntryType::Regular, 1, "no part of a snapshot"),
        (&format!("pictures/{digest}"), EntryType::Symlink, 0, "no regular file"),
        (&format!("pictures/{digest}"), EntryType::Link, 0, "no regular file"),
        ("pictures/", EntryType::Directory, 0, "no regular file"),
        ("longname", EntryType::GNULongName, huge, "no regular file"),
        ("pax", EntryType::XHeader, huge, "no regular file"),
        ("items/000000.ndjson", EntryType::Regular, huge, "at most 67108864 are accepted"),
        (&format!("pictures/{digest}"), EntryType::Regular, huge, "at most 1073741824 are accepted"),
        (&format!("pictures/{digest}"), EntryType::Regular, 1 << 20, "ends early"),
        (MANIFEST, EntryType::Regular, 1, "manifest"),
    ];
    for (name, kind, announced, expected) in cases {
        let refused = restored(&hostile(name, kind, announced, b"x")).map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains(expected), "{name} {kind:?}: {refused}");
    }
}

#[test]
fn another_format_and_other_files_are_told_apart() {
    let mut builder = Builder::new(Vec::new());
    let first = br#"{"format": 7}"#;
    append(&mut builder, HEADER, EntryType::Regular, first.len() as u64, first);
    let newer = builder.into_inner().unwrap();

    assert!(matches!(restored(&newer), Err(SnapshotError::Format { found: 7 })));
    for other in [&b""[..], b"somebody's notes", &[0; 4096], &[0xff; 4096]] {
        assert!(matches!(restored(other), Err(SnapshotError::Broken { .. })));
    }
}

/// A snapshot whose members were replaced one by one, with checksums made anew.
fn forged(change: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>) -> Vec<u8> {
    let whole = Gallery::filled().snapshot();
    let mut archive = tar::Archive::new(whole.as_slice());
    let mut forged = Builder::new(Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(content) = change(&name, content) {
            append(&mut forged, &name, EntryType::Regular, content.len() as u64, &content);
        }
    }
    forged.into_inner().unwrap()
}

#[test]
fn members_that_were_left_out_or_changed_are_missed() {
    assert!(restored(&forged(|_, content| Some(content))).is_ok(), "an unchanged copy is fine");
    let parts = ["items/", "vectors/", "pictures/", "manifest.json", "manifest.sha256"];
    for part in parts {
        let without = forged(|name, content| (!name.starts_with(part)).then_some(content));
        assert!(matches!(restored(&without), Err(SnapshotError::Broken { .. })), "{part} was left out");
    }
    let renamed = forged(|name, content| {
        let text = String::from_utf8_lossy(&content).replace("\"id\":\"a\"", "\"id\":\"A\"");
        Some(if name.starts_with("items/") { text.into_bytes() } else { content })
    });
    assert!(matches!(restored(&renamed), Err(SnapshotError::Broken { .. })));
}
