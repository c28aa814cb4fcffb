//! The Grocery Store data set, as published and in its smaller edition.

use std::fs;

use holdfast_model::{InputShape, testing};
use holdfast_trainer::dataset::{Dataset, Splits};
use tempfile::TempDir;

use crate::{COLOUR, complaint, load, photograph};

/// Two products that train and two that test, each photographed in all three sessions.
fn as_published() -> TempDir {
    let folder = TempDir::new().unwrap();
    let products = [
        ("Fruit/Apple/Golden-Delicious", 0, 0),
        ("Packages/Milk/Arla-Standard-Milk", 41, 20),
        ("Packages/Oatghurt/Oatly-Natural-Oatghurt", 44, 21),
        ("Vegetables/Zucchini", 80, 42),
    ];
    for session in ["train", "val", "test"] {
        let mut list = String::new();
        for (path, class, coarse) in products {
            let path = format!("{session}/{path}/picture_001.jpg");
            list += &format!("{path}, {class}, {coarse}\n");
            photograph(&folder.path().join(path));
        }
        fs::write(folder.path().join(format!("{session}.txt")), list).unwrap();
    }
    folder
}

fn queries(test: &Dataset) -> Vec<String> {
    test.queries.iter().map(|&query| test.files[query].display().to_string()).collect()
}

#[test]
fn unseen_products_test_and_their_pictures_of_the_test_session_are_the_queries() {
    let folder = as_published();

    let Splits { train, test, .. } = load(folder.path(), COLOUR).unwrap();

    assert_eq!(train.classes, ["00.Golden-Delicious", "41.Arla-Standard-Milk"]);
    assert_eq!(test.classes, ["44.Oatly-Natural-Oatghurt", "80.Zucchini"]);
    assert_eq!((train.len(), train.queries.len()), (6, 0), "every session trains");
    assert_eq!((test.len(), test.queries.len()), (6, 2));
    let session = folder.path().join("test").display().to_string();
    assert!(queries(&test).iter().all(|query| query.starts_with(&session)), "{:?}", queries(&test));
}

#[test]
fn the_smaller_edition_has_the_same_classes_and_roles() {
    let folder = TempDir::new().unwrap();
    let mut table = "path,class_id,coarse_id,official_split,zero_shot_split,width,height\n".to_owned();
    for (class, name) in [(0, "Golden-Delicious"), (43, "Garant"), (44, "Oatly"), (80, "Zucchini")] {
        for session in ["train", "val", "test"] {
            let path = format!("{class:02}.{name}/{session}_{name}_001.jpg");
            table += &format!("{path},{class},0,{session},unused,12,9\n");
            photograph(&folder.path().join("images").join(path));
        }
    }
    fs::write(folder.path().join("images.csv"), table).unwrap();

    let Splits { train, test, .. } = load(folder.path(), COLOUR).unwrap();

    assert_eq!(train.classes, ["00.Golden-Delicious", "43.Garant"]);
    assert_eq!(test.classes, ["44.Oatly", "80.Zucchini"]);
    assert_eq!(test.queries.len(), 2);
    assert!(queries(&test).iter().all(|query| query.contains("/test_")), "{:?}", queries(&test));
}

#[test]
fn missing_and_damaged_lists_are_refused_with_the_download() {
    let cases = [
        (None, "looked for \"val.txt\""),
        (Some("val/a.jpg, 81, 0\n"), "line 1 has \"81\" where a class from 0 to 80 must be"),
        (Some("val/a.jpg\n"), "line 1 has no class; it may have been cut short"),
        (Some("val/a.jpg, 3, 0\n"), "1 are not there"),
        (Some(""), "lists nothing"),
    ];
    for (text, expected) in cases {
        let folder = as_published();
        let list = folder.path().join("val.txt");
        match text {
            Some(text) => fs::write(list, text).unwrap(),
            None => fs::remove_file(list).unwrap(),
        }

        let message = complaint(folder.path(), COLOUR);

        assert!(message.contains(expected), "{message}");
        assert!(message.contains("https://github.com/marcusklasson/GroceryStoreDataset"), "{message}");
    }
}

#[test]
fn the_whole_data_set_has_the_published_counts() {
    let Some(shared) = testing::shared_dir() else { return eprintln!("skipped: no shared folder") };
    let folder = shared.join("data/grocery-store");
    if !folder.is_dir() {
        return eprintln!("skipped: no {}", folder.display());
    }

    // Pictures for a net of 224 × 224 do not fit into the memory they may take, so that only their checksums are read.
    let splits = load(&folder, InputShape { channels: 3, height: 224, width: 224 }).unwrap();

    assert_eq!((splits.train.len(), splits.train.classes.len()), (3237, 44));
    assert_eq!((splits.test.len(), splits.test.classes.len()), (2184, 37));
    assert_eq!((splits.test.queries.len(), splits.skipped.len(), splits.notes.len()), (985, 0, 0));
    assert_eq!(splits.train.picture(0).unwrap().len(), 3 * 224 * 224);
}
