//! A folder of class folders, as a list of items to store.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use walkdir::{DirEntry, WalkDir};

/// The longest id that the server takes, less room for the number that tells equal ids apart.
const MAX_ID_BYTES: usize = 120;

/// One picture file and what it is stored as.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Its size when the folder was walked.
    pub(super) bytes: u64,
    /// `<class>.<file stem>`, within the server's rule for ids.
    pub(super) id: String,
    /// The name of its class folder, as it is.
    pub(super) label: String,
}

/// All files in `folder/class/…`, sorted by path, hidden ones left out.
///
/// Whether a file is a picture is for the server to say: it looks at the content.
///
/// # Errors
/// If the folder cannot be walked, or holds no class folder with a file.
pub(super) fn pictures(folder: &Path) -> anyhow::Result<Vec<Picture>> {
    let mut taken = HashSet::new();
    let mut pictures = Vec::new();
    let walk = WalkDir::new(folder).min_depth(1).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(|entry| !is_hidden(entry)) {
        let entry = entry.with_context(|| format!("cannot walk {}", folder.display()))?;
        if !entry.file_type().is_file() || entry.depth() < 2 {
            continue;
        }
        let label = label(folder, entry.path());
        let stem = entry.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let id = unused(&sanitise(&format!("{label}.{stem}")), &mut taken);
        let bytes = entry.metadata().with_context(|| format!("cannot read {}", entry.path().display()))?.len();
        pictures.push(Picture { path: entry.into_path(), bytes, id, label });
    }
    if pictures.is_empty() {
        bail!(
            "{} holds no pictures in class folders; expected {}/<class>/<picture>",
            folder.display(),
            folder.display()
        );
    }
    Ok(pictures)
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

/// The first folder below the root, whatever lies between it and the file.
fn label(folder: &Path, file: &Path) -> String {
    let below = file.strip_prefix(folder).unwrap_or(file);
    below.components().next().map(|class| class.as_os_str().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Ids are 1 to 128 of `A-Za-z0-9._:-`; anything else becomes a hyphen.
fn sanitise(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "._:-".contains(c) { c } else { '-' };
    text.chars().map(allowed).take(MAX_ID_BYTES).collect()
}

fn unused(wanted: &str, taken: &mut HashSet<String>) -> String {
    let mut id = wanted.to_owned();
    let mut number = 2;
    while !taken.insert(id.clone()) {
        id = format!("{wanted}.{number}");
        number += 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"pixels").unwrap();
        }
        folder
    }

    fn ids_and_labels(files: &[&str]) -> Vec<(String, String)> {
        let folder = folder_with(files);
        pictures(folder.path()).unwrap().into_iter().map(|picture| (picture.id, picture.label)).collect()
    }

    #[test]
    fn the_class_folder_is_the_label_and_the_id_is_made_safe() {
        let found = ids_and_labels(&["Red Äpfel/a (1).jpg", "pears/left/7.png"]);
        let expected = [("Red--pfel.a--1-", "Red Äpfel"), ("pears.7", "pears")];
        assert_eq!(found, expected.map(|(id, label)| (id.to_owned(), label.to_owned())));
    }

    #[test]
    fn files_that_would_share_an_id_get_different_ones_in_a_fixed_order() {
        let ids: Vec<_> = ids_and_labels(&["a/x.jpg", "a/x.png", "a/y/x.png"]).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["a.x", "a.x.2", "a.x.3"]);
    }

    #[test]
    fn hidden_files_and_files_without_a_class_are_left_out() {
        assert_eq!(ids_and_labels(&["stray.jpg", "a/.DS_Store", ".git/x.jpg", "a/x.jpg"]).len(), 1);
    }

    #[test]
    fn long_names_stay_within_the_rule() {
        let long = format!("class/{}.png", "x".repeat(200));
        assert!(ids_and_labels(&[&long])[0].0.len() <= 128);
    }

    #[test]
    fn a_folder_without_pictures_says_what_is_expected() {
        let empty = tempfile::tempdir().unwrap();
        assert!(pictures(empty.path()).unwrap_err().to_string().contains("<class>/<picture>"));
    }
}
