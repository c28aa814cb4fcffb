//! Image folders, one folder a class.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use holdfast_model::{InputShape, testing};
use holdfast_trainer::config::DataConfig;
use holdfast_trainer::dataset::{self, Pixels, Splits};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

use crate::{COLOUR, complaint, load};

fn save(folder: &Path, class: &str, name: &str, shade: u8) {
    fs::create_dir_all(folder.join(class)).unwrap();
    let picture = RgbImage::from_pixel(10, 6, Rgb([shade, 0, 255 - shade]));
    picture.save(folder.join(class).join(name)).unwrap();
}

/// Four classes of two pictures.
fn image_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (class, shade) in [("cup", 40), ("ant", 0), ("dog", 60), ("bee", 20)] {
        save(folder.path(), class, "one.png", shade);
        save(folder.path(), class, "two.BMP", shade + 1);
    }
    folder
}

#[test]
fn the_first_half_of_the_classes_trains_and_the_other_half_tests() {
    let Splits { train, test, .. } = load(image_folder().path(), COLOUR).unwrap();

    assert_eq!((train.classes.join(" "), test.classes.join(" ")), ("ant bee".into(), "cup dog".into()));
    assert_eq!((&train.labels[..], &test.labels[..]), (&[0, 1, 0, 1][..], &[0, 1, 0, 1][..]));
    // Planes one after the other: red, green, blue.
    assert_eq!(train.picture(3).unwrap(), [[21; 64], [0; 64], [234; 64]].concat());
    assert!(test.files[1].ends_with("dog/one.png"), "{:?}", test.files);
}

#[test]
fn the_share_of_training_classes_can_be_chosen() {
    let folder = image_folder();
    save(folder.path(), "elk", "one.png", 9);
    let data = DataConfig { path: Some(folder.path().into()), train_share: 0.6, ..DataConfig::default() };

    let splits = dataset::load(&data, COLOUR, &|_, _| {}).unwrap();

    assert_eq!((splits.train.classes.len(), splits.test.classes.len()), (3, 2));
}

#[test]
fn what_is_hidden_empty_or_no_picture_is_left_out() {
    let folder = image_folder();
    let expected = load(folder.path(), COLOUR).unwrap();
    save(folder.path(), ".trash", "one.png", 5);
    save(folder.path(), "ant", ".two.png", 5);
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::write(folder.path().join("ant/notes.txt"), "many legs").unwrap();
    fs::write(folder.path().join("labels.csv"), "ant,1").unwrap();

    let splits = load(folder.path(), COLOUR).unwrap();

    assert_eq!((splits.train, splits.test), (expected.train, expected.test));
    assert!(splits.skipped.is_empty());
}

#[test]
fn unreadable_pictures_are_told_and_skipped() {
    let folder = image_folder();
    fs::write(folder.path().join("bee/broken.jpg"), "not a picture").unwrap();
    fs::write(folder.path().join("dog/empty.png"), "").unwrap();

    let splits = load(folder.path(), COLOUR).unwrap();

    assert_eq!((splits.train.len(), splits.test.len()), (4, 4));
    let told: Vec<_> = splits.skipped.iter().map(|skipped| skipped.path.file_name().unwrap()).collect();
    assert_eq!(told, ["broken.jpg", "empty.png"]);
    assert!(splits.skipped.iter().all(|skipped| !skipped.reason.is_empty()));
}

#[test]
fn every_picture_is_observed() {
    let folder = image_folder();
    let data = DataConfig { path: Some(folder.path().into()), ..DataConfig::default() };
    let seen = Mutex::new(Vec::new());

    dataset::load(&data, COLOUR, &|done, all| seen.lock().unwrap().push((done, all))).unwrap();

    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (1..=8).map(|done| (done, 8)).collect::<Vec<_>>());
}

#[test]
fn three_classes_cannot_be_split_in_two_sides_of_two() {
    let folder = image_folder();
    fs::remove_dir_all(folder.path().join("dog")).unwrap();

    let message = complaint(folder.path(), COLOUR);

    assert!(message.contains("3 classes") && message.contains("at least 2"), "{message}");
}

#[test]
fn a_path_near_the_data_gets_a_hint() {
    let folder = image_folder();
    let outer = TempDir::new().unwrap();
    fs::rename(folder.path(), outer.path().join("pictures")).unwrap();

    let above = complaint(outer.path(), COLOUR);
    let inside = complaint(&outer.path().join("pictures/ant"), COLOUR);
    let beside = complaint(&outer.path().join("pics"), COLOUR);

    assert!(above.contains("did you mean") && above.contains("/pictures\"?"), "{above}");
    assert!(inside.contains("one sub-folder for each class"), "{inside}");
    assert!(beside.contains("does not exist"), "{beside}");
}

#[test]
fn a_format_that_reads_files_needs_a_path() {
    let data = DataConfig { format: "folder".to_owned(), ..DataConfig::default() };

    assert!(dataset::load(&data, COLOUR, &|_, _| {}).unwrap_err().to_string().contains("no path"));
}

#[test]
fn a_fingerprint_changes_with_any_pixel_label_or_name_and_with_nothing_else() {
    let folder = image_folder();
    let original = load(folder.path(), COLOUR).unwrap().train;
    let mut pixel = original.clone();
    let Pixels::Kept(bytes) = &mut pixel.pixels else { panic!("so few pictures are kept") };
    Arc::make_mut(bytes)[7] ^= 1;
    let mut label = original.clone();
    label.labels.swap(0, 1);
    let mut class = original.clone();
    class.classes[0].push('s');

    assert_eq!(load(folder.path(), COLOUR).unwrap().train.fingerprint(), original.fingerprint());
    for changed in [pixel, label, class, original.first(3)] {
        assert_ne!(changed.fingerprint().sha256, original.fingerprint().sha256);
    }
}

#[test]
fn a_picture_comes_back_as_it_was_saved() {
    let train = load(image_folder().path(), InputShape { channels: 3, height: 6, width: 10 }).unwrap().train;

    assert_eq!(train.image(0).unwrap().to_rgb8(), RgbImage::from_pixel(10, 6, Rgb([0, 0, 255])));
}

#[test]
fn the_grocery_store_photographs_load() {
    let Some(shared) = testing::shared_dir() else { return eprintln!("skipped: no shared folder") };
    let folder = shared.join("data/grocery-store/images");
    if !folder.is_dir() {
        return eprintln!("skipped: no {}", folder.display());
    }

    let Splits { train, test, skipped, .. } = load(&folder, COLOUR).unwrap();

    assert_eq!((train.len() + test.len(), skipped.len()), (5421, 0));
    assert_eq!((train.classes.len(), test.classes.len(), train.name.as_str()), (41, 40, "grocery-store"));
}
