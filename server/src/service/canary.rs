//! The canary set: labelled pictures in a folder, always the same, so that robustness can be compared over months.
//!
//! The folder holds one folder per class with the pictures in it; the folder's name is the label, and means the same
//! as `metadata.label` of the gallery's items.

use std::io;
use std::path::{Path, PathBuf};

use holdfast_model::InputShape;
use holdfast_model::pixels::{self, DecodeLimits, PixelsError};
use walkdir::{DirEntry, WalkDir};

/// File names that count as pictures; anything else in a class folder is left alone.
const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "gif", "bmp"];

/// Labelled pictures as a net takes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// The size that the pictures were brought to.
    pub input: InputShape,
    /// C·H·W intensities in [0, 1] for each picture.
    pub pictures: Vec<Vec<f32>>,
    /// The class of each picture.
    pub labels: Vec<String>,
}

/// Why a canary set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CanaryError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {} of the canary set: {source}", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to attack.
    #[error(
        "the canary folder {} holds no pictures; it needs one folder per class with {} files in it",
        path.display(), EXTENSIONS.join(", ")
    )]
    Empty {
        /// The canary folder.
        path: PathBuf,
    },
    /// A file is named like a picture and is none that can be used.
    #[error("{} of the canary set cannot be used: {source}", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PixelsError,
    },
}

impl Canary {
    /// Reads at most `count` pictures of `folder` for a net that takes `input`.
    ///
    /// Where there are more, every class gives its first ones by name, in turns: the same folder always gives the same
    /// set, and no class is left out before another has two.
    ///
    /// # Errors
    /// If the folder cannot be read, holds no pictures, or one of those chosen cannot be decoded.
    pub fn load(folder: &Path, count: usize, input: InputShape) -> Result<Self, CanaryError> {
        let classes = sorted(folder)?.into_iter().filter(|entry| entry.file_type().is_dir());
        let classes = classes.map(|class| pictures_of(&class)).collect::<Result<Vec<_>, _>>()?;
        let chosen = in_turns(&classes, count);
        if chosen.is_empty() {
            return Err(CanaryError::Empty { path: folder.to_owned() });
        }
        let pictures = chosen.iter().map(|picture| read(&picture.path, input)).collect::<Result<_, _>>()?;
        let labels = chosen.iter().map(|picture| picture.label.clone()).collect();
        Ok(Self { input, pictures, labels })
    }
}

/// A picture file and its class.
#[derive(Debug, Clone, PartialEq)]
struct LabelledFile {
    path: PathBuf,
    label: String,
}

fn pictures_of(class: &DirEntry) -> Result<Vec<LabelledFile>, CanaryError> {
    let label = class.file_name().to_string_lossy();
    let files = sorted(class.path())?.into_iter().filter(|entry| entry.file_type().is_file() && is_picture(entry));
    Ok(files.map(|file| LabelledFile { path: file.into_path(), label: label.to_string() }).collect())
}

/// What a folder holds, by name, without hidden entries.
fn sorted(folder: &Path) -> Result<Vec<DirEntry>, CanaryError> {
    let entries = WalkDir::new(folder).min_depth(1).max_depth(1).follow_links(true).sort_by_file_name();
    let visible = entries.into_iter().filter(|entry| entry.as_ref().map_or(true, |entry| !is_hidden(entry)));
    visible
        .map(|entry| entry.map_err(|source| CanaryError::Unreadable { path: folder.to_owned(), source: source.into() }))
        .collect()
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

fn is_picture(entry: &DirEntry) -> bool {
    let extension = entry.path().extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// The first of each class, then the second of each class, and so on, up to `count`.
fn in_turns(classes: &[Vec<LabelledFile>], count: usize) -> Vec<LabelledFile> {
    let rounds = classes.iter().map(Vec::len).max().unwrap_or(0);
    let in_order = (0..rounds).flat_map(|round| classes.iter().filter_map(move |class| class.get(round)));
    in_order.take(count).cloned().collect()
}

fn read(path: &Path, input: InputShape) -> Result<Vec<f32>, CanaryError> {
    let bytes = std::fs::read(path).map_err(|source| CanaryError::Unreadable { path: path.to_owned(), source })?;
    let unusable = |source| CanaryError::Picture { path: path.to_owned(), source };
    let picture = pixels::decode(&bytes, &DecodeLimits::default()).map_err(unusable)?;
    pixels::to_pixels(&picture, input).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: InputShape = InputShape { channels: 1, height: 2, width: 2 };

    fn folder_with(files: &[(&str, u8)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, grey) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::GrayImage::from_pixel(2, 2, image::Luma([*grey])).save(path).unwrap();
        }
        folder
    }

    #[test]
    fn classes_give_their_pictures_in_turns_and_folder_names_are_labels() {
        let folder = folder_with(&[("boot/a.png", 255), ("boot/b.png", 255), ("boot/c.png", 255), ("shirt/z.png", 0)]);

        let canary = Canary::load(folder.path(), 3, INPUT).unwrap();

        assert_eq!(canary.labels, ["boot", "shirt", "boot"]);
        assert_eq!(canary.pictures, [vec![1.0; 4], vec![0.0; 4], vec![1.0; 4]]);
    }

    #[test]
    fn the_same_folder_gives_the_same_set() {
        let folder = folder_with(&[("a/1.png", 10), ("a/2.png", 20), ("b/1.bmp", 30), ("c/1.png", 40)]);

        let load = || Canary::load(folder.path(), 3, INPUT).unwrap();

        assert_eq!(load(), load());
    }

    #[test]
    fn hidden_files_and_files_that_are_no_pictures_by_name_are_left_alone() {
        let folder = folder_with(&[("boot/a.png", 255)]);
        std::fs::write(folder.path().join("boot/notes.txt"), "about boots").unwrap();
        std::fs::write(folder.path().join("boot/.a.png"), "junk").unwrap();
        std::fs::write(folder.path().join("README.md"), "about the set").unwrap();

        assert_eq!(Canary::load(folder.path(), 9, INPUT).unwrap().labels, ["boot"]);
    }

    #[test]
    fn a_broken_picture_is_an_error_that_names_the_file() {
        let folder = folder_with(&[("boot/a.png", 255)]);
        std::fs::write(folder.path().join("boot/b.png"), "not a picture").unwrap();

        let message = Canary::load(folder.path(), 9, INPUT).unwrap_err().to_string();

        assert!(message.contains("b.png"), "{message}");
    }

    #[test]
    fn a_folder_without_pictures_is_an_error_that_says_what_is_needed() {
        let folder = folder_with(&[]);

        let message = Canary::load(folder.path(), 9, INPUT).unwrap_err().to_string();

        assert!(message.contains("one folder per class"), "{message}");
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_it() {
        let message = Canary::load(Path::new("/no/such/canary"), 9, INPUT).unwrap_err().to_string();

        assert!(message.contains("/no/such/canary"), "{message}");
    }
}
