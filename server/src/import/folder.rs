//! A folder of pictures, as a list of items to store.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;
use walkdir::{DirEntry, WalkDir};

use super::entry::{Entry, Picture};

/// The longest id that the server takes, less room for the number that tells equal ids apart.
const MAX_ID_BYTES: usize = 120;

/// All files below a folder, sorted by path, hidden ones left out.
///
/// In `class/picture`, the class becomes the label, and the id is `<class>.<file stem>`; a file outside of class folders has
/// no label, and its stem is its id. Whether a file is a picture is for the server to say: it looks at the content.
///
/// # Errors
/// If the folder cannot be walked, or holds no file.
pub(super) fn pictures(folder: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut taken = HashSet::new();
    let mut pictures = Vec::new();
    let walk = WalkDir::new(folder).min_depth(1).follow_links(true).sort_by_file_name();
    for entry in walk.into_iter().filter_entry(|entry| !is_hidden(entry)) {
        let entry = entry.with_context(|| format!("cannot walk {}", folder.display()))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let label = (entry.depth() > 1).then(|| label(folder, entry.path()));
        let stem = entry.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = label.iter().chain([&stem]).map(String::as_str).collect::<Vec<_>>().join(".");
        let id = unused(&sanitise(&name), &mut taken);
        let bytes = entry.metadata().with_context(|| format!("cannot read {}", entry.path().display()))?.len();
        let source = entry.path().display().to_string();
        let metadata = label.into_iter().map(|label| ("label".to_owned(), Value::from(label))).collect();
        pictures.push(Entry { source, id, metadata, picture: Picture::File { path: entry.into_path(), bytes } });
    }
    if pictures.is_empty() {
        let folder = folder.display();
        bail!("{folder} holds no pictures; expected {folder}/<class>/<picture>, or pictures without class folders");
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
        let label = |entry: &Entry| entry.metadata.get("label").map_or("", |label| label.as_str().unwrap()).to_owned();
        pictures(folder.path()).unwrap().into_iter().map(|entry| (entry.id.clone(), label(&entry))).collect()
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
    fn a_file_outside_of_class_folders_has_no_label() {
        let expected = [("a.x", "a"), ("stray", "")].map(|(id, label)| (id.to_owned(), label.to_owned()));
        assert_eq!(ids_and_labels(&["stray.jpg", "a/x.jpg"]), expected);
    }

    #[test]
    fn hidden_files_are_left_out() {
        assert_eq!(ids_and_labels(&["a/.DS_Store", ".git/x.jpg", ".hidden.png", "a/x.jpg"]).len(), 1);
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
