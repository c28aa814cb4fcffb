//! Cars-196, in small copies of its two official layouts.

use std::fs;
use std::path::Path;

use holdfast_model::testing;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::mat::{self, Value};
use crate::{COLOUR, complaint, contents, load, photograph};

const CLASSES: [u32; 8] = [1, 1, 98, 98, 99, 99, 196, 196];

fn names() -> Vec<String> {
    (1..=196).map(|class| if class == 98 { "Dodge 1500/2500".to_owned() } else { format!("Model {class}") }).collect()
}

/// Corners of a box, which are passed over; wide ones are stored in two bytes.
fn corners(picture: usize) -> [Value; 4] {
    [6, 7, 300 + picture as u32, 717].map(Value::Number)
}

/// `cars_annos.mat`, whose split for classification alternates.
fn annotations() -> Vec<u8> {
    let fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"];
    let record = |(picture, &class): (usize, &u32)| {
        let path = Value::Text(format!("car_ims/{:06}.jpg", picture + 1));
        let labels = [Value::Number(class), Value::Number(picture as u32 % 2)];
        [path].into_iter().chain(corners(picture)).chain(labels).collect()
    };
    let records: Vec<Vec<Value>> = CLASSES.iter().enumerate().map(record).collect();
    mat::file(&[mat::structs("annotations", &fields, &records), mat::cells("class_names", &names())])
}

fn cars() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("cars_annos.mat"), annotations()).unwrap();
    for picture in 1..=CLASSES.len() {
        photograph(&folder.path().join(format!("car_ims/{picture:06}.jpg")));
    }
    folder
}

/// The older layout: a development kit, and pictures numbered anew in either half.
fn cars_in_halves() -> TempDir {
    let folder = TempDir::new().unwrap();
    let kit = folder.path().join("devkit");
    fs::create_dir(&kit).unwrap();
    let fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"];
    for (name, half, classes) in [
        ("cars_train_annos.mat", "cars_train", [1, 98, 99, 196]),
        ("cars_test_annos_withlabels.mat", "cars_test", [1, 98, 99, 196]),
    ] {
        let record = |(picture, &class): (usize, &u32)| {
            let name = Value::Text(format!("{:05}.jpg", picture + 1));
            corners(picture).into_iter().chain([Value::Number(class), name]).collect()
        };
        let records: Vec<Vec<Value>> = classes.iter().enumerate().map(record).collect();
        fs::write(kit.join(name), mat::file(&[mat::structs("annotations", &fields, &records)])).unwrap();
        (1..=4).for_each(|picture| photograph(&folder.path().join(half).join(format!("{picture:05}.jpg"))));
    }
    fs::write(kit.join("cars_meta.mat"), mat::file(&[mat::cells("class_names", &names())])).unwrap();
    folder
}

#[test]
fn classes_up_to_98_train_and_the_others_test() {
    let splits = load(cars().path(), COLOUR).unwrap();

    assert_eq!(splits.train.name, "cars-196");
    assert_eq!(splits.train.classes, ["001.Model 1", "098.Dodge 1500-2500"]);
    assert_eq!(splits.test.classes, ["099.Model 99", "196.Model 196"]);
    assert_eq!(
        contents(&splits.test),
        [
            ("000005.jpg".to_owned(), "099.Model 99"),
            ("000006.jpg".to_owned(), "099.Model 99"),
            ("000007.jpg".to_owned(), "196.Model 196"),
            ("000008.jpg".to_owned(), "196.Model 196"),
        ]
    );
    assert!(splits.notes[0].contains("8054 pictures of 98 classes"), "{:?}", splits.notes);
    assert!(splits.notes[0].contains("8131 of 98"), "{:?}", splits.notes);
}

#[test]
fn the_older_layout_gives_the_same_classes_from_both_halves() {
    let folder = cars_in_halves();

    let splits = load(folder.path(), COLOUR).unwrap();

    assert_eq!(splits.train.classes, ["001.Model 1", "098.Dodge 1500-2500"]);
    assert_eq!((splits.train.len(), splits.test.len()), (4, 4));
    let halves =
        |half: &str| splits.test.files.iter().filter(|path| path.starts_with(folder.path().join(half))).count();
    assert_eq!((halves("cars_train"), halves("cars_test")), (2, 2));
}

