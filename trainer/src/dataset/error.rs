//! What can go wrong while a data set is loaded.

use std::io;
use std::path::PathBuf;

use holdfast_model::InputShape;
use holdfast_model::pixels::PixelsError;

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Nothing is there.
    #[error("there is no data at \"{}\": it does not exist; check the path", path.display())]
    Missing {
        /// The path asked for.
        path: PathBuf,
    },

    /// A format that reads files was asked for without a place to read from.
    #[error("the data has a format that reads a folder, and no path; give the path of that folder")]
    NoPath,

    /// A folder of no known format.
    #[error(
        "\"{}\" is no data set that is known; looked for: {looked_for}{hint}", path.display()
    )]
    Unrecognised {
        /// The folder.
        path: PathBuf,
        /// What would have been recognised.
        looked_for: String,
        /// What may have been meant, or nothing.
        hint: String,
    },

    /// A format that does not exist.
    #[error("the data format \"{name}\" is not known; known: {known}")]
    UnknownFormat {
        /// The format asked for.
        name: String,
        /// All there are.
        known: String,
    },

    /// A file of a published data set is not there.
    #[error(
        "looked for {looked_for} in \"{}\" and did not find it; {title} can be had at {download}", folder.display()
    )]
    MissingFile {
        /// What people call the data set.
        title: &'static str,
        /// The names of the file.
        looked_for: String,
        /// Where it should be.
        folder: PathBuf,
        /// Where the data set can be had.
        download: &'static str,
    },

    /// A file of a published data set is damaged or is something else.
    #[error(
        "\"{}\" is not usable as a file of {title}: {problem}; the official files are at {download}", path.display()
    )]
    BrokenFile {
        /// What people call the data set.
        title: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// Where the data set can be had.
        download: &'static str,
    },

    /// A manifest contradicts itself or what is there.
    #[error("the manifest \"{}\" cannot be used: {problem}; correct the line and try again", path.display())]
    BrokenManifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// idx pictures are taken as they are, and the net wants others.
    #[error(
        "the pictures in \"{}\" are (1, {height}, {width}) and the net takes ({expected}): idx pictures are not \
         resized, so choose a backbone with that input, such as c2f2 for 28 x 28 grey pictures", path.display()
    )]
    InputMismatch {
        /// The data folder.
        path: PathBuf,
        /// Rows of a picture.
        height: usize,
        /// Columns of a picture.
        width: usize,
        /// What the net takes.
        expected: InputShape,
    },

    /// A side of the class-disjoint split would have nothing to tell apart.
    #[error(
        "{place} has {classes} classes with at least one readable picture, of which {train} would train and {test} \
         would test: both need at least 2; add classes or change the split"
    )]
    TooFewClasses {
        /// Which data set.
        place: String,
        /// All usable classes.
        classes: usize,
        /// Classes on the training side.
        train: usize,
        /// Classes on the test side.
        test: usize,
    },

    /// A toy shop with more classes than it has looks.
    #[error("the toy shop can draw {most} different classes, and {classes} were asked for")]
    TooManyClasses {
        /// Classes asked for.
        classes: usize,
        /// Classes there are.
        most: usize,
    },

    /// The operating system refused.
    #[error("cannot read \"{}\"", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A picture that cannot be decoded.
    #[error("cannot use the picture \"{}\"; replace or remove it", path.display())]
    Picture {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PixelsError,
    },

    /// The net takes pictures that cannot be made from a picture file.
    #[error(transparent)]
    Pixels(#[from] PixelsError),
}
