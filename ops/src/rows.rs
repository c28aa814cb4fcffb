//! Work over rows of channels, split so that no result depends on the number of threads.

use crate::fresh::fill_tasks;
use crate::host::Real;
use crate::simd::vectorized;
use rayon::prelude::*;
use std::ops::Range;

/// Elements that one task handles: enough to outweigh the hand-over, few enough to stay in a core's cache.
pub(crate) const GRAIN: usize = 16 * 1024;

/// Rows of `row` elements that one task handles.
pub(crate) fn rows_per_task(row: usize) -> usize {
    (GRAIN / row.max(1)).max(1)
}

/// A vector of `len` elements. `write(first, elements)` gets `task` of them at a time, starting at index `first`.
///
/// They are zeros.
pub(crate) fn fill<T: Real>(len: usize, task: usize, write: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    fill_tasks(len, task, |index, elements| {
        vectorize(
            #[inline(always)]
            || write(index * task, elements),
        );
    })
}

/// [`fill`] with whole rows: `write(row, elements)` gets one row at a time.
pub(crate) fn fill_rows<T: Real>(len: usize, row: usize, write: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let rows = rows_per_task(row);
    fill(
        len,
        rows * row,
        #[inline(always)]
        |first, elements: &mut [T]| {
            for (index, elements) in elements.chunks_exact_mut(row).enumerate() {
                write(first / row + index, elements);
            }
        },
    )
}

/// Sums over `rows` rows of `row` elements: `add(rows, sums)` adds a range of rows to `sums` sums.
///
/// Groups of rows are summed side by side, then the groups in order; in double precision, so that millions of rows do
/// not lose digits.
pub(crate) fn sum_rows(
    rows: usize,
    row: usize,
    sums: usize,
    add: impl Fn(Range<usize>, &mut [f64]) + Sync,
) -> Vec<f64> {
    let group_len = rows_per_task(row);
    let group = |index: usize| {
        let mut partial = vec![0.0; sums];
        let range = index * group_len..rows.min((index + 1) * group_len);
        vectorize(
            #[inline(always)]
            || add(range, &mut partial),
        );
        partial
    };
    let partials: Vec<Vec<f64>> = (0..rows.div_ceil(group_len)).into_par_iter().map(group).collect();
    let mut total = vec![0.0; sums];
    for partial in partials {
        total.iter_mut().zip(partial).for_each(|(total, value)| *total += value);
    }
    total
}

/// f(x), element by element.
pub(crate) fn map<T: Real>(x: &[T], f: impl Fn(T) -> T + Sync) -> Vec<T> {
    fill(
        x.len(),
        GRAIN,
        #[inline(always)]
        |first, out: &mut [T]| {
            for (out, &x) in out.iter_mut().zip(&x[first..]) {
                *out = f(x);
            }
        },
    )
}

/// f(x, y), element by element.
pub(crate) fn map2<T: Real>(x: &[T], y: &[T], f: impl Fn(T, T) -> T + Sync) -> Vec<T> {
    fill(
        x.len(),
        GRAIN,
        #[inline(always)]
        |first, out: &mut [T]| {
            for ((out, &x), &y) in out.iter_mut().zip(&x[first..]).zip(&y[first..]) {
                *out = f(x, y);
            }
        },
    )
}

/// The size of the last axis.
///
/// # Errors
/// If there is none, or it is empty.
pub(crate) fn last_axis(operation: &str, dims: &[usize]) -> candle_core::Result<usize> {
    match dims.last() {
        Some(&channels) if channels > 0 => Ok(channels),
        _ => candle_core::bail!("{operation}: the last axis needs at least one element, got the shape {dims:?}"),
    }
}

/// Two slices of one length.
///
/// # Errors
/// If they differ.
pub(crate) fn same_shape(operation: &str, left: &[usize], right: &[usize]) -> candle_core::Result<()> {
    if left != right {
        candle_core::bail!("{operation}: both inputs need one shape, got {left:?} and {right:?}");
    }
    Ok(())
}

vectorized! {
    /// Runs `work`, compiled for the instruction set in use as far as it is inlined: its loops become vector code.
    pub(crate) fn vectorize<F: FnOnce()>(work: F) {
        work();
    }
}
