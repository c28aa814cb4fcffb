//! Named streams of random numbers: one a purpose, all from the seed of the run.
//!
//! A purpose never consumes the numbers of another, so that a change of the miner leaves the batches as they were.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The first values of the net's parameters.
    Initialisation,
    /// The order of the pictures and the partners in the pairs.
    Sampling,
    /// The triplets.
    Mining,
}

/// The stream of a purpose under this seed: the same numbers on every platform.
#[must_use]
pub fn stream(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match purpose {
        Purpose::Initialisation => 1,
        Purpose::Sampling => 2,
        Purpose::Mining => 3,
    });
    rng
}

/// The stream for what happens by chance to one picture: row `row` of the batch of step `step`.
///
/// It depends on nothing else, so that pictures can be prepared in any order, early or late, by any number of threads.
#[must_use]
pub fn augmentation(seed: u64, step: usize, row: usize) -> ChaCha8Rng {
    // The upper half of the stream numbers; purposes have those of the lower half.
    const PICTURES: u64 = 1 << 63;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(PICTURES | (step as u64) << 24 | row as u64);
    rng
}

#[cfg(test)]
mod tests {
    use rand::RngCore;

    use super::*;

    #[test]
    fn streams_repeat_by_seed_and_differ_by_seed_and_purpose() {
        let first = |seed, purpose| stream(seed, purpose).next_u64();

        assert_eq!(first(7, Purpose::Mining), first(7, Purpose::Mining));
        assert_ne!(first(7, Purpose::Mining), first(8, Purpose::Mining));
        assert_ne!(first(7, Purpose::Mining), first(7, Purpose::Sampling));
        assert_ne!(first(7, Purpose::Mining), first(7, Purpose::Initialisation));
    }

    #[test]
    fn each_picture_of_each_step_has_its_own_stream() {
        let first = |seed, step, row| augmentation(seed, step, row).next_u64();

        assert_eq!(first(7, 3, 5), first(7, 3, 5));
        for other in [first(8, 3, 5), first(7, 4, 5), first(7, 3, 6), first(7, 5, 3)] {
            assert_ne!(first(7, 3, 5), other);
        }
        assert_ne!(augmentation(7, 0, 1).next_u64(), stream(7, Purpose::Initialisation).next_u64());
    }
}
