//! The catalog alone: numbers, uses of pictures, embeddings, and what is refused.

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::service::metadata::Metadata;

const MODEL: &[u8] = b"model";

fn open() -> (TempDir, Catalog) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(folder.path()).unwrap();
    (folder, catalog)
}

fn put(id: &str, picture: &[u8]) -> Change {
    let sha256 = Digest::of(picture);
    let picture = PictureRow { sha256, content_type: "image/png".to_owned(), bytes: 1, width: 1, height: 1 };
    let (metadata, now) = (Metadata::default(), Timestamp::UNIX_EPOCH);
    Change::Put(NewRow { id: id.to_owned(), metadata, picture, model: Digest::of(MODEL), vector: vec![0.5, -1.5], now })
}

fn delete(id: &str) -> Change {
    Change::Delete(id.to_owned())
}

fn number(catalog: &Catalog, id: &str) -> u64 {
    catalog.item(id).unwrap().unwrap().number
}

fn known(catalog: &Catalog, picture: &[u8]) -> Option<Vec<f32>> {
    catalog.embedding(&Digest::of(picture), &Digest::of(MODEL)).unwrap()
}

#[test]
fn an_update_keeps_the_number_and_a_deleted_number_is_never_given_again() {
    let (folder, catalog) = open();
    catalog.commit(&[put("a", b"1"), put("b", b"2"), put("a", b"3")]).unwrap();
    assert_eq!((number(&catalog, "a"), number(&catalog, "b")), (1, 2));
    assert_eq!(catalog.item("a").unwrap().unwrap().revision, 2);

    catalog.commit(&[delete("b")]).unwrap();
    drop(catalog);
    let catalog = Catalog::open(folder.path()).unwrap();
    catalog.commit(&[put("c", b"2")]).unwrap();

    assert_eq!(number(&catalog, "c"), 3);
}

#[test]
fn changes_of_one_group_are_applied_in_order() {
    let (_folder, catalog) = open();

    let committed = catalog.commit(&[put("a", b"1"), delete("a"), put("a", b"2"), delete("b")]).unwrap();

    let [Outcome::Stored(_), Outcome::Deleted { number: 1 }, Outcome::Stored(row), Outcome::Missing] =
        committed.outcomes.as_slice()
    else {
        panic!("stored, deleted, stored, missing")
    };
    assert_eq!(row.number, 2);
    assert_eq!(committed.unused.into_iter().collect::<Vec<_>>(), [Digest::of(b"1")]);
}

#[test]
fn a_picture_and_its_vectors_stay_as_long_as_an_item_shows_it() {
    let (_folder, catalog) = open();
    catalog.commit(&[put("a", b"1"), put("b", b"1"), put("b", b"1")]).unwrap();

    assert!(catalog.commit(&[delete("a")]).unwrap().unused.is_empty());
    assert!(catalog.shows(&Digest::of(b"1")).unwrap());
    assert_eq!(known(&catalog, b"1"), Some(vec![0.5, -1.5]));

    assert_eq!(catalog.commit(&[put("b", b"2")]).unwrap().unused.len(), 1);
    assert!(!catalog.shows(&Digest::of(b"1")).unwrap());
    assert_eq!((known(&catalog, b"1"), known(&catalog, b"2")), (None, Some(vec![0.5, -1.5])));
}

#[test]
fn a_picture_that_is_dropped_and_shown_again_in_one_group_is_in_use() {
    let (_folder, catalog) = open();
    catalog.commit(&[put("a", b"1")]).unwrap();

    let committed = catalog.commit(&[delete("a"), put("b", b"1")]).unwrap();

    assert!(committed.unused.is_empty());
    assert!(known(&catalog, b"1").is_some());
}

#[test]
fn vectors_are_remembered_only_for_pictures_that_are_shown() {
    let (_folder, catalog) = open();
    catalog.commit(&[put("a", b"1")]).unwrap();
    let model = Digest::of(b"another model");

    let vectors = [(Digest::of(b"1"), vec![1.0]), (Digest::of(b"gone"), vec![2.0])];
    catalog.remember(&model, &vectors).unwrap();

    assert_eq!(catalog.embedding(&Digest::of(b"1"), &model).unwrap(), Some(vec![1.0]));
    assert_eq!(catalog.embedding(&Digest::of(b"gone"), &model).unwrap(), None);
}

#[test]
fn a_catalog_of_another_format_is_refused_and_left_alone() {
    let (folder, catalog) = open();
    let writing = catalog.store.begin_write().unwrap();
    writing.open_table(COUNTERS).unwrap().insert("format", 99).unwrap();
    writing.commit().unwrap();
    drop(catalog);

    let refused = Catalog::open(folder.path()).map(|_| ()).unwrap_err();

    assert!(matches!(refused, OpenError::Catalog(CatalogError::Format { found: 99 })));
}

#[test]
fn a_file_that_is_no_catalog_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::fs::write(&path, "somebody's notes, long enough to be a header of something else entirely").unwrap();
    let before = std::fs::read(&path).unwrap();

    let refused = Catalog::open(folder.path()).map(|_| ()).unwrap_err();

    assert!(matches!(refused, OpenError::Catalog(CatalogError::Store(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}
