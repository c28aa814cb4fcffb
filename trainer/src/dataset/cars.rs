//! Cars-196: 16,185 photographs of 196 models of cars.
//!
//! Either `cars_annos.mat` with `car_ims/`, or the older pair of `cars_train_annos.mat` with `cars_train/` and
//! `cars_test_annos_withlabels.mat` with `cars_test/`, whose names of classes are in `cars_meta.mat`. Zero-shot retrieval
//! trains on the classes 1 to 98 and tests on 99 to 196; the official split, made for classification, is not used.
//!
//! Source: Krause et al., "3D Object Representations for Fine-Grained Categorization", 2013, and its development kit.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::listing::{Listing, PictureFile};
use super::mat::{self, Array};
use super::official::{Official, Size, by_number, split_after};
use super::{DatasetError, Format, Request, Splits};

const OFFICIAL: Official = Official {
    title: "Cars-196",
    download: "https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
    train: Size { pictures: 8054, classes: 98 },
    test: Size { pictures: 8131, classes: 98 },
};
const CLASSES: usize = 196;
const ANNOTATIONS: &str = "cars_annos.mat";
const TRAIN: &str = "cars_train_annos.mat";
const TEST: &str = "cars_test_annos_withlabels.mat";
const NAMES: &str = "cars_meta.mat";

/// The folder that the archives were unpacked in.
pub(super) struct Cars196;

impl Format for Cars196 {
    fn name(&self) -> &'static str {
        "cars_196"
    }

    fn looks_for(&self) -> &'static str {
        "Cars-196 (cars_annos.mat, or cars_train_annos.mat and cars_test_annos_withlabels.mat)"
    }

    fn is_here(&self, path: &Path) -> bool {
        [ANNOTATIONS, TRAIN].iter().any(|name| find(path, name).is_ok())
    }

    fn load(&self, folder: &Path, request: &Request<'_>) -> Result<Splits, DatasetError> {
        let (list, Annotations { pictures, names }) = match find(folder, ANNOTATIONS) {
            Ok(list) => (list.clone(), together(&list, folder)?),
            Err(_) => (find(folder, TRAIN)?, apart(folder)?),
        };
        let name = |class: u32, _: &Path| format!("{class:03}.{}", names[class as usize - 1].replace('/', "-"));
        let sides = split_after(98, by_number(pictures, name));
        OFFICIAL.ensure_pictures(&list, &sides)?;
        let (place, notes) = (format!("\"{}\"", folder.display()), OFFICIAL.notes(&sides));
        Listing { name: "cars-196".into(), place, sides, notes }.read(request)
    }
}

/// The pictures with the numbers of their classes, and the classes' names from number 1.
struct Annotations {
    pictures: Vec<(u32, PictureFile)>,
    names: Vec<String>,
}

/// All annotations in one file.
fn together(list: &Path, folder: &Path) -> Result<Annotations, DatasetError> {
    let variables = read(list)?;
    let pictures = pictures(list, &variables, "relative_im_path", folder)?;
    Ok(Annotations { pictures, names: names(list, &variables)? })
}

/// The official halves in a file each.
fn apart(folder: &Path) -> Result<Annotations, DatasetError> {
    let (train, test, meta) = (find(folder, TRAIN)?, find(folder, TEST)?, find(folder, NAMES)?);
    let mut all = pictures(&train, &read(&train)?, "fname", &folder.join("cars_train"))?;
    all.extend(pictures(&test, &read(&test)?, "fname", &folder.join("cars_test"))?);
    Ok(Annotations { pictures: all, names: names(&meta, &read(&meta)?)? })
}

/// The file of that name, in the folder or in the development kit's.
fn find(folder: &Path, name: &str) -> Result<PathBuf, DatasetError> {
    let candidates = [folder.join(name), folder.join("devkit").join(name)];
    let found = candidates.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| OFFICIAL.missing(folder, format!("\"{name}\" or \"devkit/{name}\"")))
}

fn read(path: &Path) -> Result<BTreeMap<String, Array>, DatasetError> {
    let bytes = fs::read(path).map_err(|source| DatasetError::Read { path: path.into(), source })?;
    mat::read(&bytes).map_err(|problem| OFFICIAL.broken(path, problem))
}

fn pictures(
    list: &Path,
    variables: &BTreeMap<String, Array>,
    path_field: &str,
    root: &Path,
) -> Result<Vec<(u32, PictureFile)>, DatasetError> {
    let Some(Array::Structs(records)) = variables.get("annotations") else {
        return Err(OFFICIAL.broken(list, "it has no structure array \"annotations\""));
    };
    let picture = |(number, record): (usize, &BTreeMap<String, Array>)| {
        let class = match record.get("class") {
            Some(Array::Numbers(class)) => {
                class.first().copied().filter(|class| (1.0..=CLASSES as f64).contains(class))
            }
            _ => None,
        };
        match (record.get(path_field), class) {
            (Some(Array::Text(path)), Some(class)) => Ok((class as u32, PictureFile::new(root.join(path)))),
            _ => {
                let problem =
                    format!("annotation {number} has no text \"{path_field}\" or no \"class\" from 1 to {CLASSES}");
                Err(OFFICIAL.broken(list, problem))
            }
        }
    };
    (1..).zip(records).map(picture).collect()
}

fn names(list: &Path, variables: &BTreeMap<String, Array>) -> Result<Vec<String>, DatasetError> {
    let Some(Array::Cells(names)) = variables.get("class_names") else {
        return Err(OFFICIAL.broken(list, "it has no cell array \"class_names\""));
    };
    let text = |name: &Array| if let Array::Text(name) = name { Some(name.clone()) } else { None };
    let names: Vec<String> = names.iter().filter_map(text).collect();
    if names.len() != CLASSES {
        return Err(OFFICIAL.broken(list, format!("it names {} classes, and there are {CLASSES}", names.len())));
    }
    Ok(names)
}
