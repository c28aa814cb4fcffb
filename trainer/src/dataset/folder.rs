//! Image folders: one folder a class, pictures in it; classes are split between training and test.

use std::fs;
use std::path::{Path, PathBuf};

use super::assemble::{Class, split};
use super::listing::{Listing, PictureFile};
use super::{DatasetError, Format, Request, Splits, unrecognised};

const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "gif", "bmp"];

/// One folder a class.
pub(super) struct Folder;

impl Format for Folder {
    fn name(&self) -> &'static str {
        "folder"
    }

    fn looks_for(&self) -> &'static str {
        "class folders with pictures (<class>/<picture>.jpg, .png, .webp, .gif or .bmp)"
    }

    fn is_here(&self, path: &Path) -> bool {
        list(path).is_ok_and(|listing| !listing.is_empty())
    }

    /// Hidden files, files that are no pictures and folders without pictures are left out.
    fn load(&self, folder: &Path, request: &Request<'_>) -> Result<Splits, DatasetError> {
        let classes = list(folder)?;
        if classes.is_empty() {
            return Err(unrecognised(folder));
        }
        let place = format!("\"{}\"", folder.display());
        let sides = split(&place, classes, request.data.train_share)?;
        Listing { name: name(folder), place, sides, notes: Vec::new() }.read(request)
    }
}

/// The class folders by name, each with its pictures by name.
fn list(folder: &Path) -> Result<Vec<Class<PictureFile>>, DatasetError> {
    let mut classes = Vec::new();
    for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let pictures: Vec<PictureFile> =
            entries(&class)?.into_iter().filter(|path| is_picture(path)).map(PictureFile::new).collect();
        if !pictures.is_empty() {
            classes.push(Class { name: file_name(&class), pictures });
        }
    }
    Ok(classes)
}

/// What is in a folder, sorted by name, hidden entries left out.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
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

pub(super) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) && path.is_file()
}

/// What people call the data: the folder's name, or that of the folder above if it says only "images".
pub(super) fn name(folder: &Path) -> String {
    let parent = folder.parent().filter(|_| folder.ends_with("images"));
    file_name(parent.filter(|parent| parent.file_name().is_some()).unwrap_or(folder))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
