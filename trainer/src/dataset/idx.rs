//! idx files: the format of MNIST and Fashion-MNIST, gzipped or not.
//!
//! An idx file of bytes starts with 0, 0, 8 (unsigned bytes) and its number of dimensions, then each dimension as a
//! 32-bit big-endian number, then the values. Source: <http://yann.lecun.com/exdb/mnist>, "THE IDX FILE FORMAT".

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use holdfast_model::InputShape;

use super::{Dataset, DatasetError, Format, Request, Splits, hexadecimal_sha256};

const TITLE: &str = "Fashion-MNIST";
const DOWNLOAD: &str = "https://github.com/zalandoresearch/fashion-mnist (folder data/fashion)";

const TRAIN_PICTURES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_PICTURES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// The checksum of Fashion-MNIST's training labels without their header: by it the data set is told from other idx data, whose labels are
/// just numbers.
const FASHION_MNIST_LABELS: &str = "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7";
const FASHION_MNIST_CLASSES: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"];

/// The four official files of a folder: train-* trains, t10k-* tests, both with the same classes.
pub(super) struct IdxFiles;

impl Format for IdxFiles {
    fn name(&self) -> &'static str {
        "fashion_mnist"
    }

    fn looks_for(&self) -> &'static str {
        "Fashion-MNIST's idx files (train-images-idx3-ubyte or .gz)"
    }

    fn is_here(&self, path: &Path) -> bool {
        find(path, TRAIN_PICTURES).is_ok()
    }

    fn load(&self, folder: &Path, request: &Request<'_>) -> Result<Splits, DatasetError> {
        let train = read_split(folder, request.input, TRAIN_PICTURES, TRAIN_LABELS)?;
        let test = read_split(folder, request.input, TEST_PICTURES, TEST_LABELS)?;
        let labels = train.labels.iter().chain(&test.labels);
        let count = labels.max().map_or(0, |&last| usize::from(last) + 1);
        let (name, classes) = if train.labels_sha256 == FASHION_MNIST_LABELS && count == FASHION_MNIST_CLASSES.len() {
            ("fashion-mnist", FASHION_MNIST_CLASSES.map(str::to_owned).to_vec())
        } else {
            ("idx", (0..count).map(|class| class.to_string()).collect())
        };
        let dataset = |half: Half| {
            let labels = half.labels.into_iter().map(u32::from).collect();
            Dataset::kept(name, request.input, half.pixels, labels, classes.clone())
        };
        Ok(Splits { train: dataset(train), test: dataset(test), skipped: Vec::new(), notes: Vec::new() })
    }

    fn natural_input(&self, folder: &Path) -> Result<InputShape, DatasetError> {
        let path = find(folder, TEST_PICTURES)?;
        let [_, height, width] = parse::<3>(&path, read(&path)?)?.dimensions;
        Ok(InputShape { channels: 1, height, width })
    }
}

fn broken(path: &Path, problem: String) -> DatasetError {
    DatasetError::BrokenFile { title: TITLE, path: path.into(), problem, download: DOWNLOAD }
}

struct Half {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    labels_sha256: String,
}

fn read_split(
    folder: &Path,
    input: InputShape,
    pictures_name: &'static str,
    labels_name: &'static str,
) -> Result<Half, DatasetError> {
    let pictures_path = find(folder, pictures_name)?;
    let labels_path = find(folder, labels_name)?;
    let labels = parse(&labels_path, read(&labels_path)?)?;
    let ([count], labels_sha256, labels) = (labels.dimensions, labels.sha256, labels.values);
    let pictures = parse::<3>(&pictures_path, read(&pictures_path)?)?;
    let [pictures_count, height, width] = pictures.dimensions;
    if pictures_count != count {
        let problem = format!("it holds {pictures_count} pictures, and \"{}\" {count} labels", labels_path.display());
        return Err(broken(&pictures_path, problem));
    }
    if count == 0 {
        return Err(broken(&pictures_path, "it holds no picture".into()));
    }
    if (input.channels, input.height, input.width) != (1, height, width) {
        return Err(DatasetError::InputMismatch { path: folder.into(), height, width, expected: input });
    }
    Ok(Half { pixels: pictures.values, labels, labels_sha256 })
}

/// The file of that name, gzipped or not.
fn find(folder: &Path, name: &'static str) -> Result<PathBuf, DatasetError> {
    let candidates = [folder.join(name), folder.join(format!("{name}.gz"))];
    let found = candidates.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| DatasetError::MissingFile {
        title: TITLE,
        looked_for: format!("\"{name}\" or \"{name}.gz\""),
        folder: folder.into(),
        download: DOWNLOAD,
    })
}

/// The bytes of a file, unzipped if its name says so.
fn read(path: &Path) -> Result<Vec<u8>, DatasetError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|source| DatasetError::Read { path: path.into(), source })?;
    let gzipped = path.extension().is_some_and(|extension| extension == "gz");
    let outcome = if gzipped { GzDecoder::new(file).read_to_end(&mut bytes) } else { (&file).read_to_end(&mut bytes) };
    match outcome {
        Ok(_) => Ok(bytes),
        // What gzip complains about is the content: cut short, or not gzip at all.
        Err(error) if gzipped => {
            let problem = format!("it cannot be unzipped ({error}); it may have been cut short");
            Err(broken(path, problem))
        }
        Err(source) => Err(DatasetError::Read { path: path.into(), source }),
    }
}

struct Idx<const D: usize> {
    dimensions: [usize; D],
    values: Vec<u8>,
    /// Over the values, without the header.
    sha256: String,
}

/// Takes an idx file of bytes with `D` dimensions apart.
fn parse<const D: usize>(path: &Path, mut bytes: Vec<u8>) -> Result<Idx<D>, DatasetError> {
    let broken = |problem| broken(path, problem);
    let header = 4 + 4 * D;
    if bytes.len() < header {
        return Err(broken(format!("it has {} bytes, fewer than its header of {header}", bytes.len())));
    }
    let (magic, expected) = (&bytes[..4], [0, 0, 8, D as u8]);
    if magic != expected {
        return Err(broken(format!("it starts with {magic:?}, not with {expected:?}")));
    }
    let dimension = |i: usize| {
        let at = 4 + 4 * i;
        bytes[at..at + 4].iter().fold(0, |number, &byte| number << 8 | usize::from(byte))
    };
    let dimensions: [usize; D] = std::array::from_fn(dimension);
    // 32-bit numbers: three of them multiplied can exceed usize.
    let expected = dimensions.iter().map(|&size| size as u128).product::<u128>();
    let found = bytes.len() - header;
    if expected != found as u128 {
        let (end, sizes) = if expected > found as u128 { ("cut short", dimensions) } else { ("too long", dimensions) };
        return Err(broken(format!("it is {end}: {sizes:?} makes {expected} bytes after the header, found {found}")));
    }
    bytes.drain(..header);
    Ok(Idx { dimensions, sha256: hexadecimal_sha256(&[&bytes]), values: bytes })
}
