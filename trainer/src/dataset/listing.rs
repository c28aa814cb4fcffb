//! From the picture files that a format found to data sets: what is decoded now, and what when it is needed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::assemble::{Class, Ordered, Sides, ensure_two, interleave};
use super::set::decode_file;
use super::{Dataset, DatasetError, Pixels, Request, Skipped, Splits};

/// The picture files of a data set by side and class; none of them was opened yet.
pub(super) struct Listing {
    /// What people call the data.
    pub(super) name: String,
    /// Where it is, for messages.
    pub(super) place: String,
    pub(super) sides: Sides<PictureFile>,
    /// What people should know before they compare numbers.
    pub(super) notes: Vec<String>,
}

/// A picture that was listed.
pub(super) struct PictureFile {
    pub(super) path: PathBuf,
    /// Whether it only searches, in data that tells queries and gallery apart.
    pub(super) query: bool,
}

impl PictureFile {
    /// A picture that searches and is searched.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, query: false }
    }
}

impl Listing {
    /// Reads all files in parallel, and keeps the pictures, resized, if all of them fit into `data.memory_mib`.
    ///
    /// A file that cannot be used is left out and told in [`Splits::skipped`], and a class without pictures vanishes. Of
    /// pictures that are not kept only the bytes are read here, for their checksum: a damaged one is found when it is
    /// needed.
    ///
    /// # Errors
    /// If fewer than 2 classes are left on one side.
    pub(super) fn read(self, request: &Request<'_>) -> Result<Splits, DatasetError> {
        let Self { name, place, sides: Sides { train, test }, notes } = self;
        ensure_two(&place, train.len(), test.len())?;
        let count = |classes: &[Class<PictureFile>]| classes.iter().map(|class| class.pictures.len()).sum::<usize>();
        let all = count(&train) + count(&test);
        let bytes = all.saturating_mul(request.framing.resized(request.input).len());
        let reader = Reader { request, all, done: AtomicUsize::new(0), keep: bytes >> 20 < request.data.memory_mib };
        let mut skipped = Vec::new();
        let train = reader.side(&name, train, &mut skipped);
        let test = reader.side(&name, test, &mut skipped);
        ensure_two(&place, train.classes.len(), test.classes.len())?;
        Ok(Splits { train, test, skipped, notes })
    }
}

/// Reads the files of both sides.
struct Reader<'a> {
    request: &'a Request<'a>,
    all: usize,
    done: AtomicUsize,
    keep: bool,
}

impl Reader<'_> {
    fn side(&self, name: &str, classes: Vec<Class<PictureFile>>, skipped: &mut Vec<Skipped>) -> Dataset {
        let ordered = interleave(classes);
        let (pixels, broken) = if self.keep {
            let (pictures, broken) = self.usable(&ordered, |path| {
                decode_file(path, self.request.framing.resized(self.request.input), &self.request.data.limits)
            });
            (Pixels::Kept(Arc::new(pictures.concat())), broken)
        } else {
            let (checksums, broken) = self.usable(&ordered, checksum);
            (Pixels::InFiles { limits: self.request.data.limits, checksums: Arc::new(checksums) }, broken)
        };
        let left_out: BTreeSet<usize> = broken.iter().map(|(picture, _)| *picture).collect();
        skipped.extend(broken.into_iter().map(|(_, skipped)| skipped));
        self.dataset(name, pixels, without(ordered, &left_out))
    }

    /// What `look` makes of each file, without those that it refuses, and which those are.
    fn usable<T: Send>(
        &self,
        ordered: &Ordered<PictureFile>,
        look: impl Fn(&Path) -> Result<T, DatasetError> + Sync,
    ) -> (Vec<T>, Vec<(usize, Skipped)>) {
        let looked: Vec<Result<T, DatasetError>> = (ordered.pictures.par_iter())
            .map(|file| {
                let outcome = look(&file.path);
                (self.request.observe)(self.done.fetch_add(1, Ordering::Relaxed) + 1, self.all);
                outcome
            })
            .collect();
        let (mut usable, mut broken) = (Vec::new(), Vec::new());
        for (picture, outcome) in looked.into_iter().enumerate() {
            match outcome {
                Ok(value) => usable.push(value),
                Err(error) => broken.push((picture, Skipped::new(&ordered.pictures[picture].path, &error))),
            }
        }
        (usable, broken)
    }

    fn dataset(&self, name: &str, pixels: Pixels, ordered: Ordered<PictureFile>) -> Dataset {
        let queries = (ordered.pictures.iter().enumerate()).filter(|(_, file)| file.query).map(|(i, _)| i).collect();
        Dataset {
            name: name.to_owned(),
            input: self.request.input,
            framing: self.request.framing,
            pixels,
            labels: ordered.labels,
            classes: ordered.classes,
            files: ordered.pictures.into_iter().map(|file| file.path).collect(),
            queries,
        }
    }
}

fn checksum(path: &Path) -> Result<[u8; 32], DatasetError> {
    let bytes = fs::read(path).map_err(|source| DatasetError::Read { path: path.into(), source })?;
    Ok(Sha256::digest(&bytes).into())
}

/// The same without some pictures, and without the classes that have none then.
fn without<P>(ordered: Ordered<P>, left_out: &BTreeSet<usize>) -> Ordered<P> {
    if left_out.is_empty() {
        return ordered;
    }
    let Ordered { classes, labels, pictures } = ordered;
    let kept = |picture: usize| !left_out.contains(&picture);
    let labels: Vec<u32> = (labels.into_iter().enumerate()).filter(|(i, _)| kept(*i)).map(|(_, label)| label).collect();
    let pictures = (pictures.into_iter().enumerate()).filter(|(i, _)| kept(*i)).map(|(_, picture)| picture).collect();
    let used: BTreeSet<u32> = labels.iter().copied().collect();
    let mut numbers = vec![0; classes.len()];
    for (number, &label) in (0..).zip(&used) {
        numbers[label as usize] = number;
    }
    Ordered {
        classes: used.iter().map(|&label| classes[label as usize].clone()).collect(),
        labels: labels.into_iter().map(|label| numbers[label as usize]).collect(),
        pictures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_pictures_vanishes_and_the_others_are_numbered_anew() {
        let ordered = Ordered {
            classes: ["ant", "bee", "cup"].map(str::to_owned).to_vec(),
            labels: vec![0, 1, 2, 0, 2],
            pictures: vec!['a', 'b', 'c', 'd', 'e'],
        };

        let left = without(ordered, &BTreeSet::from([1, 3]));

        assert_eq!(left.classes, ["ant", "cup"]);
        assert_eq!((left.labels, left.pictures), (vec![0, 1, 1], vec!['a', 'c', 'e']));
    }
}
