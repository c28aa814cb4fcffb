//! The toy shop: repeatable, balanced, and worth learning from.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

use std::collections::BTreeSet;

use holdfast_model::InputShape;
use holdfast_trainer::config::{DataConfig, ToyShopConfig};
use holdfast_trainer::dataset::{self, Dataset, Splits, toy_shop};

const INPUT: InputShape = InputShape { channels: 3, height: 64, width: 64 };

fn shop(classes: usize, pictures_per_class: usize, seed: u64) -> DataConfig {
    DataConfig { toy_shop: ToyShopConfig { classes, pictures_per_class, seed }, ..DataConfig::default() }
}

fn open(classes: usize, pictures_per_class: usize, seed: u64) -> Splits {
    dataset::load(&shop(classes, pictures_per_class, seed), INPUT, &|_, _| {}).unwrap()
}

fn product(class: &str) -> &str {
    class.split('-').next().unwrap()
}

#[test]
fn a_shop_is_decided_by_its_seed() {
    let [first, again, other] = [1, 1, 2].map(|seed| open(8, 3, seed).train.fingerprint().sha256);

    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn every_picture_is_its_own() {
    let pictures: BTreeSet<Vec<u8>> =
        (0..4).flat_map(|class| (0..6).map(move |number| toy_shop::picture(1, class, number).into_raw())).collect();

    assert_eq!(pictures.len(), 24);
}

#[test]
fn a_larger_shop_contains_the_smaller_one() {
    let small = open(8, 2, 1).train;
    let large = open(16, 5, 1).train;

    for (label, name) in small.classes.iter().enumerate() {
        assert_eq!(name, &large.classes[label]);
    }
    let picture = |set: &Dataset, number: usize| set.picture(number * set.classes.len() + 3).unwrap();
    assert_eq!(picture(&small, 1), picture(&large, 1));
}

#[test]
fn classes_are_balanced_and_no_class_both_trains_and_tests() {
    let Splits { train, test, .. } = open(12, 5, 1);

    for set in [&train, &test] {
        assert_eq!((set.classes.len(), set.len()), (6, 30));
        assert!((0..6).all(|class| set.labels.iter().filter(|&&label| label == class).count() == 5));
    }
    assert!(train.classes.iter().all(|class| !test.classes.contains(class)));
}

#[test]
fn sixty_four_classes_show_every_product_on_both_sides_of_the_split() {
    let Splits { train, test, .. } = open(64, 2, 1);

    let products = |set: &Dataset| set.classes.iter().map(|class| product(class).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!((train.classes.len(), test.classes.len()), (32, 32));
    assert_eq!(products(&train).len(), 16);
    assert_eq!(products(&train), products(&test));
}

#[test]
fn the_mean_colour_does_not_give_a_class_away() {
    let test = open(32, 20, 1).test;
    let mean = |picture: &[u8]| -> Vec<f64> {
        picture.chunks(64 * 64).map(|plane| plane.iter().map(|&byte| f64::from(byte)).sum::<f64>()).collect()
    };
    let means: Vec<Vec<f64>> = (0..test.len()).map(|i| mean(&test.picture(i).unwrap())).collect();

    let distance = |i: usize, j: usize| means[i].iter().zip(&means[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let nearest = |i: usize| {
        let others = (0..test.len()).filter(|&j| j != i);
        others.min_by(|&j, &k| distance(i, j).total_cmp(&distance(i, k))).unwrap()
    };
    let found = (0..test.len()).filter(|&i| test.labels[nearest(i)] == test.labels[i]).count();

    // Chance is a sixteenth.
    assert!(found * 5 < test.len(), "{found} of {} found by their mean colour", test.len());
}

#[test]
fn a_net_for_small_grey_pictures_gets_small_grey_pictures() {
    let input = InputShape { channels: 1, height: 28, width: 28 };

    let splits = dataset::load(&shop(4, 2, 1), input, &|_, _| {}).unwrap();

    assert_eq!((splits.train.input, splits.train.picture(3).unwrap().len()), (input, 28 * 28));
}

#[test]
fn more_classes_than_there_are_looks_are_refused() {
    let message = dataset::load(&shop(toy_shop::MAX_CLASSES + 1, 1, 1), INPUT, &|_, _| {}).unwrap_err().to_string();

    assert!(message.contains(&toy_shop::MAX_CLASSES.to_string()), "{message}");
}
