//! The replay: a bounded, expiring sample of recent query pictures, for the monitor to attack.
//!
//! It measures and never teaches: nothing in it is written to disk, given to training or shown to a user.
//! While there is room every query is kept; afterwards each new query takes the place of a random older one,
//! so that the sample follows the traffic and a burst cannot push everything else out at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A bounded sample of recent query pictures, shared between the search path and the monitor.
///
/// Thread-safe; [`Replay::offer`] copies one picture under a short lock and does nothing else.
pub struct Replay {
    capacity: usize,
    lifetime: Duration,
    reservoir: Mutex<Reservoir>,
}

/// What the lock protects: the kept pictures and the generator that chooses whom to replace.
struct Reservoir {
    kept: Vec<Kept>,
    rng: ChaCha8Rng,
}

/// One kept picture and the moment it was offered.
struct Kept {
    pixels: Arc<[f32]>, // C·H·W in [0, 1]
    offered: Instant,
}

impl Replay {
    /// An empty sample of at most `capacity` pictures, each kept for at most `lifetime`.
    ///
    /// Capacity 0 turns the sample off: nothing is ever kept. `seed` decides which pictures are replaced.
    pub fn new(capacity: usize, lifetime: Duration, seed: u64) -> Self {
        let reservoir = Reservoir { kept: Vec::new(), rng: ChaCha8Rng::seed_from_u64(seed) };
        Self { capacity, lifetime, reservoir: Mutex::new(reservoir) }
    }

    /// Offers the pixels of a query picture, C·H·W values in [0, 1], as they went into the net.
    pub fn offer(&self, pixels: &[f32]) {
        self.offer_at(pixels, Instant::now());
    }

    /// Up to `count` different pictures that have not expired, in random order.
    pub fn sample(&self, count: usize, rng: &mut dyn RngCore) -> Vec<Arc<[f32]>> {
        self.sample_at(count, rng, Instant::now())
    }

    /// How many pictures are kept and have not expired.
    pub fn len(&self) -> usize {
        self.len_at(Instant::now())
    }

    /// Whether no picture is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most pictures that are kept; 0 means that the sample is off.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn offer_at(&self, pixels: &[f32], now: Instant) {
        if self.capacity == 0 {
            return;
        }
        let picture = Kept { pixels: pixels.into(), offered: now };

        let mut reservoir = self.lock();
        reservoir.expire(now, self.lifetime);
        if reservoir.kept.len() < self.capacity {
            reservoir.kept.push(picture);
        } else {
            let replaced = reservoir.rng.random_range(0..self.capacity);
            reservoir.kept[replaced] = picture;
        }
    }

    fn sample_at(&self, count: usize, rng: &mut dyn RngCore, now: Instant) -> Vec<Arc<[f32]>> {
        let mut pictures: Vec<_> = {
            let mut reservoir = self.lock();
            reservoir.expire(now, self.lifetime);
            reservoir.kept.iter().map(|kept| Arc::clone(&kept.pixels)).collect()
        };
        let (chosen, _) = pictures.partial_shuffle(rng, count);
        chosen.to_vec()
    }

    fn len_at(&self, now: Instant) -> usize {
        let mut reservoir = self.lock();
        reservoir.expire(now, self.lifetime);
        reservoir.kept.len()
    }

    /// A panic elsewhere cannot leave the sample half-written, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Reservoir> {
        self.reservoir.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservoir {
    fn expire(&mut self, now: Instant, lifetime: Duration) {
        self.kept.retain(|kept| now.saturating_duration_since(kept.offered) < lifetime);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn first_values(replay: &Replay, now: Instant) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut values: Vec<f32> = replay.sample_at(usize::MAX, &mut rng, now).iter().map(|p| p[0]).collect();
        values.sort_by(f32::total_cmp);
        values
    }

    #[test]
    fn every_query_is_kept_while_there_is_room() {
        let (replay, now) = (Replay::new(3, HOUR, 7), Instant::now());

        for value in [0.1, 0.2, 0.3] {
            replay.offer_at(&[value], now);
        }

        assert_eq!(first_values(&replay, now), [0.1, 0.2, 0.3]);
    }

    #[test]
    fn the_sample_never_grows_beyond_its_capacity_and_always_holds_the_newest_query() {
        let (replay, now) = (Replay::new(4, HOUR, 7), Instant::now());

        for number in 0..100_u8 {
            replay.offer_at(&[f32::from(number)], now);

            let values = first_values(&replay, now);
            assert!(values.len() <= 4);
            assert!(values.contains(&f32::from(number)));
        }
    }

    #[test]
    fn a_burst_leaves_some_older_queries_in_the_sample() {
        let (replay, now) = (Replay::new(50, HOUR, 7), Instant::now());

        for _ in 0..50 {
            replay.offer_at(&[0.0], now);
        }
        for _ in 0..25 {
            replay.offer_at(&[1.0], now);
        }

        let older = first_values(&replay, now).iter().filter(|value| **value == 0.0).count();
        assert!((25..50).contains(&older), "{older} of the older queries are left");
    }

    #[test]
    fn a_picture_is_forgotten_when_its_lifetime_is_over() {
        let (replay, start) = (Replay::new(8, HOUR, 7), Instant::now());
        replay.offer_at(&[0.1], start);
        replay.offer_at(&[0.2], start + HOUR / 2);

        assert_eq!(first_values(&replay, start + HOUR), [0.2]);
        assert_eq!(replay.len_at(start + 2 * HOUR), 0);
    }

    #[test]
    fn capacity_zero_keeps_nothing() {
        let replay = Replay::new(0, HOUR, 7);

        replay.offer(&[0.5]);

        assert!(replay.is_empty());
    }

    #[test]
    fn a_draw_holds_no_picture_twice_and_is_repeated_by_the_same_seed() {
        let (replay, now) = (Replay::new(10, HOUR, 7), Instant::now());
        for number in 0..10_u8 {
            replay.offer_at(&[f32::from(number)], now);
        }

        let draw = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            replay.sample_at(4, &mut rng, now).iter().map(|p| p[0]).collect::<Vec<_>>()
        };

        let mut distinct = draw(3);
        assert_eq!(distinct, draw(3));
        distinct.sort_by(f32::total_cmp);
        distinct.dedup();
        assert_eq!(distinct.len(), 4);
    }
}
