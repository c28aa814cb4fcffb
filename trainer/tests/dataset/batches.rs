//! The batches of a run: the same to the bit however they are prepared.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device};
use holdfast_model::InputShape;
use holdfast_trainer::batches::Batches;
use holdfast_trainer::config::{DataConfig, TrainConfig};
use holdfast_trainer::dataset::{self, Dataset, Framing, Pixels};
use image::{Rgb, RgbImage};
use rayon::ThreadPoolBuilder;
use tempfile::TempDir;

const INPUT: InputShape = InputShape { channels: 3, height: 14, width: 21 };

/// Eight classes, four to train, of as many pictures as asked for, each picture its own gradient of colours.
fn photographs(each: u8) -> TempDir {
    let folder = TempDir::new().unwrap();
    for class in 0..8_u8 {
        let class_folder = folder.path().join(format!("class-{class}"));
        fs::create_dir(&class_folder).unwrap();
        for number in 0..each {
            let colour = |x: u32, y: u32| Rgb([(x * 6) as u8, (y * 9) as u8, class * 30 + number]);
            RgbImage::from_fn(40, 25, colour).save(class_folder.join(format!("{number}.png"))).unwrap();
        }
    }
    folder
}

fn load(folder: &Path, framing: Framing, memory_mib: usize) -> Dataset {
    let data = DataConfig { path: Some(folder.into()), framing: Some(framing), memory_mib, ..DataConfig::default() };
    dataset::load(&data, INPUT, &|_, _| {}).unwrap().train
}

fn config(seed: u64, pairs: usize, prefetch: usize) -> TrainConfig {
    TrainConfig { seed, pairs, data: DataConfig { prefetch, ..DataConfig::default() }, ..TrainConfig::default() }
}

/// Pixels and labels of one batch.
type Taken = (Vec<f32>, Vec<u32>);

fn take(batches: &mut Batches) -> Result<Taken, String> {
    let batch = batches.next_batch(&Device::Cpu, DType::F32).map_err(|error| error.to_string())?;
    Ok((batch.pixels().flatten_all().unwrap().to_vec1().unwrap(), batch.labels().to_vec()))
}

fn run(dataset: &Dataset, config: &TrainConfig, steps: usize) -> Vec<Taken> {
    let mut batches = Batches::starting_at(1, dataset, config);
    (0..steps).map(|_| take(&mut batches).unwrap()).collect()
}

#[test]
fn batches_are_the_same_however_many_are_prepared_ahead_and_wherever_the_pixels_are() {
    let folder = photographs(3);
    let (kept, in_files) = (load(folder.path(), Framing::Crop, 64), load(folder.path(), Framing::Crop, 0));
    assert!(matches!((&kept.pixels, &in_files.pixels), (Pixels::Kept(_), Pixels::InFiles { .. })));

    // 12 pictures in batches of 5 pairs: two epochs and a half.
    let expected = run(&kept, &config(1, 5, 0), 7);

    for dataset in [&kept, &in_files] {
        for depth in [0, 1, 4] {
            assert!(run(dataset, &config(1, 5, depth), 7) == expected, "{depth} ahead differ");
        }
    }
    assert!(run(&kept, &config(2, 5, 4), 7) != expected, "the seed has no effect");
    assert_eq!(expected.iter().map(|(_, labels)| labels.len()).collect::<Vec<_>>(), [10, 10, 4, 10, 10, 4, 10]);
}

#[test]
fn batches_are_the_same_on_any_number_of_threads() {
    let folder = photographs(3);
    let dataset = load(folder.path(), Framing::Crop, 0);
    let on = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| run(&dataset, &config(1, 5, 0), 4))
    };

    assert!(on(1) == on(3));
}

#[test]
fn a_run_can_start_at_any_step_without_the_pictures_of_the_steps_before() {
    let folder = photographs(1);
    let dataset = load(folder.path(), Framing::Crop, 0);
    let expected = run(&dataset, &config(1, 1, 0), 4);
    // One picture a class and one pair a step: each step has a file of its own. Only the third's is left.
    let third = expected[2].1[0];
    for (file, &label) in dataset.files.iter().zip(&dataset.labels) {
        if label != third {
            fs::remove_file(file).unwrap();
        }
    }

    for depth in [0, 2] {
        let mut resumed = Batches::starting_at(3, &dataset, &config(1, 1, depth));
        assert!(take(&mut resumed).unwrap() == expected[2], "the third batch differs, {depth} ahead");
        assert!(take(&mut resumed).is_err());
    }
}

#[test]
fn a_picture_that_cannot_be_read_is_named_at_its_step_and_the_next_step_is_untouched() {
    let folder = photographs(1);
    let dataset = load(folder.path(), Framing::Crop, 0);
    let expected = run(&dataset, &config(1, 1, 0), 3);
    let second = expected[1].1[0];
    let file = &dataset.files[dataset.labels.iter().position(|&label| label == second).unwrap()];
    let whole = fs::read(file).unwrap();
    fs::write(file, &whole[..whole.len() / 2]).unwrap();

    for depth in [0, 1, 4] {
        let mut batches = Batches::starting_at(1, &dataset, &config(1, 1, depth));
        assert!(take(&mut batches).unwrap() == expected[0]);
        let message = take(&mut batches).unwrap_err();
        assert!(message.contains(&file.display().to_string()) && message.contains("replace or remove"), "{message}");
        assert!(take(&mut batches).unwrap() == expected[2]);
    }
}

#[test]
fn the_partner_of_a_picture_alone_in_its_class_is_the_picture_itself_through_another_window() {
    let folder = photographs(1);
    let (cropped, whole) = (load(folder.path(), Framing::Crop, 64), load(folder.path(), Framing::Whole, 64));
    let halves = |dataset: &Dataset, seed| {
        let (pixels, labels) = run(dataset, &config(seed, 1, 0), 1).remove(0);
        assert_eq!(labels[0], labels[1]);
        (pixels[..INPUT.len()].to_vec(), pixels[INPUT.len()..].to_vec())
    };

    let (anchor, partner) = halves(&whole, 1);
    assert!(anchor == partner);
    // 3 × 4 windows, mirrored or not: one pair in 24 is the same by chance, two pairs hardly are.
    assert!((1..=2).any(|seed| {
        let (anchor, partner) = halves(&cropped, seed);
        anchor != partner
    }));
}

#[test]
fn tests_see_the_middle_of_a_picture_and_training_windows_of_the_same() {
    let folder = photographs(2);
    let dataset = load(folder.path(), Framing::Crop, 64);
    let Pixels::Kept(pixels) = &dataset.pixels else { panic!("so few pictures are kept") };

    // 8/7 of 14 × 21 is 16 × 24: one row above and one column and a half left of the middle.
    let middle = dataset.picture(0).unwrap();

    let expected: Vec<u8> =
        (0..3 * 14 * 21).map(|at| pixels[at / (14 * 21) * 16 * 24 + (at / 21 % 14 + 1) * 24 + at % 21 + 1]).collect();
    assert_eq!(middle, expected);
}
