//! From classes of pictures to two sides: the class-disjoint split, and the order of pictures.

use super::DatasetError;

/// A class with its pictures, whatever stands for a picture.
pub(super) struct Class<P> {
    pub(super) name: String,
    pub(super) pictures: Vec<P>,
}

/// What trains and what tests.
pub(super) struct Sides<P> {
    pub(super) train: Vec<Class<P>>,
    pub(super) test: Vec<Class<P>>,
}

/// Pictures in their final order.
pub(super) struct Ordered<P> {
    pub(super) classes: Vec<String>,
    pub(super) labels: Vec<u32>,
    pub(super) pictures: Vec<P>,
}

/// Splits classes: the first `train_share` of them, in the given order, train; the rest test.
///
/// The test classes are never seen in training, so that the test asks for similarity, not for known classes.
///
/// # Errors
/// If either side would have fewer than 2 classes. `place` names the data set in the message.
pub(super) fn split<P>(place: &str, mut classes: Vec<Class<P>>, train_share: f64) -> Result<Sides<P>, DatasetError> {
    let train = (classes.len() as f64 * train_share).round() as usize;
    ensure_two(place, train, classes.len().saturating_sub(train))?;
    let test = classes.split_off(train);
    Ok(Sides { train: classes, test })
}

/// Refuses sides with nothing to tell apart, given the number of their classes.
pub(super) fn ensure_two(place: &str, train: usize, test: usize) -> Result<(), DatasetError> {
    if train < 2 || test < 2 {
        return Err(DatasetError::TooFewClasses { place: place.into(), classes: train + test, train, test });
    }
    Ok(())
}

/// The first picture of every class, then the second of every class, and so on, so that any first part is balanced over
/// the classes.
pub(super) fn interleave<P>(classes: Vec<Class<P>>) -> Ordered<P> {
    let names = classes.iter().map(|class| class.name.clone()).collect();
    let longest = classes.iter().map(|class| class.pictures.len()).max().unwrap_or(0);
    let mut waiting: Vec<_> = classes.into_iter().map(|class| class.pictures.into_iter()).collect();
    let (mut labels, mut pictures) = (Vec::new(), Vec::new());
    for _round in 0..longest {
        for (label, class) in (0..).zip(&mut waiting) {
            if let Some(picture) = class.next() {
                labels.push(label);
                pictures.push(picture);
            }
        }
    }
    Ordered { classes: names, labels, pictures }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(sizes: &[u8]) -> Vec<Class<u8>> {
        let class = |(i, &size): (usize, &u8)| Class {
            name: format!("class {i}"),
            pictures: (0..size).map(|number| 10 * i as u8 + number).collect(),
        };
        sizes.iter().enumerate().map(class).collect()
    }

    #[test]
    fn any_first_part_of_a_side_is_balanced_over_its_classes() {
        let Sides { train, test } = split("x", classes(&[2, 3, 1, 2]), 0.5).unwrap();
        let (train, test) = (interleave(train), interleave(test));

        assert_eq!(train.labels, [0, 1, 0, 1, 1]);
        assert_eq!(train.pictures, [0, 10, 1, 11, 12]);
        assert_eq!(test.pictures, [20, 30, 31]);
        assert_eq!(test.classes, ["class 2", "class 3"]);
    }

    #[test]
    fn a_side_with_one_class_is_refused() {
        let error = split("the shop", classes(&[1, 1, 1]), 0.5).err().unwrap();

        assert_eq!(error.to_string().matches("at least 2").count(), 1, "{error}");
        assert!(error.to_string().starts_with("the shop has 3 classes"), "{error}");
    }
}
