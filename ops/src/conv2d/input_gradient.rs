//! The input gradient of convolution: for each tile of positions, the upstream gradient times a panel of weights, added to
//! the windows that the positions saw.

use super::forward::pictures_at_once;
use crate::aligned::Aligned;
use crate::fresh::fill_tasks;
use crate::host::Real;
use crate::panel::{Panels, panels_of_run, width};
use crate::simd::{Kernel, Lanes, run};
use crate::tile::{self, Runs, product, with_rows};
use crate::window::Window;

/// Positions whose windows are added to before the next: their part of the picture stays in the cache.
const POSITIONS: usize = 512;

/// Upstream gradient (B, H', W', O) → gradient of the input (B, H, W, C). One task a few pictures.
pub(super) fn gradient<T: Real>(upstream: &[T], weight: &Panels<T>, window: Window, outputs: usize) -> Vec<T> {
    let positions = window.positions();
    let batch = upstream.len() / (positions * outputs);
    let pictures = pictures_at_once(batch, POSITIONS, positions);
    fill_tasks(batch * window.input_len(), pictures * window.input_len(), |index, out| {
        let (first, count) = (index * pictures, out.len() / window.input_len());
        let upstream = &upstream[first * positions * outputs..][..count * positions * outputs];
        // Panels add zeros beyond the end of a kernel row.
        let mut padded = Aligned::filled(T::zero(), count * window.padded_len() + width::<T>());
        let of_picture = |picture: usize| {
            window.starts(0..window.rows.output).map(move |start| picture * window.padded_len() + start)
        };
        let starts: Vec<usize> = (0..count).flat_map(of_picture).collect();
        run(Spread { upstream, weight, window, outputs, starts: &starts, padded: &mut padded });
        for (out, padded) in out.chunks_exact_mut(window.input_len()).zip(padded.chunks(window.padded_len())) {
            window.unpad(padded, out);
        }
    })
}

struct Spread<'a, T> {
    upstream: &'a [T],
    weight: &'a Panels<T>,
    window: Window,
    outputs: usize,
    starts: &'a [usize],
    padded: &'a mut [T],
}

impl<T: Real> Kernel<T> for Spread<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        with_rows!(T, L, self.tiles(lanes));
    }
}

impl<T: Real> Spread<'_, T> {
    #[inline(always)]
    fn tiles<L: Lanes<T>, const R: usize>(self, lanes: L) {
        let width = tile::width::<T, L>();
        let (row, zero) = (Runs { count: 1, stride: 0, len: self.outputs }, [lanes.splat(T::zero()); 2]);
        for (block, starts) in self.starts.chunks(POSITIONS).enumerate() {
            for (panel, weight) in self.weight.iter().enumerate() {
                let (kernel_row, part) =
                    (panel / panels_of_run::<T>(self.window), panel % panels_of_run::<T>(self.window));
                let offset = kernel_row * self.window.padded_line() + part * width;
                for (tile, starts) in starts.chunks(R).enumerate() {
                    let first = block * POSITIONS + tile * R;
                    let rows: [usize; R] =
                        std::array::from_fn(|row| (first + row.min(starts.len() - 1)) * self.outputs);
                    let sums = product::<T, L, R>(lanes, self.upstream, row, &rows, weight, [zero; R]);
                    for (row, start) in sums.into_iter().zip(starts) {
                        tile::add::<T, L>(lanes, row, &mut self.padded[start + offset..]);
                    }
                }
            }
        }
    }
}
