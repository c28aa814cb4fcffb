//! Weights in the order in which a tile reads them.

use crate::aligned::Aligned;
use crate::host::Real;
use crate::simd::{Kernel, Lanes, run};
use crate::tile;
use crate::window::Window;
use rayon::prelude::*;

/// Elements of a panel's row: two vectors of the instruction set in use.
pub(crate) fn width<T: Real>() -> usize {
    struct Width;
    impl<T> Kernel<T> for Width {
        type Output = usize;
        #[inline(always)]
        fn run<L: Lanes<T>>(self, _: L) -> usize {
            tile::width::<T, L>()
        }
    }
    run::<T, _>(Width)
}

/// A matrix (depth, columns) cut into panels of [`width`] columns; the last one is filled up with zeros.
pub(crate) struct Panels<T> {
    elements: Aligned<T>,
    depth: usize,
    width: usize,
}

impl<T: Real> Panels<T> {
    /// `count` panels of `depth` rows; `pack(panel, rows)` writes one that starts as zeros.
    fn pack(count: usize, depth: usize, pack: impl Fn(usize, &mut [T]) + Sync) -> Self {
        let width = width::<T>();
        let mut elements = Aligned::filled(T::zero(), count * depth * width);
        elements.par_chunks_mut(depth * width).enumerate().for_each(|(panel, rows)| pack(panel, rows));
        Self { elements, depth, width }
    }

    /// The weight (O, C, kh, kw) with a row for each element of a window, in the window's order, and a column for each output.
    pub(crate) fn of_windows(weight: &[T], outputs: usize, window: Window) -> Self {
        let (width, patch) = (width::<T>(), window.patch_len());
        Self::pack(outputs.div_ceil(width), patch, |panel, rows| {
            let columns = weight.chunks_exact(patch).skip(panel * width).take(width);
            for (column, weight) in columns.enumerate() {
                for (row, from) in window_order(window).enumerate() {
                    rows[row * width + column] = weight[from];
                }
            }
        })
    }

    /// The weight (O, C, kh, kw) with a row for each output and a column for each element of a window. Panels do not span
    /// kernel rows: each kernel row has [`panels_of_run`] of them.
    pub(crate) fn of_outputs(weight: &[T], outputs: usize, window: Window) -> Self {
        let (width, patch, run) = (width::<T>(), window.patch_len(), window.runs().len);
        let order: Vec<usize> = window_order(window).collect();
        Self::pack(window.rows.kernel * panels_of_run::<T>(window), outputs, |panel, rows| {
            let (kernel_row, part) = (panel / panels_of_run::<T>(window), panel % panels_of_run::<T>(window));
            let order = &order[kernel_row * run..][..run][part * width..];
            for (row, weight) in rows.chunks_exact_mut(width).zip(weight.chunks_exact(patch)) {
                for (to, &from) in row.iter_mut().zip(order) {
                    *to = weight[from];
                }
            }
        })
    }

    /// The transpose of a matrix (columns, depth).
    pub(crate) fn of_columns(matrix: &[T], depth: usize) -> Self {
        let width = width::<T>();
        Self::pack((matrix.len() / depth).div_ceil(width), depth, |panel, rows| {
            for (column, from) in matrix.chunks_exact(depth).skip(panel * width).take(width).enumerate() {
                rows.chunks_exact_mut(width).zip(from).for_each(|(row, &value)| row[column] = value);
            }
        })
    }

    /// A matrix (depth, columns).
    pub(crate) fn of_rows(matrix: &[T], columns: usize) -> Self {
        let width = width::<T>();
        Self::pack(columns.div_ceil(width), matrix.len() / columns, |panel, rows| {
            for (row, from) in rows.chunks_exact_mut(width).zip(matrix.chunks_exact(columns)) {
                let part = &from[panel * width..columns.min((panel + 1) * width)];
                row[..part.len()].copy_from_slice(part);
            }
        })
    }

    /// The panels in order, (depth, width) each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[T]> {
        self.elements.chunks_exact(self.depth * self.width)
    }
}

/// How many panels the elements of one kernel row fill.
pub(crate) fn panels_of_run<T: Real>(window: Window) -> usize {
    window.runs().len.div_ceil(width::<T>())
}

/// For each element of a window (kernel row, kernel column, channel): its place in a weight's (C, kh, kw).
pub(crate) fn window_order(window: Window) -> impl Iterator<Item = usize> {
    let (channels, height, width) = (window.channels, window.rows.kernel, window.columns.kernel);
    let places =
        move |row: usize, column: usize| (0..channels).map(move |channel| (channel * height + row) * width + column);
    (0..height).flat_map(move |row| (0..width).flat_map(move |column| places(row, column)))
}
