//! Image folders: one folder a class, pictures in it; classes are split between training and test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_model::InputShape;
use holdfast_model::pixels::{DecodeLimits, decode, to_pixels};
use rayon::prelude::*;

use super::assemble::{Class, Picture, split};
use super::{DatasetError, Observe, Skipped, Splits};
use crate::config::DataConfig;

const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "gif", "bmp"];

/// Loads a folder's pictures in parallel, each resized to the net's input. `observe` hears of each picture.
///
/// Hidden files, files that are no pictures and folders without pictures are left out. A picture that cannot be decoded
/// is left out and told in [`Splits::skipped`].
///
/// # Errors
/// If no class folder holds a picture, or fewer than 2 classes are left on one side.
pub(super) fn load(
    folder: &Path,
    input: InputShape,
    data: &DataConfig,
    observe: Observe<'_>,
) -> Result<Splits, DatasetError> {
    let listing = list(folder)?;
    if listing.is_empty() {
        return Err(DatasetError::Unrecognised { path: folder.into(), hint: hint(folder) });
    }
    let files: Vec<(usize, &PathBuf)> = (listing.iter().enumerate())
        .flat_map(|(class, (_, pictures))| pictures.iter().map(move |path| (class, path)))
        .collect();
    let done = AtomicUsize::new(0);
    let decoded: Vec<Result<Vec<u8>, Skipped>> = (files.par_iter())
        .map(|(_, path)| {
            let outcome = load_picture(path, input, &data.limits);
            observe(done.fetch_add(1, Ordering::Relaxed) + 1, files.len());
            outcome
        })
        .collect();

    let mut classes: Vec<Class> =
        listing.iter().map(|(name, _)| Class { name: name.clone(), pictures: Vec::new() }).collect();
    let mut skipped = Vec::new();
    for (&(class, path), outcome) in files.iter().zip(decoded) {
        match outcome {
            Ok(pixels) => classes[class].pictures.push(Picture { pixels, file: Some(path.clone()) }),
            Err(picture) => skipped.push(picture),
        }
    }
    classes.retain(|class| !class.pictures.is_empty());
    let place = format!("\"{}\"", folder.display());
    let (train, test) = split(&name(folder), &place, input, classes, data.train_share)?;
    Ok(Splits { train, test, skipped })
}

fn load_picture(path: &Path, input: InputShape, limits: &DecodeLimits) -> Result<Vec<u8>, Skipped> {
    let skipped = |reason: String| Skipped { path: path.into(), reason };
    let bytes = fs::read(path).map_err(|error| skipped(error.to_string()))?;
    let picture = decode(&bytes, limits).map_err(|error| skipped(error.to_string()))?;
    let pixels = to_pixels(&picture, input).map_err(|error| skipped(error.to_string()))?;
    Ok(super::to_bytes(&pixels))
}

/// The class folders by name, each with its pictures by name.
fn list(folder: &Path) -> Result<Vec<(String, Vec<PathBuf>)>, DatasetError> {
    let mut classes = Vec::new();
    for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let pictures: Vec<PathBuf> = entries(&class)?.into_iter().filter(|path| is_picture(path)).collect();
        if !pictures.is_empty() {
            classes.push((file_name(&class), pictures));
        }
    }
    Ok(classes)
}

/// What is in a folder, sorted by name, hidden entries left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let refused = |source| DatasetError::Read { path: folder.into(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) && path.is_file()
}

/// What people call the data: the folder's name, or that of the folder above if it says only "images".
fn name(folder: &Path) -> String {
    let parent = folder.parent().filter(|_| folder.ends_with("images"));
    file_name(parent.filter(|parent| parent.file_name().is_some()).unwrap_or(folder))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Help for someone who points at the folder above the data or inside it; empty if there is none to give.
fn hint(folder: &Path) -> String {
    let Ok(children) = entries(folder) else { return String::new() };
    if children.iter().any(|path| is_picture(path)) {
        return "; the pictures lie in the folder itself: they must be in one sub-folder for each class".into();
    }
    let deeper = children.iter().find(|path| path.is_dir() && list(path).is_ok_and(|listing| !listing.is_empty()));
    deeper.map_or_else(String::new, |path| format!("; did you mean \"{}\"?", path.display()))
}
