//! What this machine can do at best: multiply-adds a second, and bytes a second. The floors of `docs/performance.md` are
//! made of these.
//!
//! `cargo bench -p holdfast-ops --bench machine`, or `make bench BENCH=machine`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(unsafe_code, reason = "instruction sets that not every processor has; each block says why it may")]

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

/// Repetitions, of which the best counts: a peak is what is reached undisturbed.
const REPETITIONS: usize = 20;

/// Pieces of arithmetic of each repetition, for each thread: enough of them that all threads have found a processor.
const PIECES: usize = 64;

/// Multiply-adds that do not wait for each other. Two units with a latency of four or five cycles want ten; twelve
/// accumulators and two operands fit sixteen registers.
const CHAINS: usize = 12;

/// Links of each chain: about a millisecond.
const LINKS: usize = 500_000;

/// Bytes of an array, too many for any cache.
const BYTES: usize = 256 << 20;

/// Runs the chains once, and the operations (a multiplication and an addition each) of one call.
type Chains = (&'static str, fn(), usize);

fn main() {
    let (name, chains, operations) = chains();
    println!("{}; {name}.\n", processor());
    println!("| threads | multiply-add peak, GFLOP/s | read, GB/s | copy, GB/s (read + written) |");
    println!("|---|---|---|---|");
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
        let pieces = threads * PIECES;
        let arithmetic = best(|| pool.install(|| (0..pieces).into_par_iter().for_each(|_| chains())));
        let peak = (pieces * operations) as f64 / arithmetic / 1e9;
        let (read, copied) = pool.install(bandwidth);
        println!("| {threads} | {peak:.0} | {read:.1} | {copied:.1} |");
    }
    println!("\nThe best of {REPETITIONS} repetitions each.");
}

/// The processor's name, where Linux tells it.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    name.unwrap_or("unknown processor").to_owned()
}

/// Seconds of the fastest repetition.
fn best(mut work: impl FnMut()) -> f64 {
    let once = |_| {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    (0..REPETITIONS).map(once).fold(f64::INFINITY, f64::min)
}

/// The widest multiply-adds that this processor has.
fn chains() -> Chains {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY (of both calls): made only where the processor has the instructions.
        if is_x86_feature_detected!("avx512f") {
            return ("AVX-512", || unsafe { wide::avx512() }, 2 * 16 * CHAINS * LINKS);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return ("AVX2 with FMA", || unsafe { wide::avx2() }, 2 * 8 * CHAINS * LINKS);
        }
    }
    ("no vectors known", scalar, 2 * CHAINS * LINKS)
}

/// x ← x / 2 + 1 / 2, which tends to 1, so that the numbers stay ordinary.
fn scalar() {
    let half = black_box(0.5_f32);
    let mut chains = [0.0_f32; CHAINS];
    for _ in 0..LINKS {
        for chain in &mut chains {
            *chain = *chain * half + half;
        }
    }
    black_box(chains);
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{CHAINS, LINKS};
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps, _mm512_fmadd_ps, _mm512_set1_ps};
    use std::hint::black_box;

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2() {
        let half = _mm256_set1_ps(black_box(0.5));
        let mut chains = [_mm256_set1_ps(0.0); CHAINS];
        for _ in 0..LINKS {
            for chain in &mut chains {
                *chain = _mm256_fmadd_ps(*chain, half, half);
            }
        }
        black_box(chains);
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512() {
        let half = _mm512_set1_ps(black_box(0.5));
        let mut chains = [_mm512_set1_ps(0.0); CHAINS];
        for _ in 0..LINKS {
            for chain in &mut chains {
                *chain = _mm512_fmadd_ps(*chain, half, half);
            }
        }
        black_box(chains);
    }
}

/// GB/s of reading one array and of copying it to another, with the current pool.
fn bandwidth() -> (f64, f64) {
    const PIECE: usize = 1 << 16;
    let numbers = BYTES / size_of::<u64>();
    let (from, mut to) = (vec![1_u64; numbers], vec![0_u64; numbers]);
    let read = best(|| {
        let sums = from.par_chunks(PIECE).map(|piece| piece.iter().fold(0_u64, |sum, &value| sum.wrapping_add(value)));
        black_box(sums.reduce(|| 0, u64::wrapping_add));
    });
    let copied = best(|| {
        to.par_chunks_mut(PIECE).zip(from.par_chunks(PIECE)).for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&mut to);
    });
    (BYTES as f64 / read / 1e9, 2.0 * BYTES as f64 / copied / 1e9)
}
