//! Manifests: a table of pictures with the columns `path`, `label` and, if wanted, `split`.
//!
//! Paths are absolute or relative to the manifest. A split is `train`, `test`, or, for test pictures that only search or are
//! only searched, `query` and `gallery`. Without the column, or with nothing in it, the classes are split as those of an
//! image folder are.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::assemble::{Class, Sides, split};
use super::listing::{Listing, PictureFile};
use super::table::Table;
use super::{DatasetError, Format, Request, Splits, folder};

const NAME: &str = "manifest.csv";

/// A table of comma-separated values, or a folder with `manifest.csv`.
pub(super) struct Manifest;

impl Format for Manifest {
    fn name(&self) -> &'static str {
        "manifest"
    }

    fn looks_for(&self) -> &'static str {
        "a manifest (manifest.csv, or the path of another .csv file, with the columns path, label and split)"
    }

    fn is_here(&self, path: &Path) -> bool {
        file(path).is_file() && file(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
    }

    fn load(&self, path: &Path, request: &Request<'_>) -> Result<Splits, DatasetError> {
        let file = file(path);
        let sides = read(&file, request.data.train_share)?;
        let place = format!("\"{}\"", file.display());
        let name = if path.is_dir() { folder::name(path) } else { stem(&file) };
        Listing { name, place, sides, notes: Vec::new() }.read(request)
    }
}

fn file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(NAME) } else { path.to_path_buf() }
}

fn stem(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a line says.
struct Line {
    number: u64,
    label: String,
    split: String,
    path: PathBuf,
}

fn read(file: &Path, train_share: f64) -> Result<Sides<PictureFile>, DatasetError> {
    let lines = lines(file)?;
    ensure_sound(file, &lines)?;
    if lines.iter().all(|line| line.split.is_empty()) {
        let all = lines.into_iter().map(|line| (line.label, PictureFile::new(line.path)));
        return split(&format!("\"{}\"", file.display()), by_label(all), train_share);
    }
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for Line { number, label, split, path } in lines {
        match split.as_str() {
            "train" => train.push((label, PictureFile::new(path))),
            "test" | "gallery" => test.push((label, PictureFile::new(path))),
            "query" => test.push((label, PictureFile { path, query: true })),
            other => {
                let rule = "a split is train, test, query or gallery, on every line or on none";
                return Err(broken(file, format!("line {number} has the split \"{other}\": {rule}")));
            }
        }
    }
    Ok(Sides { train: by_label(train), test: by_label(test) })
}

fn lines(file: &Path) -> Result<Vec<Line>, DatasetError> {
    let root = file.parent().unwrap_or(Path::new(""));
    let table = Table::with_header(file, &["path", "label"], &["split"]).map_err(|problem| broken(file, problem))?;
    let line = |(number, row): (u64, &[String])| Line {
        number,
        path: root.join(&row[0]),
        label: row[1].clone(),
        split: row[2].clone(),
    };
    Ok(table.rows().map(line).collect())
}

/// Refuses lines without a label, pictures that are not there, and pictures that are there twice, which would find
/// themselves.
fn ensure_sound(file: &Path, lines: &[Line]) -> Result<(), DatasetError> {
    let mut seen = HashMap::new();
    for Line { number, label, path, .. } in lines {
        if label.is_empty() {
            return Err(broken(file, format!("line {number} has an empty label")));
        }
        if !path.is_file() {
            return Err(broken(file, format!("line {number} lists \"{}\", which is not there", path.display())));
        }
        if let Some(first) = seen.insert(path, number) {
            let path = path.display();
            return Err(broken(file, format!("line {number} lists \"{path}\" again, after line {first}")));
        }
    }
    Ok(())
}

/// Classes in the order of their names.
fn by_label(pictures: impl IntoIterator<Item = (String, PictureFile)>) -> Vec<Class<PictureFile>> {
    let mut classes: BTreeMap<String, Vec<PictureFile>> = BTreeMap::new();
    for (label, picture) in pictures {
        classes.entry(label).or_default().push(picture);
    }
    classes.into_iter().map(|(name, pictures)| Class { name, pictures }).collect()
}

fn broken(file: &Path, problem: String) -> DatasetError {
    DatasetError::BrokenManifest { path: file.into(), problem }
}
