//! CUB-200-2011, in a small copy of the official layout.

use std::fs;

use tempfile::TempDir;

use crate::{COLOUR, complaint, contents, load, photograph};

const PICTURES: [(u32, &str, u32); 7] = [
    (1, "001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg", 1),
    (2, "001.Black_footed_Albatross/Black_Footed_Albatross_0009_34.jpg", 1),
    (3, "100.Brown_Pelican/Brown_Pelican_0122_94022.jpg", 100),
    (4, "101.White_Pelican/White_Pelican_0013_97780.jpg", 101),
    (5, "101.White_Pelican/White_Pelican_0025_97604.jpg", 101),
    (6, "200.Common_Yellowthroat/Common_Yellowthroat_0003_190521.jpg", 200),
    (7, "200.Common_Yellowthroat/Common_Yellowthroat_0055_190967.jpg", 200),
];

/// The files of the archive that are read, and the split for classification, which must not be.
fn birds() -> TempDir {
    let folder = TempDir::new().unwrap();
    let (mut images, mut labels, mut split) = (String::new(), String::new(), String::new());
    for (id, path, class) in PICTURES {
        images += &format!("{id} {path}\n");
        labels += &format!("{id} {class}\n");
        split += &format!("{id} {}\n", id % 2);
        photograph(&folder.path().join("images").join(path));
    }
    for (name, text) in [("images", images), ("image_class_labels", labels), ("train_test_split", split)] {
        fs::write(folder.path().join(format!("{name}.txt")), text).unwrap();
    }
    folder
}

#[test]
fn classes_up_to_100_train_and_the_others_test() {
    let splits = load(birds().path(), COLOUR).unwrap();

    assert_eq!(splits.train.name, "cub-200-2011");
    assert_eq!(splits.train.classes, ["001.Black_footed_Albatross", "100.Brown_Pelican"]);
    assert_eq!(splits.test.classes, ["101.White_Pelican", "200.Common_Yellowthroat"]);
    assert_eq!(
        contents(&splits.train),
        [
            ("Black_Footed_Albatross_0009_34.jpg".to_owned(), "001.Black_footed_Albatross"),
            ("Black_Footed_Albatross_0046_18.jpg".to_owned(), "001.Black_footed_Albatross"),
            ("Brown_Pelican_0122_94022.jpg".to_owned(), "100.Brown_Pelican"),
        ]
    );
    assert_eq!(splits.test.labels, [0, 1, 0, 1]);
    assert!(splits.train.queries.is_empty() && splits.test.queries.is_empty());
}

#[test]
fn a_copy_with_fewer_pictures_loads_with_a_note() {
    let notes = load(birds().path(), COLOUR).unwrap().notes;

    assert_eq!(notes.len(), 1);
    for part in ["5864 pictures of 100 classes", "5924 of 100", "3 pictures of 2 classes", "4 of 2", "not comparable"] {
        assert!(notes[0].contains(part), "\"{part}\" is missing in {}", notes[0]);
    }
}

#[test]
fn a_missing_file_is_named_with_its_folder_and_the_download() {
    let folder = birds();
    fs::remove_file(folder.path().join("image_class_labels.txt")).unwrap();

    let message = complaint(folder.path(), COLOUR);

    let place = folder.path().display().to_string();
    for part in ["image_class_labels.txt", &place, "https://www.vision.caltech.edu/datasets/cub_200_2011"] {
        assert!(message.contains(part), "\"{part}\" is missing in {message}");
    }
}

#[test]
fn lists_that_are_cut_short_or_contradict_each_other_are_refused() {
    let pictures = |lines: &[&str]| format!("{}\n", lines.join("\n"));
    let albatross = format!("1 {}", PICTURES[0].1);
    let cases = [
        (
            "image_class_labels.txt",
            "1 1\n2 1\n3 100\n".to_owned(),
            "3 labels for the 7 pictures of images.txt, and none for picture 4",
        ),
        ("image_class_labels.txt", "1 1\n2\n".to_owned(), "line 2 is \"2\" and must be <image_id> <class_id>"),
        ("image_class_labels.txt", "1 201\n".to_owned(), "line 1 has \"201\" where a number from 1 to 200 must be"),
        ("image_class_labels.txt", "1 one\n".to_owned(), "line 1 has \"one\""),
        ("image_class_labels.txt", String::new(), "lists nothing"),
        ("images.txt", pictures(&[&albatross, "2 001.Bl"]), "2 pictures of which 1 are not there, the first"),
        ("images.txt", pictures(&[&albatross, "2"]), "line 2 is \"2\" and must be <image_id> <path>"),
    ];
    for (name, text, expected) in cases {
        let folder = birds();
        fs::write(folder.path().join(name), text).unwrap();

        let message = complaint(folder.path(), COLOUR);

        assert!(message.contains(expected) && message.contains(name), "{message}");
        assert!(message.contains("caltech.edu"), "{message}");
    }
}

#[test]
fn a_copy_without_test_classes_is_refused() {
    let folder = birds();
    let first_three = |name: &str| {
        let path = folder.path().join(name);
        let text: String = fs::read_to_string(&path).unwrap().split_inclusive('\n').take(3).collect();
        fs::write(path, text).unwrap();
    };
    first_three("images.txt");
    first_three("image_class_labels.txt");

    let message = complaint(folder.path(), COLOUR);

    assert!(message.contains("2 would train and 0 would test"), "{message}");
}

#[test]
fn the_folder_above_gets_a_hint() {
    let (folder, outer) = (birds(), TempDir::new().unwrap());
    fs::rename(folder.path(), outer.path().join("CUB_200_2011")).unwrap();

    let message = complaint(outer.path(), COLOUR);

    assert!(message.contains("did you mean") && message.contains("CUB_200_2011\"?"), "{message}");
}
