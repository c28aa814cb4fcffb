//! The weight gradient of convolution: for each tile of a window's elements and outputs, a sum over all positions.

use crate::host::Real;
use crate::panel::{Panels, width, window_order};
use crate::simd::{Kernel, Lanes, run};
use crate::tile::{self, outer_products, with_rows};
use crate::window::Window;
use rayon::prelude::*;
use std::ops::Range;

use super::forward::Padded;

/// Parts of the batch whose gradients are summed side by side. A constant, not the number of threads: sums in another order
/// would be other bits.
const PARTS: usize = 8;

/// Positions, of one picture or several small ones, that are summed before the sums are written back: what they see stays in
/// the cache.
const POSITIONS: usize = 128;

/// x (B, H, W, C), upstream gradient (B, H', W', O) → gradient of the weight (O, C, kh, kw).
pub(super) fn gradient<T: Real>(x: &[T], upstream: &[T], window: Window, outputs: usize) -> Vec<T> {
    let picture_len = window.positions() * outputs;
    let stride = outputs.next_multiple_of(width::<T>());
    let together = (POSITIONS / window.positions()).max(1);
    let sums = sum_over_pictures(x, window, together, window.patch_len() * stride, |pictures, padded, sums| {
        let upstream = &upstream[pictures.start * picture_len..pictures.end * picture_len];
        add_pictures(padded, upstream, window, outputs, sums);
    });
    to_weight_order(&sums, window, outputs, stride)
}

/// Sums `add(pictures' indices, padded pictures, sums)` over a batch, at most `together` pictures a call; `len` sums, which
/// start as zeros.
pub(crate) fn sum_over_pictures<T: Real>(
    x: &[T],
    window: Window,
    together: usize,
    len: usize,
    add: impl Fn(Range<usize>, &Padded<T>, &mut [T]) + Sync,
) -> Vec<T> {
    let pictures = x.len() / window.input_len();
    let part = pictures.div_ceil(PARTS).max(1);
    let sum_part = |(number, x): (usize, &[T])| {
        let mut sums = vec![T::zero(); len];
        let mut padded = Padded::default();
        for (chunk, pictures) in x.chunks(together * window.input_len()).enumerate() {
            padded.fill(pictures, window, 0..window.rows.output);
            let first = number * part + chunk * together;
            add(first..first + pictures.len() / window.input_len(), &padded, &mut sums);
        }
        sums
    };
    let parts: Vec<Vec<T>> = x.par_chunks(part * window.input_len()).enumerate().map(sum_part).collect();
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_else(|| vec![T::zero(); len]);
    for part in parts {
        let slots = total.par_iter_mut().with_min_len(GRAIN).zip(&part);
        slots.for_each(|(total, &value)| *total += value);
    }
    total
}

/// Sums that one task adds: enough to outweigh the hand-over.
const GRAIN: usize = 16 * 1024;

/// From (window element, filled-up O) to (O, C, kh, kw).
fn to_weight_order<T: Real>(sums: &[T], window: Window, outputs: usize, stride: usize) -> Vec<T> {
    let (order, patch, width): (Vec<usize>, _, _) = (window_order(window).collect(), window.patch_len(), width::<T>());
    let mut weight = vec![T::zero(); outputs * patch];
    // A panel of outputs at a time: whole cache lines are read.
    weight.par_chunks_mut(width * patch).enumerate().for_each(|(panel, weight)| {
        for (sums, &to) in sums.chunks_exact(stride).zip(&order) {
            for (output, &sum) in weight.chunks_exact_mut(patch).zip(&sums[panel * width..]) {
                output[to] = sum;
            }
        }
    });
    weight
}

/// Adds the gradient of some pictures.
fn add_pictures<T: Real>(padded: &Padded<T>, upstream: &[T], window: Window, outputs: usize, sums: &mut [T]) {
    let blocks = padded.starts().chunks(POSITIONS).zip(upstream.chunks(POSITIONS * outputs));
    for (starts, upstream) in blocks {
        // Panels lie closer together than the columns of `upstream`, whose distance may be the cache's own.
        let upstream = Panels::of_rows(upstream, outputs);
        run(AddBlock { pixels: padded.pixels(), starts, upstream: &upstream, window, sums });
    }
}

/// Adds the gradient of some positions.
struct AddBlock<'a, T> {
    pixels: &'a [T],
    starts: &'a [usize],
    upstream: &'a Panels<T>,
    window: Window,
    sums: &'a mut [T],
}

impl<T: Real> Kernel<T> for AddBlock<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        with_rows!(T, L, self.tiles(lanes));
    }
}

impl<T: Real> AddBlock<'_, T> {
    #[inline(always)]
    fn tiles<L: Lanes<T>, const R: usize>(self, lanes: L) {
        let (runs, width) = (self.window.runs(), tile::width::<T, L>());
        let stride = self.sums.len() / runs.elements();
        for (panel, upstream) in self.upstream.iter().enumerate() {
            let tiles = (0..runs.count).flat_map(|row| (0..runs.len).step_by(R).map(move |at| (row, at)));
            for (row, at) in tiles {
                let offset = row * runs.stride + at;
                let sums = outer_products::<T, L, R>(lanes, self.pixels, self.starts, offset, upstream, T::zero());
                let first = row * runs.len + at;
                for (row, sum) in sums.into_iter().take(runs.len - at).enumerate() {
                    tile::add::<T, L>(lanes, sum, &mut self.sums[(first + row) * stride + panel * width..]);
                }
            }
        }
    }
}
