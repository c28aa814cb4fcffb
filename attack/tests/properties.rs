//! What holds for every registered attack, whatever it is aimed at.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod support;

use candle_core::DType;
use holdfast_attack::{AttackedBatch, Pgd, Pictures, Protocol, RankingAttack, Rules, attack_batch, attacks::attacks};
use holdfast_model::{Embedder, EmbeddingSet};
use proptest::prelude::*;
use support::{Health, Linear, World, rng};

/// Attacks the first `queries` pictures of a world that is its own gallery.
fn attack(world: &World, attack: &dyn RankingAttack, queries: usize, pgd: Pgd, seed: u64) -> AttackedBatch {
    let embedder = Linear::new(Health::Sound, world.pixels.dtype());
    let gallery = EmbeddingSet::new(embedder.embed(&world.pixels).unwrap(), Some(world.labels.clone())).unwrap();
    let pixels = world.pixels.narrow(0, 0, queries).unwrap();
    let pictures =
        Pictures { pixels: &pixels, labels: Some(&world.labels[..queries]), protocol: Protocol::LeaveOneOut };
    attack_batch(&embedder, pictures, &gallery, attack, &Rules::from(pgd), &mut rng(seed)).unwrap()
}

fn single(world: World) -> World {
    World { pixels: world.pixels.to_dtype(DType::F32).unwrap(), labels: world.labels }
}

fn values(batch: &AttackedBatch) -> Vec<f64> {
    batch.pixels.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Every number of a result, to the bit.
fn bits(batch: &AttackedBatch) -> Vec<u64> {
    let numbers = values(batch).into_iter().chain(batch.embedding_shift.iter().copied());
    let outcomes = batch.outcomes.iter().chain(&batch.benign.outcomes).flat_map(|outcome| outcome.raw.iter().copied());
    numbers.chain(outcomes).map(f64::to_bits).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_attack_leaves_the_epsilon_ball_or_the_unit_range(
        epsilon in 0.01..0.5f64, alpha in 0.005..0.3f64, steps in 1..5usize, seed: u64, doubles: bool,
    ) {
        let world = if doubles { World::new(600) } else { single(World::new(600)) };
        let rounding = if doubles { 1e-15 } else { 1e-7 };
        let benign: Vec<f64> = world.pixels.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        for attacker in attacks() {
            let batch = attack(&world, attacker, 9, Pgd::new(epsilon, alpha, steps).unwrap(), seed);

            for (moved, start) in values(&batch).into_iter().zip(&benign) {
                prop_assert!((moved - start).abs() <= epsilon + rounding, "{}: {start} → {moved}", attacker.name());
                prop_assert!((0.0..=1.0).contains(&moved), "{}: {moved}", attacker.name());
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_draws_other_targets() {
    let world = single(World::new(600));
    let pgd = Pgd::new(0.1, 0.02, 4).unwrap();
    for attacker in attacks() {
        let run = |seed| bits(&attack(&world, attacker, 16, pgd, seed));

        assert_eq!(run(3), run(3), "{}", attacker.name());
        let drawn = !["ES", "LTM", "GTM", "GTT"].contains(&attacker.name());
        assert_eq!(run(3) != run(4), drawn, "{}", attacker.name());
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    // Large enough that distances and their gradients are computed by several threads.
    let world = single(World::new(1300));
    let pgd = Pgd::new(0.1, 0.02, 3).unwrap();
    for attacker in attacks() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bits(&attack(&world, attacker, 128, pgd, 5)))
        };
        assert!(run(1) == run(3), "{} depends on the number of threads", attacker.name());
    }
}
