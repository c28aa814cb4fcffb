//! Reductions of one row, in a fixed number of lanes: vector instructions of any width add in the same order.

use crate::host::Real;

const LANES: usize = 16;

/// Σ f(x)
#[inline(always)]
pub(crate) fn sum<T: Real>(x: &[T], f: impl Fn(T) -> T) -> T {
    lanes(x, T::zero(), |sum, x| sum + f(x)).into_iter().fold(T::zero(), |sum, lane| sum + lane)
}

/// Σ f(x, y)
#[inline(always)]
pub(crate) fn sum2<T: Real>(x: &[T], y: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut lanes = [T::zero(); LANES];
    let (mut x, mut y) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let whole = x.by_ref().zip(y.by_ref());
    for (x, y) in whole {
        lanes.iter_mut().zip(x.iter().zip(y)).for_each(|(lane, (&x, &y))| *lane += f(x, y));
    }
    let rest = x.remainder().iter().zip(y.remainder());
    lanes.iter_mut().zip(rest).for_each(|(lane, (&x, &y))| *lane += f(x, y));
    lanes.into_iter().fold(T::zero(), |sum, lane| sum + lane)
}

/// The largest element; NaN if there is one.
#[inline(always)]
#[expect(clippy::eq_op, reason = "the test for NaN that all element types have")]
pub(crate) fn max<T: Real>(x: &[T]) -> T {
    let larger = |best: T, value: T| if value > best || value != value { value } else { best };
    lanes(x, x[0], larger).into_iter().fold(x[0], larger)
}

/// Folds every 16th element, for each of 16 starts.
#[inline(always)]
fn lanes<T: Real>(x: &[T], start: T, f: impl Fn(T, T) -> T) -> [T; LANES] {
    let mut lanes = [start; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in chunks.by_ref() {
        lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane = f(*lane, value));
    }
    lanes.iter_mut().zip(chunks.remainder()).for_each(|(lane, &value)| *lane = f(*lane, value));
    lanes
}
