//! What the parts of training promise, on a small net and pictures made up on the spot.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod ca_tride;
mod configs;
mod defenses;
mod hardness_manipulation;
mod notation;
mod resuming;
mod training;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use holdfast_model::backbone;
use holdfast_model::{EmbeddingNet, InputShape, Parameters};
use holdfast_trainer::dataset::Dataset;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A c2f2 of 4, 6, 24 and 12 outputs, with the usual initialisation.
fn small_net(dtype: DType, seed: u64) -> EmbeddingNet {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut parameters = BTreeMap::new();
    let layers = [("conv1", &[4, 1, 5, 5][..]), ("conv2", &[6, 4, 5, 5]), ("fc1", &[24, 49 * 6]), ("fc2", &[12, 24])];
    for (layer, shape) in layers {
        let bound = 1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt();
        let mut draw = |shape: &[usize]| {
            let values: Vec<f64> = (0..shape.iter().product()).map(|_| rng.random_range(-bound..bound)).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
        };
        parameters.insert(format!("{layer}.weight"), draw(shape));
        parameters.insert(format!("{layer}.bias"), draw(&shape[..1]));
    }
    EmbeddingNet::new("c2f2", Parameters::new(parameters)).unwrap()
}

/// Noisy pictures of `classes` patterns of dark and light tiles, `each` of every one, class after class.
fn pictures(classes: u32, each: usize, seed: u64) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pixels = Vec::new();
    for _class in 0..classes {
        let tiles: Vec<u8> = (0..4 * 4).map(|_| if rng.random_bool(0.5) { 200 } else { 0 }).collect();
        let tile = |pixel: usize| tiles[pixel / 28 / 7 * 4 + pixel % 28 / 7];
        for _picture in 0..each {
            pixels.extend((0..28 * 28).map(|pixel| tile(pixel) + rng.random_range(0..=55)));
        }
    }
    let input = InputShape { channels: 1, height: 28, width: 28 };
    let labels = (0..classes).flat_map(|class| vec![class; each]).collect();
    let classes = (0..classes).map(|class| format!("pattern {class}")).collect();
    Dataset::kept("patterns", input, pixels, labels, classes)
}

/// A resnet18 of an eighth of the channels, for pictures of 32×32, with the usual initialisation.
fn small_resnet(seed: u64) -> EmbeddingNet {
    let narrow = |side: &usize| if *side < 64 { *side } else { *side / 8 };
    let mut specs = backbone::architecture("resnet18").unwrap().specs();
    for spec in &mut specs {
        spec.shape = spec.shape.iter().map(narrow).collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let parameters = Parameters::init(&specs, &Device::Cpu, DType::F32, &mut rng).unwrap();
    EmbeddingNet::new("resnet18", parameters).unwrap().with_input(COLOUR).unwrap()
}

const COLOUR: InputShape = InputShape { channels: 3, height: 32, width: 32 };

/// Noise around another colour for each of `classes` classes, `each` pictures of every one, class after class.
fn colour_pictures(classes: u32, each: usize, seed: u64) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pixels = Vec::new();
    for _class in 0..classes {
        let colour: Vec<u8> = (0..3).map(|_| rng.random_range(0..200)).collect();
        for _picture in 0..each {
            pixels.extend((0..COLOUR.len()).map(|place| colour[place / 1024] + rng.random_range(0..=55)));
        }
    }
    let labels = (0..classes).flat_map(|class| vec![class; each]).collect();
    let classes = (0..classes).map(|class| format!("colour {class}")).collect();
    Dataset::kept("colours", COLOUR, pixels, labels, classes)
}
