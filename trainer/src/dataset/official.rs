//! Published data sets: where to get one, whether a copy is complete, and its lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::DatasetError;
use super::assemble::{Class, Sides};
use super::listing::PictureFile;

/// A data set that people publish numbers on.
pub(super) struct Official {
    /// What people call it.
    pub(super) title: &'static str,
    /// Where it can be had.
    pub(super) download: &'static str,
    /// The size of its two sides.
    pub(super) train: Size,
    pub(super) test: Size,
}

/// How much a side holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) pictures: usize,
    pub(super) classes: usize,
}

impl Official {
    /// The file or folder of that name.
    ///
    /// # Errors
    /// If it is not there.
    pub(super) fn find(&self, folder: &Path, name: &str) -> Result<PathBuf, DatasetError> {
        let path = folder.join(name);
        if path.exists() { Ok(path) } else { Err(self.missing(folder, format!("\"{name}\""))) }
    }

    /// `looked_for` is not in the folder.
    pub(super) fn missing(&self, folder: &Path, looked_for: String) -> DatasetError {
        let Self { title, download, .. } = *self;
        DatasetError::MissingFile { title, looked_for, folder: folder.into(), download }
    }

    /// A file of the data set is damaged or is something else.
    pub(super) fn broken(&self, path: &Path, problem: impl Into<String>) -> DatasetError {
        let Self { title, download, .. } = *self;
        DatasetError::BrokenFile { title, path: path.into(), problem: problem.into(), download }
    }

    /// The text of a list.
    ///
    /// # Errors
    /// If it is not there, unreadable, or no text.
    pub(super) fn read(&self, folder: &Path, name: &str) -> Result<List<'_>, DatasetError> {
        let path = self.find(folder, name)?;
        let bytes = fs::read(&path).map_err(|source| DatasetError::Read { path: path.clone(), source })?;
        let text = String::from_utf8(bytes).map_err(|_| self.broken(&path, "it is no text"))?;
        Ok(List { official: self, path, text })
    }

    /// Refuses a list that names pictures which are not there: a partial copy needs partial lists.
    ///
    /// # Errors
    /// With the first such picture.
    pub(super) fn ensure_pictures(&self, list: &Path, sides: &Sides<PictureFile>) -> Result<(), DatasetError> {
        let pictures = || sides.train.iter().chain(&sides.test).flat_map(|class| &class.pictures);
        let mut missing = pictures().filter(|picture| !picture.path.is_file());
        let Some(first) = missing.next() else { return Ok(()) };
        let (count, all) = (1 + missing.count(), pictures().count());
        let first = first.path.display();
        Err(self.broken(list, format!("it lists {all} pictures of which {count} are not there, the first \"{first}\"")))
    }

    /// What to know before numbers are compared: that this copy is not the published whole.
    pub(super) fn notes(&self, sides: &Sides<PictureFile>) -> Vec<String> {
        let found = [Size::of(&sides.train), Size::of(&sides.test)];
        if found == [self.train, self.test] {
            return Vec::new();
        }
        let tell = |[train, test]: [Size; 2]| {
            format!(
                "{} pictures of {} classes to train and {} of {} to test",
                train.pictures, train.classes, test.pictures, test.classes
            )
        };
        vec![format!(
            "{} has {}, and this copy {}: numbers are not comparable with published ones; the whole is at {}",
            self.title,
            tell([self.train, self.test]),
            tell(found),
            self.download
        )]
    }
}

impl Size {
    fn of(side: &[Class<PictureFile>]) -> Self {
        Self { pictures: side.iter().map(|class| class.pictures.len()).sum(), classes: side.len() }
    }
}

/// A list with one picture, or one fact about one, a line.
pub(super) struct List<'a> {
    official: &'a Official,
    pub(super) path: PathBuf,
    text: String,
}

impl List<'_> {
    /// The lines after `header` lines, each taken apart at its first N − 1 spaces, with its number from 1.
    ///
    /// # Errors
    /// If a line has fewer columns; `columns` says in the message what a line should be.
    pub(super) fn rows<const N: usize>(
        &self,
        header: usize,
        columns: &str,
    ) -> Result<Vec<(usize, [&str; N])>, DatasetError> {
        let mut rows = Vec::new();
        for (number, line) in (1..).zip(self.text.lines()).skip(header) {
            let mut parts = line.trim_end().splitn(N, ' ').map(str::trim);
            let row: [&str; N] = std::array::from_fn(|_| parts.next().unwrap_or_default());
            if row.iter().any(|column| column.is_empty()) {
                let problem = format!("line {number} is \"{line}\" and must be {columns}; it may have been cut short");
                return Err(self.official.broken(&self.path, problem));
            }
            rows.push((number, row));
        }
        if rows.is_empty() {
            return Err(self.official.broken(&self.path, "it lists nothing"));
        }
        Ok(rows)
    }

    /// A number of a line, within `range`.
    ///
    /// # Errors
    /// If it is something else.
    pub(super) fn number(
        &self,
        (line, text): (usize, &str),
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<u32, DatasetError> {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (first, last) = range.into_inner();
            let problem = format!("line {line} has \"{text}\" where a number from {first} to {last} must be");
            self.official.broken(&self.path, problem)
        })
    }
}

/// Pictures by the number of their class, which `name` names from the number and the first picture.
pub(super) fn by_number(
    pictures: Vec<(u32, PictureFile)>,
    name: impl Fn(u32, &Path) -> String,
) -> BTreeMap<u32, Class<PictureFile>> {
    let mut classes = BTreeMap::new();
    for (number, picture) in pictures {
        let fresh = || Class { name: name(number, &picture.path), pictures: Vec::new() };
        classes.entry(number).or_insert_with(fresh).pictures.push(picture);
    }
    classes
}

/// The zero-shot split: classes up to this number train, those after it test.
pub(super) fn split_after(last: u32, mut classes: BTreeMap<u32, Class<PictureFile>>) -> Sides<PictureFile> {
    let test = classes.split_off(&(last + 1));
    Sides { train: classes.into_values().collect(), test: test.into_values().collect() }
}
