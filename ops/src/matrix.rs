//! Matrix products in register tiles.

use crate::host::Real;
use crate::panel::Panels;
use crate::simd::{Kernel, Lanes, run};
use crate::tile::{self, Runs, product, with_rows};
use rayon::prelude::*;

/// Rows that one task computes: enough to amortise reading the panels.
const ROWS: usize = 96;

/// Elements of the inner dimension that are summed before the sums are written back: rows and panel stay in the cache.
const DEPTH: usize = 512;

/// out (rows, columns) += left (rows, depth) · right, whose panels cover (depth, columns).
pub(crate) fn multiply<T: Real>(left: &[T], depth: usize, right: &Panels<T>, columns: usize, out: &mut [T]) {
    assert_eq!(left.len() * columns, out.len() * depth, "sizes of a matrix product differ. This is a bug.");
    let blocks = out.par_chunks_mut(ROWS * columns).zip(left.par_chunks(ROWS * depth));
    blocks.for_each(|(out, left)| run(Multiply { left, depth, right, columns, out }));
}

struct Multiply<'a, T> {
    left: &'a [T],
    depth: usize,
    right: &'a Panels<T>,
    columns: usize,
    out: &'a mut [T],
}

impl<T: Real> Kernel<T> for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        with_rows!(T, L, self.tiles(lanes));
    }
}

impl<T: Real> Multiply<'_, T> {
    #[inline(always)]
    fn tiles<L: Lanes<T>, const R: usize>(self, lanes: L) {
        let width = tile::width::<T, L>();
        for start in (0..self.depth).step_by(DEPTH) {
            let len = DEPTH.min(self.depth - start);
            for (panel, right) in self.right.iter().enumerate() {
                let right = &right[start * width..][..len * width];
                let columns = panel * width..self.columns.min((panel + 1) * width);
                for (tile, out) in self.out.chunks_mut(R * self.columns).enumerate() {
                    let last = out.len() / self.columns - 1;
                    let starts: [usize; R] = std::array::from_fn(|row| (tile * R + row.min(last)) * self.depth + start);
                    let row = |row: usize| row.min(last) * self.columns;
                    let initial = std::array::from_fn(|r| {
                        tile::load_some::<T, L>(lanes, &out[row(r)..][columns.clone()], T::zero())
                    });
                    let runs = Runs { count: 1, stride: 0, len };
                    let sums = product::<T, L, R>(lanes, self.left, runs, &starts, right, initial);
                    for (sums, out) in sums.into_iter().zip(out.chunks_exact_mut(self.columns)) {
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
