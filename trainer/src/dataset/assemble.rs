//! From classes of pictures to data sets: the class-disjoint split, and the order of pictures.

use std::path::PathBuf;

use holdfast_model::InputShape;

use super::{Dataset, DatasetError};

/// A class with its pictures.
pub(super) struct Class {
    pub(super) name: String,
    pub(super) pictures: Vec<Picture>,
}

/// One picture, C·H·W bytes, and where it came from.
pub(super) struct Picture {
    pub(super) pixels: Vec<u8>,
    pub(super) file: Option<PathBuf>,
}

/// Splits classes: the first `train_share` of them, in the given order, train; the rest test.
///
/// The test classes are never seen in training, so that the test asks for similarity, not for known classes.
///
/// # Errors
/// If either side would have fewer than 2 classes. `place` names the data set in the message.
pub(super) fn split(
    name: &str,
    place: &str,
    input: InputShape,
    mut classes: Vec<Class>,
    train_share: f64,
) -> Result<(Dataset, Dataset), DatasetError> {
    let count = classes.len();
    let train = (count as f64 * train_share).round() as usize;
    let test = count.saturating_sub(train);
    if train < 2 || test < 2 {
        return Err(DatasetError::TooFewClasses { place: place.into(), classes: count, train, test });
    }
    let test = classes.split_off(train);
    Ok((interleaved(name, input, &classes), interleaved(name, input, &test)))
}

/// One data set: the first picture of every class, then the second of every class, and so on, so that any first part
/// of it is balanced over the classes.
fn interleaved(name: &str, input: InputShape, classes: &[Class]) -> Dataset {
    let names = classes.iter().map(|class| class.name.clone()).collect();
    let longest = classes.iter().map(|class| class.pictures.len()).max().unwrap_or(0);
    let (mut pixels, mut labels, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..longest {
        for (label, class) in (0..).zip(classes) {
            if let Some(picture) = class.pictures.get(number) {
                pixels.extend_from_slice(&picture.pixels);
                labels.push(label);
                files.extend(picture.file.clone());
            }
        }
    }
    Dataset { name: name.to_owned(), input, pixels, labels, classes: names, files }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: InputShape = InputShape { channels: 1, height: 1, width: 1 };

    fn classes(sizes: &[u8]) -> Vec<Class> {
        let class = |(i, &size): (usize, &u8)| Class {
            name: format!("class {i}"),
            pictures: (0..size).map(|number| Picture { pixels: vec![10 * i as u8 + number], file: None }).collect(),
        };
        sizes.iter().enumerate().map(class).collect()
    }

    #[test]
    fn any_first_part_of_a_data_set_is_balanced_over_its_classes() {
        let (train, test) = split("x", "x", INPUT, classes(&[2, 3, 1, 2]), 0.5).unwrap();

        assert_eq!(train.labels, [0, 1, 0, 1, 1]);
        assert_eq!(train.pixels, [0, 10, 1, 11, 12]);
        assert_eq!(test.pixels, [20, 30, 31]);
        assert_eq!(test.classes, ["class 2", "class 3"]);
    }

    #[test]
    fn a_side_with_one_class_is_refused() {
        let error = split("x", "the shop", INPUT, classes(&[1, 1, 1]), 0.5).err().unwrap();

        assert_eq!(error.to_string().matches("at least 2").count(), 1, "{error}");
        assert!(error.to_string().starts_with("the shop has 3 classes"), "{error}");
    }
}
