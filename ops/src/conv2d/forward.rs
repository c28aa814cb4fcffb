//! Convolution forward: for each tile of positions, the windows' rows times a panel of weights.

use crate::aligned::Aligned;
use crate::fresh::fill_tasks;
use crate::host::Real;
use crate::panel::Panels;
use crate::simd::{Kernel, Lanes, run};
use crate::tile::{self, Runs, product, with_rows};
use crate::window::Window;
use rayon::prelude::*;
use std::ops::Range;

/// Elements after the last picture: no tile and no vector is longer.
const SLACK: usize = 16;

/// Positions that one task computes: enough to amortise reading the weights, few enough to stay in the cache.
const POSITIONS: usize = 1024;

/// x (B, H, W, C) → (B, H', W', O), one task a few small pictures or some rows of a large one.
pub(super) fn convolve<T: Real>(x: &[T], weight: &Panels<T>, bias: &[T], window: Window) -> Vec<T> {
    let (outputs, positions) = (bias.len(), window.positions());
    let batch = x.len() / window.input_len();
    let pictures = pictures_at_once(batch, POSITIONS, positions);
    let rows = (POSITIONS / window.columns.output).clamp(1, window.rows.output);
    let band = if pictures > 1 { pictures * positions } else { rows * window.columns.output } * outputs;
    let bias = padded_bias(bias);
    let task = pictures * positions * outputs;
    fill_tasks(batch * positions * outputs, task, |index, out| {
        let first = index * pictures * window.input_len();
        let x = &x[first..x.len().min(first + pictures * window.input_len())];
        out.par_chunks_mut(band).enumerate().for_each_init(Padded::default, |padded, (index, out)| {
            let first = index * rows;
            let rows = if pictures > 1 {
                0..window.rows.output
            } else {
                first..first + out.len() / outputs / window.columns.output
            };
            padded.fill(x, window, rows);
            padded.convolve(weight, &bias, outputs, out);
        });
    })
}

/// How many pictures one task takes: as many as have `wanted` positions, but so few that there are tasks to share out.
pub(super) fn pictures_at_once(batch: usize, wanted: usize, positions: usize) -> usize {
    const TASKS: usize = 8;
    (wanted / positions).min(batch.div_ceil(TASKS)).max(1)
}

/// The bias, zeros up to whole panels.
pub(crate) fn padded_bias<T: Real>(bias: &[T]) -> Vec<T> {
    let mut bias = bias.to_vec();
    bias.resize(bias.len().next_multiple_of(crate::panel::width::<T>()), T::zero());
    bias
}

/// Pictures, or some rows of one, with zeros around them, and where each window starts. Reused from task to task.
pub(crate) struct Padded<T> {
    pixels: Aligned<T>,
    starts: Vec<usize>,
    runs: Runs,
}

impl<T: Copy> Default for Padded<T> {
    fn default() -> Self {
        Self { pixels: Aligned::new(), starts: Vec::new(), runs: Runs { count: 1, stride: 0, len: 0 } }
    }
}

impl<T: Real> Padded<T> {
    /// Takes what the windows of the output rows `rows` see, of every picture in `x`.
    pub(crate) fn fill(&mut self, x: &[T], window: Window, rows: Range<usize>) {
        let under = window.rows_under(&rows);
        let picture_len = under.len() * window.padded_line();
        let pictures = x.len() / window.input_len();
        // Tiles and vectors read beyond the last window.
        self.pixels.resize(T::zero(), pictures * picture_len + SLACK);
        self.runs = window.runs();
        self.starts.clear();
        let slots = self.pixels.chunks_exact_mut(picture_len).zip(x.chunks_exact(window.input_len()));
        for (picture, (slot, from)) in slots.enumerate() {
            window.pad(from, under.clone(), slot);
            self.starts.extend(window.starts(rows.clone()).map(|start| picture * picture_len + start));
        }
    }

    /// The padded pixels.
    pub(crate) fn pixels(&self) -> &[T] {
        &self.pixels
    }

    /// Where each window starts among them.
    pub(crate) fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Writes the convolution at every window to `out` (windows, O), O ≤ bias.
    pub(crate) fn convolve(&self, weight: &Panels<T>, bias: &[T], outputs: usize, out: &mut [T]) {
        run(Convolve { padded: self, weight, bias, outputs, out });
    }
}

struct Convolve<'a, T> {
    padded: &'a Padded<T>,
    weight: &'a Panels<T>,
    /// Zeros up to whole panels.
    bias: &'a [T],
    outputs: usize,
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for Convolve<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        with_rows!(T, L, self.tiles(lanes));
    }
}

impl<T: Real> Convolve<'_, T> {
    #[inline(always)]
    fn tiles<L: Lanes<T>, const R: usize>(self, lanes: L) {
        let Padded { pixels, starts, runs } = self.padded;
        let width = tile::width::<T, L>();
        let panels = self.weight.iter().zip(self.bias.chunks_exact(width)).enumerate();
        for (panel, (weight, bias)) in panels {
            let initial = tile::load::<T, L>(lanes, bias);
            let columns = panel * width..self.outputs.min((panel + 1) * width);
            let tiles = starts.chunks(R).zip(self.out.chunks_mut(R * self.outputs));
            for (starts, out) in tiles {
                let sums = product::<T, L, R>(lanes, pixels, *runs, &tile::filled(starts), weight, [initial; R]);
                for (row, out) in sums.into_iter().zip(out.chunks_exact_mut(self.outputs)) {
                    tile::store::<T, L>(lanes, row, &mut out[columns.clone()], T::zero());
                }
            }
        }
    }
}
