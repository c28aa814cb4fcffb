//! CUB-200-2011: 11,788 photographs of 200 kinds of birds.
//!
//! `images.txt` has lines `<image_id> <path below images/>`, `image_class_labels.txt` lines `<image_id> <class_id>`. Zero-shot
//! retrieval trains on the classes 1 to 100 and tests on 101 to 200; the official `train_test_split.txt`, made for
//! classification, is not used.
//!
//! Source: Wah et al., "The Caltech-UCSD Birds-200-2011 Dataset", and the README in its archive.

use std::collections::HashMap;
use std::path::Path;

use super::listing::{Listing, PictureFile};
use super::official::{Official, Size, by_number, split_after};
use super::{DatasetError, Format, Request, Splits};

const OFFICIAL: Official = Official {
    title: "CUB-200-2011",
    download: "https://www.vision.caltech.edu/datasets/cub_200_2011",
    train: Size { pictures: 5864, classes: 100 },
    test: Size { pictures: 5924, classes: 100 },
};

/// The unpacked archive `CUB_200_2011`.
pub(super) struct Cub200;

impl Format for Cub200 {
    fn name(&self) -> &'static str {
        "cub_200_2011"
    }

    fn looks_for(&self) -> &'static str {
        "CUB-200-2011 (images.txt and images/)"
    }

    fn is_here(&self, path: &Path) -> bool {
        path.join("images.txt").is_file() && path.join("images").is_dir()
    }

    fn load(&self, folder: &Path, request: &Request<'_>) -> Result<Splits, DatasetError> {
        let images = OFFICIAL.read(folder, "images.txt")?;
        let labels = OFFICIAL.read(folder, "image_class_labels.txt")?;
        let root = OFFICIAL.find(folder, "images")?;
        let mut classes = HashMap::new();
        for (line, [id, class]) in labels.rows(0, "<image_id> <class_id>")? {
            classes.insert(id, labels.number((line, class), 1..=200)?);
        }
        let images_rows = images.rows(0, "<image_id> <path>")?;
        let mut pictures = Vec::with_capacity(images_rows.len());
        for (_, [id, path]) in &images_rows {
            let Some(&class) = classes.get(id) else {
                let (labelled, all) = (classes.len(), images_rows.len());
                let problem = format!(
                    "it has {labelled} labels for the {all} pictures of images.txt, and none for picture {id}, \
                     \"{path}\"; it may have been cut short"
                );
                return Err(OFFICIAL.broken(&labels.path, problem));
            };
            pictures.push((class, PictureFile::new(root.join(path))));
        }
        let sides = split_after(100, by_number(pictures, name));
        OFFICIAL.ensure_pictures(&images.path, &sides)?;
        let (place, notes) = (format!("\"{}\"", folder.display()), OFFICIAL.notes(&sides));
        Listing { name: "cub-200-2011".into(), place, sides, notes }.read(request)
    }
}

/// The folder of a class's pictures, such as `001.Black_footed_Albatross`.
fn name(class: u32, picture: &Path) -> String {
    let folder = picture.parent().and_then(Path::file_name);
    folder.map_or_else(|| class.to_string(), |name| name.to_string_lossy().into_owned())
}
