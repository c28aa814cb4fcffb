//! What all formats have in common.

use std::fs;

use holdfast_trainer::config::{DataConfig, TrainConfig};
use holdfast_trainer::dataset::{self, Pixels};
use tempfile::TempDir;

use crate::{COLOUR, complaint, load, photograph};

#[test]
fn an_unknown_format_is_refused_with_the_known_ones() {
    let format = "cub".to_owned();
    let data = DataConfig { format: format.clone(), path: Some(".".into()), ..DataConfig::default() };

    let loading = dataset::load(&data, COLOUR, &|_, _| {}).unwrap_err().to_string();
    let config = TrainConfig { data, ..TrainConfig::default() }.validate().unwrap_err().to_string();

    for message in [loading, config] {
        assert!(message.contains("\"cub\" is not known"), "{message}");
        for name in dataset::formats() {
            assert!(message.contains(name), "{name} is missing in {message}");
        }
    }
}

#[test]
fn every_format_of_files_says_what_it_looked_for_where_it_was_asked_for_by_name() {
    let folder = TempDir::new().unwrap();
    let files = |format: &&str| !["auto", "toy_shop"].contains(format);
    for format in dataset::formats().into_iter().filter(files) {
        let data = DataConfig { format: format.to_owned(), path: Some(folder.path().into()), ..DataConfig::default() };

        let message = dataset::load(&data, COLOUR, &|_, _| {}).unwrap_err().to_string();

        assert!(message.contains(&folder.path().display().to_string()), "{format}: {message}");
        let without_path = DataConfig { path: None, ..data };
        let message = dataset::load(&without_path, COLOUR, &|_, _| {}).unwrap_err().to_string();
        assert!(message.contains("no path"), "{format}: {message}");
    }
}

#[test]
fn data_that_is_not_recognised_gets_a_list_of_what_would_be() {
    let message = complaint(TempDir::new().unwrap().path(), COLOUR);

    for part in ["train-images-idx3-ubyte", "images.txt", "cars_annos.mat", "Ebay_train.txt", "manifest.csv", "<class>"]
    {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
}

#[test]
fn pictures_are_kept_in_memory_exactly_if_they_fit() {
    let folder = TempDir::new().unwrap();
    for class in ["a", "b", "c", "d"] {
        (0..3).for_each(|picture| photograph(&folder.path().join(class).join(format!("{picture}.png"))));
    }
    // 12 pictures of 3 × 180 × 180 take 1.11 MiB.
    let kept = |memory_mib| {
        let input = holdfast_model::InputShape { channels: 3, height: 180, width: 180 };
        let framing = Some(dataset::Framing::Whole);
        let data = DataConfig { path: Some(folder.path().into()), memory_mib, framing, ..DataConfig::default() };
        let splits = dataset::load(&data, input, &|_, _| {}).unwrap();
        [splits.train, splits.test].map(|set| matches!(set.pixels, Pixels::Kept(_)))
    };

    assert_eq!(kept(2), [true, true]);
    assert_eq!(kept(1), [false, false]);
    assert_eq!(kept(0), [false, false]);
}

#[test]
fn a_class_whose_pictures_are_all_unreadable_vanishes_and_one_side_too_small_is_refused() {
    let folder = TempDir::new().unwrap();
    for class in ["a", "b", "c", "d", "e", "f"] {
        photograph(&folder.path().join(class).join("1.png"));
    }
    fs::write(folder.path().join("e/1.png"), "no picture").unwrap();

    let splits = load(folder.path(), COLOUR).unwrap();

    assert_eq!((splits.train.classes.join(" "), splits.test.classes.join(" ")), ("a b c".into(), "d f".into()));
    assert_eq!(splits.test.labels, [0, 1]);
    assert!(splits.skipped[0].reason.contains("no picture that is known"), "{:?}", splits.skipped);
    fs::write(folder.path().join("f/1.png"), "no picture").unwrap();
    let message = complaint(folder.path(), COLOUR);
    assert!(message.contains("1 would test"), "{message}");
}
