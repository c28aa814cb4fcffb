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
}
