//! Stanford Online Products, in a small copy of the official layout.

use std::fs;

use tempfile::TempDir;

use crate::{COLOUR, complaint, contents, load, photograph};

const HEADER: &str = "image_id class_id super_class_id path\n";

/// Two products to train and two to test, of two kinds.
fn products() -> TempDir {
    let folder = TempDir::new().unwrap();
    let list = |name: &str, rows: &[(u32, u32, u32, &str)]| {
        let mut text = HEADER.to_owned();
        for (image, class, kind, path) in rows {
            text += &format!("{image} {class} {kind} {path}\n");
            photograph(&folder.path().join(path));
        }
        fs::write(folder.path().join(name), text).unwrap();
    };
    list(
        "Ebay_train.txt",
        &[
            (1, 1, 1, "bicycle_final/111085122871_0.JPG"),
            (2, 1, 1, "bicycle_final/111085122871_1.JPG"),
            (3, 2, 12, "toaster_final/111265328556_0.JPG"),
        ],
    );
    list(
        "Ebay_test.txt",
        &[
            (59552, 11319, 1, "bicycle_final/400000000001_0.JPG"),
            (59553, 11319, 1, "bicycle_final/400000000001_1.JPG"),
            (59554, 22634, 12, "toaster_final/400000000002_0.JPG"),
            (59555, 22634, 12, "toaster_final/400000000002_1.JPG"),
        ],
    );
    folder
}

#[test]
fn the_two_lists_are_the_two_sides() {
    let splits = load(products().path(), COLOUR).unwrap();

    assert_eq!(splits.train.name, "stanford-online-products");
    assert_eq!(splits.train.classes, ["bicycle-1", "toaster-2"]);
    assert_eq!(splits.test.classes, ["bicycle-11319", "toaster-22634"]);
    assert_eq!(
        contents(&splits.train),
        [
            ("111085122871_0.JPG".to_owned(), "bicycle-1"),
            ("111085122871_1.JPG".to_owned(), "bicycle-1"),
            ("111265328556_0.JPG".to_owned(), "toaster-2"),
        ]
    );
    assert_eq!(splits.test.len(), 4);
    assert!(splits.notes[0].contains("59551 pictures of 11318 classes"), "{:?}", splits.notes);
    assert!(splits.notes[0].contains("60502 of 11316"), "{:?}", splits.notes);
}

#[test]
fn a_missing_or_damaged_list_is_refused_with_the_download() {
    let cases = [
        (None, "looked for \"Ebay_test.txt\""),
        (Some(format!("{HEADER}59552 11319 1\n")), "line 2 is \"59552 11319 1\" and must be <image_id> <class_id>"),
        (Some(format!("{HEADER}59552 11319 1 bicycle_fin")), "1 are not there, the first"),
        (Some(format!("{HEADER}59552 22635 1 a.JPG\n")), "line 2 has \"22635\" where a number from 1 to 22634"),
        (Some(HEADER.to_owned()), "lists nothing"),
    ];
    for (text, expected) in cases {
        let folder = products();
        let list = folder.path().join("Ebay_test.txt");
        match text {
            Some(text) => fs::write(list, text).unwrap(),
            None => fs::remove_file(list).unwrap(),
        }

        let message = complaint(folder.path(), COLOUR);

        assert!(message.contains(expected), "{message}");
        assert!(message.contains("https://cvgl.stanford.edu/projects/lifted_struct"), "{message}");
    }
}
