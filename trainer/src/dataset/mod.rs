//! Data sets: pictures with labels, from files in one of the [known formats](formats), or drawn by the toy shop.
//!
//! A format is a file here and a line in `FORMATS`.

mod assemble;
mod cars;
mod cub;
mod error;
mod folder;
mod framing;
mod grocery;
mod idx;
mod listing;
mod manifest;
mod mat;
mod official;
mod online_products;
mod set;
mod sheet;
mod table;
pub mod toy_shop;

use std::error::Error as _;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holdfast_model::InputShape;
use sha2::{Digest, Sha256};

use crate::config::DataConfig;
pub use error::DatasetError;
pub use framing::{Framing, Window};
pub(crate) use set::tensor;
pub use set::{Dataset, Pixels};
pub use sheet::contact_sheet;

/// Told how far loading has come: pictures done, pictures in all. Called from several threads.
pub type Observe<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// A data set for training and one for judging the result.
#[derive(Clone, Debug)]
pub struct Splits {
    /// What the net learns from.
    pub train: Dataset,
    /// What it is tested on: gallery and queries.
    pub test: Dataset,
    /// Picture files that could not be used.
    pub skipped: Vec<Skipped>,
    /// What people should know before they compare numbers, such as that pictures are missing.
    pub notes: Vec<String>,
}

/// A picture file that could not be used.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl Skipped {
    fn new(path: &Path, error: &DatasetError) -> Self {
        // The file is named already; what is of interest is why.
        let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        Self { path: path.into(), reason }
    }
}

/// How a data set can be stored.
trait Format: Sync {
    /// The name in configs.
    fn name(&self) -> &'static str;

    /// What makes a place look like one, for people whose data was not recognised.
    fn looks_for(&self) -> &'static str;

    /// Whether `path` looks like such a data set, complete or not.
    fn is_here(&self, path: &Path) -> bool;

    /// Loads both splits.
    ///
    /// # Errors
    /// If something is missing, damaged, or does not fit the request.
    fn load(&self, path: &Path, request: &Request<'_>) -> Result<Splits, DatasetError>;

    /// The shape of the pictures for those who want them for their own sake, not for a net.
    ///
    /// # Errors
    /// If the files have to be read for that and cannot be.
    fn natural_input(&self, _path: &Path) -> Result<InputShape, DatasetError> {
        Ok(InputShape { channels: 3, height: 64, width: 64 })
    }
}

/// All formats of files; the first that is here is meant by `"auto"`, so that the most particular come first.
static FORMATS: &[&dyn Format] = &[
    &idx::IdxFiles,
    &cub::Cub200,
    &cars::Cars196,
    &online_products::StanfordOnlineProducts,
    &grocery::GroceryStore,
    &manifest::Manifest,
    &folder::Folder,
];

/// What is asked of a format.
struct Request<'a> {
    /// The shape that the net takes.
    input: InputShape,
    /// Which part of a picture that is.
    framing: Framing,
    data: &'a DataConfig,
    observe: Observe<'a>,
}

/// The names that `data.format` can have.
#[must_use]
pub fn formats() -> Vec<&'static str> {
    [AUTO, TOY_SHOP].into_iter().chain(FORMATS.iter().map(|format| format.name())).collect()
}

/// Whatever `path` looks like; the toy shop without one.
pub(crate) const AUTO: &str = "auto";
/// The toy shop, which needs no path.
pub(crate) const TOY_SHOP: &str = "toy_shop";

/// Loads the data that a configuration names, in the shape that a net takes. `observe` hears of each picture, where
/// loading takes time.
///
/// # Errors
/// Any [`DatasetError`]: nothing there, nothing known, damaged files, too few classes, pictures of the wrong shape.
pub fn load(data: &DataConfig, input: InputShape, observe: Observe<'_>) -> Result<Splits, DatasetError> {
    let framing = data.framing.unwrap_or_else(|| Framing::usual(input));
    let request = Request { input, framing, data, observe };
    match found(data)? {
        Some((format, path)) => format.load(path, &request),
        None => toy_shop::load(&request),
    }
}

/// The shape of the data's pictures for those who want them for their own sake, not for a net: idx pictures as they are,
/// all others 64 × 64 RGB.
///
/// # Errors
/// If there is no such data, or it is idx files that cannot be read.
pub fn natural_input(data: &DataConfig) -> Result<InputShape, DatasetError> {
    match found(data)? {
        Some((format, path)) => format.natural_input(path),
        None => Ok(InputShape { channels: 3, height: 64, width: 64 }),
    }
}

/// The format and place of the data; none for the toy shop.
fn found(data: &DataConfig) -> Result<Option<(&'static dyn Format, &Path)>, DatasetError> {
    let path = match (data.format.as_str(), data.path.as_deref()) {
        (TOY_SHOP, _) | (AUTO, None) => return Ok(None),
        (_, Some(path)) if path.exists() => path,
        (_, Some(path)) => return Err(DatasetError::Missing { path: path.into() }),
        (_, None) => return Err(DatasetError::NoPath),
    };
    let format = if data.format == AUTO {
        FORMATS.iter().find(|format| format.is_here(path)).ok_or_else(|| unrecognised(path))?
    } else {
        let unknown = || DatasetError::UnknownFormat { name: data.format.clone(), known: formats().join(", ") };
        FORMATS.iter().find(|format| format.name() == data.format).ok_or_else(unknown)?
    };
    Ok(Some((*format, path)))
}

/// An answer for someone who points at no data, at the folder above it or inside it.
fn unrecognised(path: &Path) -> DatasetError {
    let formats: Vec<&str> = FORMATS.iter().map(|format| format.looks_for()).collect();
    DatasetError::Unrecognised { path: path.into(), looked_for: formats.join("; "), hint: hint(path) }
}

fn hint(folder: &Path) -> String {
    let Ok(children) = folder::entries(folder) else { return String::new() };
    if children.iter().any(|path| folder::is_picture(path)) {
        return "; the pictures lie in the folder itself: they must be in one sub-folder for each class".into();
    }
    let is_data = |path: &&PathBuf| FORMATS.iter().any(|format| format.is_here(path));
    let deeper = children.iter().filter(|path| path.is_dir()).find(is_data);
    deeper.map_or_else(String::new, |path| format!("; did you mean \"{}\"?", path.display()))
}

/// Intensities in [0, 1] as bytes. Exact for what was a byte before.
fn to_bytes(pixels: &[f32]) -> Vec<u8> {
    pixels.iter().map(|&value| (value * 255.0).round() as u8).collect()
}

/// SHA-256 over the concatenated parts.
fn hexadecimal_sha256(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail. This is a bug.");
        text
    })
}
