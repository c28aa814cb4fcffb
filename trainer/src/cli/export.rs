//! `holdfast-trainer export`: pictures as files, for people and for a server's gallery.

use std::fs::{self, Permissions};
use std::io::{Cursor, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use holdfast_model::atomic;
use holdfast_model::pixels::{DecodeLimits, decode};
use holdfast_trainer::config::DataConfig;
use holdfast_trainer::dataset::{self, Dataset, contact_sheet};
use image::{DynamicImage, ImageFormat};
use rayon::prelude::*;

use super::data::{self, DataArguments};
use super::selection::{Selection, Sizes, select};
use super::{Ending, Screen};

/// Write pictures as PNG files: gallery/<class>/, canary/<class>/ and queries/<class>/.
///
/// No picture is in two of the folders, and each takes the classes in turn. Pictures of an image folder keep their size.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  Pictures of the toy shop for a demonstration:
    holdfast-trainer export --split test --out shop --gallery 600 --canary 96 --queries 32
  Only a contact sheet, to look at:
    holdfast-trainer export --sheet sheet.png")]
pub struct Arguments {
    #[command(flatten)]
    data: DataArguments,

    /// Which pictures: those that test (classes not seen in training, or the official test files), or those that train.
    #[arg(long, value_enum, default_value_t = Split::Test)]
    split: Split,

    /// Folder to write; it must not exist or be empty.
    #[arg(long, value_name = "DIR", required_unless_present = "sheet")]
    out: Option<PathBuf>,

    /// Pictures to search in.
    #[arg(long, value_name = "N", default_value_t = 500)]
    gallery: usize,

    /// Labelled pictures that a server attacks to watch itself.
    #[arg(long, value_name = "N", default_value_t = 64)]
    canary: usize,

    /// Pictures to search by.
    #[arg(long, value_name = "N", default_value_t = 32)]
    queries: usize,

    /// Decides which pictures are drawn.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Write a contact sheet of the first pictures of each class.
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Split {
    Train,
    Test,
}

/// Loads the pictures and writes those drawn.
///
/// # Errors
/// If the data cannot be used, has too few pictures, or the output folder is in use or not writable.
pub fn run(arguments: &Arguments, screen: &mut Screen) -> anyhow::Result<Ending> {
    if let Some(out) = &arguments.out {
        ensure_free(out)?;
    }
    let config = arguments.data.resolve(DataConfig::default())?;
    let splits = data::load(&config, dataset::natural_input(&config)?)?;
    let dataset = if arguments.split == Split::Train { splits.train } else { splits.test };
    if let Some(file) = &arguments.sheet {
        write_sheet(&dataset, file)?;
        writeln!(screen, "a contact sheet is in {}", file.display())?;
    }
    if let Some(out) = &arguments.out {
        let sizes = Sizes { gallery: arguments.gallery, canary: arguments.canary, queries: arguments.queries };
        write_folder(&dataset, &config.limits, &select(&dataset, sizes, arguments.seed)?, out)?;
        let Sizes { gallery, canary, queries } = sizes;
        writeln!(screen, "{gallery} gallery, {canary} canary and {queries} query pictures are in {}", out.display())?;
    }
    Ok(Ending::Done)
}

fn ensure_free(out: &Path) -> anyhow::Result<()> {
    let entries = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("cannot write to {}", out.display())),
    };
    ensure!(!entries, "{} is not empty, and pictures would mix; choose a new folder or empty it", out.display());
    Ok(())
}

/// Writes all pictures beside `out` and moves them there at once, so that a half-written folder never looks whole.
fn write_folder(dataset: &Dataset, limits: &DecodeLimits, selection: &Selection, out: &Path) -> anyhow::Result<()> {
    let refused = || format!("cannot write to {}", out.display());
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(refused)?;
    // Temporary folders are private; this one is for everybody whom the umask lets in.
    let permissions = Permissions::from_mode(0o777);
    let staged = tempfile::Builder::new().prefix(".export-").permissions(permissions).tempdir_in(parent);
    let staged = staged.with_context(refused)?;
    let uses = [("gallery", &selection.gallery), ("canary", &selection.canary), ("queries", &selection.queries)];
    for (name, pictures) in uses {
        fs::create_dir(staged.path().join(name)).with_context(refused)?;
        pictures.par_iter().try_for_each(|&index| {
            let class = &dataset.classes[dataset.labels[index] as usize];
            let folder = staged.path().join(name).join(class);
            fs::create_dir_all(&folder)?;
            picture(dataset, index, limits)?
                .save_with_format(folder.join(format!("{index:05}.png")), ImageFormat::Png)?;
            anyhow::Ok(())
        })?;
    }
    fs::rename(staged.keep(), out).with_context(refused)
}

/// The picture as its file has it, or else as the data set has it.
fn picture(dataset: &Dataset, index: usize, limits: &DecodeLimits) -> anyhow::Result<DynamicImage> {
    let Some(file) = dataset.files.get(index) else { return Ok(dataset.image(index)?) };
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let picture = decode(&bytes, limits).with_context(|| format!("in {}", file.display()))?;
    Ok(DynamicImage::ImageRgb8(picture.to_rgb8()))
}

/// At most 32 classes, eight pictures each, two classes a row.
fn write_sheet(dataset: &Dataset, file: &Path) -> anyhow::Result<()> {
    const CLASSES: usize = 32;
    const PICTURES: usize = 8;
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); dataset.classes.len().min(CLASSES)];
    for (index, &label) in dataset.labels.iter().enumerate() {
        match rows.get_mut(label as usize) {
            Some(row) if row.len() < PICTURES => row.push(index),
            _ => {}
        }
    }
    let picture = |index| dataset.image(index).map(|picture| picture.to_rgb8());
    let pictures: Vec<_> = rows.concat().into_iter().map(picture).collect::<Result<_, _>>()?;
    if pictures.is_empty() {
        bail!("there is no picture to put on a sheet");
    }
    let mut png = Cursor::new(Vec::new());
    contact_sheet(&pictures, 2 * PICTURES).write_to(&mut png, ImageFormat::Png)?;
    atomic::write(file, png.get_ref()).with_context(|| format!("cannot write {}", file.display()))
}
