//! The four files of (Fashion-)MNIST.

use std::fs;
use std::io::Write;

use candle_core::{DType, Device};
use flate2::Compression;
use flate2::write::GzEncoder;
use holdfast_model::{InputShape, testing};
use holdfast_trainer::dataset::Splits;
use tempfile::TempDir;

use crate::{COLOUR, complaint, load};

const GREY: InputShape = InputShape { channels: 1, height: 2, width: 3 };

fn idx(dimensions: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Three training pictures, gzipped, and two test pictures, plain: 2 × 3 pixels that count up.
fn idx_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    let pixels: Vec<u8> = (0..18).collect();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("train-images-idx3-ubyte.gz", &gzipped(&idx(&[3, 2, 3], &pixels)));
    write("train-labels-idx1-ubyte.gz", &gzipped(&idx(&[3], &[1, 0, 1])));
    write("t10k-images-idx3-ubyte", &idx(&[2, 2, 3], &pixels[..12]));
    write("t10k-labels-idx1-ubyte", &idx(&[2], &[2, 0]));
    folder
}

#[test]
fn idx_files_load_gzipped_or_not_in_their_official_split() {
    let folder = idx_folder();

    let Splits { train, test, skipped, .. } = load(folder.path(), GREY).unwrap();

    assert_eq!((train.len(), test.len(), skipped.len()), (3, 2, 0));
    assert_eq!(train.labels, [1, 0, 1]);
    assert_eq!(train.picture(1).unwrap(), [6, 7, 8, 9, 10, 11]);
    assert_eq!(train.classes, ["0", "1", "2"], "both splits have the classes of both");
    assert_eq!(train.classes, test.classes);
}

#[test]
fn a_byte_becomes_exactly_its_255th_in_either_precision() {
    let folder = idx_folder();
    let every_byte: Vec<u8> = (0..=255).chain([0, 0]).collect();
    fs::write(folder.path().join("t10k-images-idx3-ubyte"), idx(&[43, 2, 3], &every_byte)).unwrap();
    fs::write(folder.path().join("t10k-labels-idx1-ubyte"), idx(&[43], &[0; 43])).unwrap();
    let test = load(folder.path(), GREY).unwrap().test;

    let all: Vec<usize> = (0..43).collect();
    let single = test.gather(&all, &Device::Cpu, DType::F32).unwrap();
    let double = test.gather(&all, &Device::Cpu, DType::F64).unwrap();

    assert_eq!(single.dims(), [43, 1, 2, 3]);
    let single: Vec<f32> = single.flatten_all().unwrap().to_vec1().unwrap();
    let double: Vec<f64> = double.flatten_all().unwrap().to_vec1().unwrap();
    for (i, &byte) in every_byte.iter().enumerate() {
        assert_eq!(single[i], f32::from(byte) / 255.0);
        assert_eq!(double[i], f64::from(byte) / 255.0);
    }
}

#[test]
fn a_damaged_idx_file_is_named_with_what_is_wrong_with_it() {
    let mut wrong_type = idx(&[2, 2, 3], &[0; 12]);
    wrong_type[2] = 0x0D;
    let zipped = gzipped(&idx(&[3, 2, 3], &[7; 18]));
    let cases: [(&str, Vec<u8>, &str); 7] = [
        (
            "t10k-images-idx3-ubyte",
            idx(&[2, 2, 3], &[0; 11]),
            "cut short: [2, 2, 3] makes 12 bytes after the header, found 11",
        ),
        ("t10k-images-idx3-ubyte", idx(&[2, 2, 3], &[0; 13]), "too long"),
        ("t10k-images-idx3-ubyte", idx(&[u32::MAX; 3], &[0; 12]), "cut short"),
        ("t10k-images-idx3-ubyte", wrong_type, "starts with [0, 0, 13, 3], not with [0, 0, 8, 3]"),
        ("t10k-images-idx3-ubyte", vec![0, 0], "fewer than its header of 16"),
        ("t10k-labels-idx1-ubyte", idx(&[3], &[0; 3]), "holds 2 pictures, and"),
        ("train-images-idx3-ubyte.gz", zipped[..zipped.len() - 9].to_vec(), "cannot be unzipped"),
    ];
    for (name, bytes, expected) in cases {
        let folder = idx_folder();
        fs::write(folder.path().join(name), bytes).unwrap();

        let message = complaint(folder.path(), GREY);

        assert!(message.contains(expected), "{message}");
        assert!(message.contains("github.com/zalandoresearch/fashion-mnist"), "{message}");
    }
}

#[test]
fn a_missing_idx_file_is_named_with_its_folder_and_the_download() {
    let folder = idx_folder();
    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();

    let message = complaint(folder.path(), GREY);

    let place = folder.path().display().to_string();
    for part in ["t10k-labels-idx1-ubyte", &place, "https://github.com/zalandoresearch/fashion-mnist"] {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
}

#[test]
fn idx_pictures_of_another_shape_than_the_net_takes_are_refused() {
    let message = complaint(idx_folder().path(), COLOUR);

    assert!(message.contains("(1, 2, 3)") && message.contains("(3, 8, 8)"), "{message}");
}

#[test]
fn fashion_mnist_is_recognised_by_its_labels() {
    let Some(shared) = testing::shared_dir() else { return eprintln!("skipped: no shared folder") };
    let folder = shared.join("data/fashion-mnist");
    if !folder.is_dir() {
        return eprintln!("skipped: no {}", folder.display());
    }

    let Splits { train, test, .. } = load(&folder, InputShape { channels: 1, height: 28, width: 28 }).unwrap();

    assert_eq!((train.name.as_str(), train.len(), test.len()), ("fashion-mnist", 60_000, 10_000));
    assert_eq!(train.classes[train.labels[0] as usize], "ankle-boot");
    assert!((0..10).all(|class| train.labels.iter().filter(|&&label| label == class).count() == 6000));
}
