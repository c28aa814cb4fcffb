//! 2×2 max pooling and ReLU of one picture.

use super::NONE;
use crate::host::Real;
use crate::simd::vectorized;

/// Pools and rectifies `convolved` (H', W', O), W' = `width`, to `out` (H'/2, `columns`, O); `won` may be empty.
pub(super) fn pool_relu<T: Real>(
    convolved: &[T],
    width: usize,
    columns: usize,
    outputs: usize,
    out: &mut [T],
    won: &mut [u8],
) {
    let line = columns * outputs;
    for (row, out) in out.chunks_exact_mut(line).enumerate() {
        let (upper, lower) = convolved[2 * row * width * outputs..][..2 * width * outputs].split_at(width * outputs);
        let won = if won.is_empty() { &mut [] } else { &mut won[row * line..][..line] };
        pool_line(upper, lower, outputs, out, won);
    }
}

vectorized! {
    /// One line of windows; four positions of each side by side over the channels.
    fn pool_line<T: Real>(upper: &[T], lower: &[T], outputs: usize, out: &mut [T], won: &mut [u8]) {
        let windows = upper.chunks_exact(2 * outputs).zip(lower.chunks_exact(2 * outputs));
        for (column, (out, (upper, lower))) in out.chunks_exact_mut(outputs).zip(windows).enumerate() {
            let (a, b) = upper.split_at(outputs);
            let (c, d) = lower.split_at(outputs);
            for channel in 0..outputs {
                let best = larger(larger(a[channel], b[channel]), larger(c[channel], d[channel]));
                // A NaN compares false and passes: it must not become a clean 0.
                out[channel] = if best <= T::zero() { T::zero() } else { best };
            }
            if let Some(won) = won.get_mut(column * outputs..(column + 1) * outputs) {
                for channel in 0..outputs {
                    won[channel] = winner(a[channel], b[channel], c[channel], d[channel]);
                }
            }
        }
    }
}

/// The first unless the second is larger.
#[inline(always)]
fn larger<T: Real>(first: T, second: T) -> T {
    if second > first { second } else { first }
}

/// Which of four values is the largest, the first of equal ones; [`NONE`] if it is not positive.
#[inline(always)]
fn winner<T: Real>(a: T, b: T, c: T, d: T) -> u8 {
    let upper = u8::from(b > a);
    let lower = 2 + u8::from(d > c);
    let (of_upper, of_lower) = (larger(a, b), larger(c, d));
    let (index, best) = if of_lower > of_upper { (lower, of_lower) } else { (upper, of_upper) };
    if best <= T::zero() { NONE } else { index }
}
