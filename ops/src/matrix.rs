//! Matrix products in register tiles.

use crate::host::Real;
use crate::panel::{self, Panels};
use crate::simd::{Kernel, Lanes, run};
use crate::tile::{self, Runs, product, with_rows};
use rayon::prelude::*;

/// Rows and panels that one task computes at most: enough to amortise reading both factors.
const ROWS: usize = 192;
const PANELS: usize = 16;

/// Elements of the inner dimension that are summed before the sums are written back: rows and panel stay in the cache.
const DEPTH: usize = 256;

/// out (rows, columns) += left (rows, depth) · right, whose panels cover (depth, columns).
pub(crate) fn multiply<T: Real>(left: &[T], depth: usize, right: &Panels<T>, columns: usize, out: &mut [T]) {
    assert_eq!(left.len() * columns, out.len() * depth, "sizes of a matrix product differ. This is a bug.");
    if out.is_empty() {
        return;
    }
    let rows = rows_at_once(out.len() / columns);
    let blocks = out.par_chunks_mut(rows * columns).zip(left.par_chunks(rows * depth));
    blocks.for_each(|(out, left)| {
        let parts = parts(out, columns, PANELS * panel::width::<T>());
        parts.into_par_iter().enumerate().for_each(|(part, mut out)| {
            run(Multiply { left, depth, right, first: part * PANELS, out: &mut out });
        });
    });
}

/// Rows of a task: no more than [`ROWS`], and tasks of nearly the same size.
fn rows_at_once(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(ROWS))
}

/// Rows of `columns` elements, cut into parts of `width` columns: for each part its piece of every row.
fn parts<T>(rows: &mut [T], columns: usize, width: usize) -> Vec<Vec<&mut [T]>> {
    let mut parts: Vec<Vec<&mut [T]>> = (0..columns).step_by(width).map(|_| Vec::new()).collect();
    for row in rows.chunks_exact_mut(columns) {
        for (part, piece) in parts.iter_mut().zip(row.chunks_mut(width)) {
            part.push(piece);
        }
    }
    parts
}

struct Multiply<'a, 'b, T> {
    left: &'a [T],
    depth: usize,
    right: &'a Panels<T>,
    /// The first panel of `out`'s columns.
    first: usize,
    /// The rows, from that panel's first column on.
    out: &'a mut [&'b mut [T]],
}

impl<T: Real> Kernel<T> for Multiply<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        with_rows!(T, L, self.tiles(lanes));
    }
}

impl<T: Real> Multiply<'_, '_, T> {
    #[inline(always)]
    fn tiles<L: Lanes<T>, const R: usize>(self, lanes: L) {
        let (width, columns) = (tile::width::<T, L>(), self.out[0].len());
        for start in (0..self.depth).step_by(DEPTH) {
            let runs = Runs { count: 1, stride: 0, len: DEPTH.min(self.depth - start) };
            let panels = self.right.iter().skip(self.first).take(columns.div_ceil(width));
            for (panel, right) in panels.enumerate() {
                let right = &right[start * width..][..runs.len * width];
                let columns = panel * width..columns.min((panel + 1) * width);
                for (tile, out) in self.out.chunks_mut(R).enumerate() {
                    let last = out.len() - 1;
                    let starts: [usize; R] = std::array::from_fn(|row| (tile * R + row.min(last)) * self.depth + start);
                    let initial = std::array::from_fn(|row| {
                        tile::load_some::<T, L>(lanes, &out[row.min(last)][columns.clone()], T::zero())
                    });
                    let sums = product::<T, L, R>(lanes, self.left, runs, &starts, right, initial);
                    for (sums, out) in sums.into_iter().zip(out) {
                        tile::store::<T, L>(lanes, sums, &mut out[columns.clone()], T::zero());
                    }
                }
            }
        }
    }
}

/// The transpose of a matrix with `columns` columns.
pub(crate) fn transposed<T: Real>(matrix: &[T], columns: usize) -> Vec<T> {
    let rows = matrix.len() / columns;
    let mut out = vec![T::zero(); matrix.len()];
    // Some columns at a time: whole cache lines are read.
    const COLUMNS: usize = 16;
    out.par_chunks_mut(COLUMNS * rows).enumerate().for_each(|(block, out)| {
        for (row, from) in matrix.chunks_exact(columns).enumerate() {
            for (column, &value) in from[block * COLUMNS..].iter().take(COLUMNS).enumerate() {
                out[column * rows + row] = value;
            }
        }
    });
    out
}
