//! Pictures as files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::{nets, succeed};

fn pictures(folder: &Path) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for class in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        for picture in fs::read_dir(&class).unwrap().map(|entry| entry.unwrap().path()) {
            let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
            found.insert((name(&class), name(&picture)));
        }
    }
    found
}

#[test]
fn exported_pictures_are_disjoint_balanced_and_from_test_classes() {
    let (config, out) = (nets().path("config.toml"), nets().path("export"));
    let sheet = nets().path("sheet.png");
    let sizes = ["--gallery", "9", "--canary", "6", "--queries", "4", "--sheet", &sheet];

    succeed(&[&["export", "--config", &config, "--out", &out][..], &sizes].concat());

    let [gallery, canary, queries] = ["gallery", "canary", "queries"].map(|name| pictures(&Path::new(&out).join(name)));
    assert_eq!((gallery.len(), canary.len(), queries.len()), (9, 6, 4));
    let all: BTreeSet<_> = [&gallery, &canary, &queries].into_iter().flatten().collect();
    assert_eq!(all.len(), 19);
    let classes: BTreeSet<_> = all.iter().map(|(class, _)| class).collect();
    assert_eq!(classes.len(), 4);
    let (class, picture) = gallery.first().unwrap();
    let png = image::open(Path::new(&out).join("gallery").join(class).join(picture)).unwrap();
    assert_eq!((png.width(), png.height()), (64, 64));
    assert!(image::open(sheet).unwrap().width() > 64);
}

#[test]
fn photographs_are_exported_in_their_own_size() {
    let (photos, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for class in ["a", "b", "c", "d"] {
        fs::create_dir(photos.path().join(class)).unwrap();
        image::RgbImage::new(90, 70).save(photos.path().join(class).join("photo.png")).unwrap();
    }
    let (data, out) = (photos.path().display().to_string(), out.path().join("out"));

    let sizes = ["--gallery", "1", "--canary", "1", "--queries", "0"];
    succeed(&[&["export", "--data", &data, "--out", &out.display().to_string()][..], &sizes].concat());

    let picture = image::open(out.join("gallery/c/00000.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (90, 70));
}