#[test]
fn the_older_layout_needs_the_labels_of_the_test_half() {
    let folder = cars_in_halves();
    fs::remove_file(folder.path().join("devkit/cars_test_annos_withlabels.mat")).unwrap();

    let message = complaint(folder.path(), COLOUR);

    assert!(message.contains("cars_test_annos_withlabels.mat"), "{message}");
    assert!(message.contains("https://ai.stanford.edu/~jkrause/cars/car_dataset.html"), "{message}");
}

#[test]
fn damaged_annotations_are_refused_with_what_is_wrong_with_them() {
    let whole = annotations();
    let no_names = mat::file(&[mat::structs("annotations", &["relative_im_path"], &[])]);
    let without = |fields: [&str; 2], values: [Value; 2]| {
        let records = [Vec::from(values)];
        mat::file(&[mat::structs("annotations", &fields, &records), mat::cells("class_names", &names())])
    };
    let path = || Value::Text("car_ims/000001.jpg".into());
    let cases = [
        (Vec::new(), "shorter than the header"),
        (whole[..whole.len() / 2].to_vec(), "cut short"),
        ([b"MATLAB 7.3 MAT-file".to_vec(), vec![0; 200]].concat(), "version 7.3, and 5 is needed"),
        (vec![b'x'; 300], "no MAT file of version 5"),
        (mat::file(&[]), "no structure array \"annotations\""),
        (no_names, "no cell array \"class_names\""),
        (
            mat::file(&[mat::structs("annotations", &["x"], &[]), mat::cells("class_names", &names()[1..])]),
            "names 195 classes",
        ),
        (without(["relative_im_path", "clas"], [path(), Value::Number(1)]), "annotation 1 has no text"),
        (without(["relative_im_path", "class"], [path(), Value::Number(197)]), "no \"class\" from 1 to 196"),
        (without(["relative_im_path", "class"], [Value::Number(3), Value::Number(1)]), "annotation 1 has no text"),
    ];
    for (bytes, expected) in cases {
        let folder = cars();
        fs::write(folder.path().join("cars_annos.mat"), bytes).unwrap();

        let message = complaint(folder.path(), COLOUR);

        assert!(message.contains(expected) && message.contains("cars_annos.mat"), "{expected}: {message}");
        assert!(message.contains("ai.stanford.edu"), "{message}");
    }
}

#[test]
fn pictures_that_are_listed_and_not_there_are_counted() {
    let folder = cars();
    fs::remove_file(folder.path().join("car_ims/000003.jpg")).unwrap();
    fs::remove_file(folder.path().join("car_ims/000005.jpg")).unwrap();

    let message = complaint(folder.path(), COLOUR);

    assert!(message.contains("8 pictures of which 2 are not there") && message.contains("000003.jpg"), "{message}");
}

#[test]
fn annotations_written_by_others_load() {
    let Some(shared) = testing::shared_dir() else { return eprintln!("skipped: no shared folder") };
    let file = shared.join("data/metadata/cars_annos_mini.mat");
    if !file.is_file() {
        return eprintln!("skipped: no {}", file.display());
    }
    let folder = TempDir::new().unwrap();
    fs::copy(file, folder.path().join("cars_annos.mat")).unwrap();
    (1..=17).for_each(|picture| photograph(&folder.path().join(format!("car_ims/{picture:06}.jpg"))));

    let splits = load(folder.path(), COLOUR).unwrap();

    assert_eq!((splits.train.len(), splits.test.len()), (9, 8));
    let classes: Vec<&str> = splits.train.classes.iter().map(|name| &name[..4]).collect();
    assert_eq!(classes, ["001.", "002.", "097.", "098."]);
    assert_eq!(splits.train.classes[0], "001.Synthetic Car Model 1 2012");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_damage_to_annotations_ends_the_program(at in 0..2000_usize, byte: u8, end in 0..2000_usize) {
        let folder = cars();
        let path: &Path = &folder.path().join("cars_annos.mat");
        let mut bytes = annotations();
        let (at, end) = (at % bytes.len(), end % bytes.len());
        bytes[at] = byte;
        fs::write(path, &bytes).unwrap();
        drop(load(folder.path(), COLOUR));
        fs::write(path, &bytes[..end]).unwrap();
        prop_assert!(load(folder.path(), COLOUR).is_err());
    }
}
