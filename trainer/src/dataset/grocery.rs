//! Grocery Store: 5,421 photographs of 81 products on the shelves of supermarkets.
//!
//! Either as published, `train.txt`, `val.txt` and `test.txt` with lines `<path>, <class>, <coarse class>`; or as a
//! smaller edition whose `images.csv` has the columns `path` (below `images/`), `class_id` and `official_split`.
//!
//! The classes 0 to 43 train, 44 to 80 test; no coarse class is in both. Pictures of one official split are near
//! duplicates (the same shelf, seconds apart), so that searching among them is too easy: of the test classes, pictures of
//! the official test split are queries, and those of the other two, taken on other days, are the gallery.
//!
//! Source: Klasson et al., "A Hierarchical Grocery Store Image Dataset with Visual and Semantic Labels", WACV 2019.

use std::path::{Path, PathBuf};

use super::listing::{Listing, PictureFile};
use super::official::{Official, Size, by_number, split_after};
use super::table::Table;
use super::{DatasetError, Format, Request, Splits};

const OFFICIAL: Official = Official {
    title: "Grocery Store",
    download: "https://github.com/marcusklasson/GroceryStoreDataset",
    train: Size { pictures: 3237, classes: 44 },
    test: Size { pictures: 2184, classes: 37 },
};
const LAST_TRAINING_CLASS: u32 = 43;
const CLASSES: u32 = 81;
const LISTS: [&str; 3] = ["train.txt", "val.txt", "test.txt"];
const TABLE: &str = "images.csv";

/// The repository's folder `dataset`, or the smaller edition's folder.
pub(super) struct GroceryStore;

impl Format for GroceryStore {
    fn name(&self) -> &'static str {
        "grocery_store"
    }

    fn looks_for(&self) -> &'static str {
        "Grocery Store (train.txt, val.txt and test.txt, or images.csv)"
    }

    fn is_here(&self, path: &Path) -> bool {
        LISTS.iter().any(|name| path.join(name).is_file()) || path.join(TABLE).is_file()
    }

    fn load(&self, folder: &Path, request: &Request<'_>) -> Result<Splits, DatasetError> {
        let (list, pictures) =
            if folder.join(TABLE).is_file() { smaller_edition(folder)? } else { as_published(folder)? };
        let sides = split_after(LAST_TRAINING_CLASS, by_number(pictures, class_name));
        OFFICIAL.ensure_pictures(&list, &sides)?;
        let (place, notes) = (format!("\"{}\"", folder.display()), OFFICIAL.notes(&sides));
        Listing { name: "grocery-store".into(), place, sides, notes }.read(request)
    }
}

type Pictures = Vec<(u32, PictureFile)>;

fn as_published(folder: &Path) -> Result<(PathBuf, Pictures), DatasetError> {
    let mut pictures = Vec::new();
    for name in LISTS {
        let list = OFFICIAL.find(folder, name)?;
        let table =
            Table::without_header(&list, &["path", "class"]).map_err(|problem| OFFICIAL.broken(&list, problem))?;
        for (line, row) in table.rows() {
            let class = class(&row[1]).ok_or_else(|| not_a_class(&list, line, &row[1]))?;
            pictures.push(picture(folder.join(&row[0]), class, name == "test.txt"));
        }
    }
    Ok((folder.join(LISTS[0]), pictures))
}

fn smaller_edition(folder: &Path) -> Result<(PathBuf, Pictures), DatasetError> {
    let list = folder.join(TABLE);
    let table = Table::with_header(&list, &["path", "class_id", "official_split"], &[])
        .map_err(|problem| OFFICIAL.broken(&list, problem))?;
    let mut pictures = Vec::new();
    for (line, row) in table.rows() {
        let class = class(&row[1]).ok_or_else(|| not_a_class(&list, line, &row[1]))?;
        pictures.push(picture(folder.join("images").join(&row[0]), class, row[2] == "test"));
    }
    Ok((list, pictures))
}

fn class(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&class| class < CLASSES)
}

fn not_a_class(list: &Path, line: u64, text: &str) -> DatasetError {
    OFFICIAL.broken(list, format!("line {line} has \"{text}\" where a class from 0 to {} must be", CLASSES - 1))
}

fn picture(path: PathBuf, class: u32, of_test_session: bool) -> (u32, PictureFile) {
    (class, PictureFile { path, query: of_test_session && class > LAST_TRAINING_CLASS })
}

/// The folder of a class's pictures, such as `Golden-Delicious`, after the class's number.
fn class_name(class: u32, picture: &Path) -> String {
    let folder = picture.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let name = folder.strip_prefix(&format!("{class:02}.")).unwrap_or(&folder);
    format!("{class:02}.{name}")
}
