//! Which pictures go where: disjoint, balanced over the classes, decided by a seed.

use anyhow::ensure;
use holdfast_trainer::dataset::Dataset;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Pictures of a data set by their use.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection {
    /// What is searched.
    pub gallery: Vec<usize>,
    /// What the running server attacks.
    pub canary: Vec<usize>,
    /// What people search by.
    pub queries: Vec<usize>,
}

/// How many pictures of each use.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub gallery: usize,
    pub canary: usize,
    pub queries: usize,
}

/// Draws pictures of each use; no picture has two. Each use takes its classes in turn, as long as they have pictures.
///
/// # Errors
/// If the data set has fewer pictures than are asked for.
pub fn select(dataset: &Dataset, sizes: Sizes, seed: u64) -> anyhow::Result<Selection> {
    let wanted = sizes.gallery + sizes.canary + sizes.queries;
    ensure!(
        wanted <= dataset.len(),
        "{wanted} pictures are asked for ({} gallery, {} canary, {} queries), and there are only {}",
        sizes.gallery,
        sizes.canary,
        sizes.queries,
        dataset.len()
    );
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut classes: Vec<Vec<usize>> = vec![Vec::new(); dataset.classes.len()];
    for (picture, &label) in dataset.labels.iter().enumerate() {
        classes[label as usize].push(picture);
    }
    for pictures in &mut classes {
        pictures.shuffle(&mut rng);
    }
    let mut take = |count: usize| {
        let mut taken = Vec::with_capacity(count);
        // Ends: as many pictures are left as are asked for, so that every round takes at least one.
        while taken.len() < count {
            taken.extend(classes.iter_mut().filter_map(Vec::pop).take(count - taken.len()));
        }
        taken
    };
    Ok(Selection { gallery: take(sizes.gallery), canary: take(sizes.canary), queries: take(sizes.queries) })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use holdfast_model::InputShape;

    use super::*;

    fn dataset(labels: &[u32]) -> Dataset {
        let input = InputShape { channels: 1, height: 1, width: 1 };
        let classes = (0..3).map(|class| class.to_string()).collect();
        Dataset::kept("test", input, vec![0; labels.len()], labels.to_vec(), classes)
    }

    const LABELS: [u32; 9] = [0, 0, 0, 1, 1, 1, 1, 1, 2];
    const SIZES: Sizes = Sizes { gallery: 4, canary: 3, queries: 2 };

    #[test]
    fn no_picture_has_two_uses_and_all_can_be_used() {
        let Selection { gallery, canary, queries } = select(&dataset(&LABELS), SIZES, 1).unwrap();

        let all: BTreeSet<usize> = [&gallery, &canary, &queries].into_iter().flatten().copied().collect();
        assert_eq!((gallery.len(), canary.len(), queries.len(), all.len()), (4, 3, 2, 9));
    }

    #[test]
    fn classes_take_turns() {
        let gallery = select(&dataset(&LABELS), SIZES, 1).unwrap().gallery;

        let labels: Vec<u32> = gallery.iter().map(|&picture| LABELS[picture]).collect();
        assert_eq!(labels, [0, 1, 2, 0]);
    }

    #[test]
    fn the_seed_decides() {
        let draw = |seed| select(&dataset(&[0; 40]), SIZES, seed).unwrap();

        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn more_than_there_is_cannot_be_had() {
        let message = select(&dataset(&LABELS), Sizes { queries: 3, ..SIZES }, 1).unwrap_err().to_string();

        assert!(message.contains("10 pictures are asked for") && message.contains("only 9"), "{message}");
    }
}
