//! The input gradient where all that a pooled window saw fits into registers: kernels over few channels.
//!
//! Every pooled window adds to one small patch of the picture: a kernel for each output, shifted to the position that won.
//! The patch stays in registers while the outputs are summed.

use super::{NONE, Sizes};
use crate::aligned::Aligned;
use crate::host::Real;
use crate::panel::{width, window_order};
use crate::simd::{Kernel, Lanes};

/// Rows of the largest patch.
const ROWS: usize = 8;

/// For each output, and each position that can win or none: its kernel within the patch, one vector a row.
pub(super) struct Patches<T> {
    elements: Aligned<T>,
    rows: usize,
}

impl<T: Real> Patches<T> {
    /// None if a row of the patch is longer than a vector, or there are too many rows.
    pub(super) fn new(weight: &[T], sizes: Sizes) -> Option<Self> {
        let (window, vector) = (sizes.window, width::<T>() / 2);
        let rows = window.rows.kernel + window.rows.stride;
        let len = (window.columns.kernel + window.columns.stride) * window.channels;
        if len > vector || rows > ROWS {
            return None;
        }
        let (runs, order): (_, Vec<usize>) = (window.runs(), window_order(window).collect());
        let mut elements = Aligned::filled(T::zero(), sizes.outputs * usize::from(NONE + 1) * rows * vector);
        for (slot, patch) in elements.chunks_exact_mut(rows * vector).enumerate() {
            let (output, won) = (slot / usize::from(NONE + 1), slot % usize::from(NONE + 1));
            if won == usize::from(NONE) {
                continue;
            }
            let (down, right) = (won / 2 * window.rows.stride, won % 2 * window.columns.stride * window.channels);
            for (row, order) in order.chunks_exact(runs.len).enumerate() {
                for (element, &from) in order.iter().enumerate() {
                    patch[(row + down) * vector + element + right] = weight[output * runs.elements() + from];
                }
            }
        }
        Some(Self { elements, rows })
    }
}

/// Adds to each pooled window's patch.
pub(super) struct Accumulate<'a, T> {
    pub(super) g: &'a [T],
    pub(super) won: &'a [u8],
    pub(super) patches: &'a Patches<T>,
    pub(super) sizes: Sizes,
    pub(super) starts: &'a [usize],
    /// A padded picture, and a vector's length.
    pub(super) padded: &'a mut [T],
}

impl<T: Real> Kernel<T> for Accumulate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        match self.patches.rows {
            4 => self.windows::<L, 4>(lanes),
            6 => self.windows::<L, 6>(lanes),
            _ => self.windows::<L, ROWS>(lanes),
        }
    }
}

impl<T: Real> Accumulate<'_, T> {
    #[inline(always)]
    #[expect(unsafe_code, reason = "vectors are read and written through pointers")]
    fn windows<L: Lanes<T>, const R: usize>(self, lanes: L) {
        let (outputs, rows, stride) = (self.sizes.outputs, self.patches.rows, self.sizes.window.padded_line());
        let patch_len = rows * L::WIDTH;
        let windows = self.won.chunks_exact(outputs).zip(self.g.chunks_exact(outputs));
        for (&start, (won, g)) in self.starts.iter().zip(windows) {
            let mut sums = [lanes.splat(T::zero()); R];
            let kernels = self.patches.elements.chunks_exact(usize::from(NONE + 1) * patch_len);
            for ((&won, &g), kernels) in won.iter().zip(g).zip(kernels) {
                let patch = &kernels[usize::from(won.min(NONE)) * patch_len..][..patch_len];
                let g = lanes.splat(g);
                for (sum, row) in sums.iter_mut().zip(patch.chunks_exact(L::WIDTH)) {
                    // SAFETY: the row is one vector long.
                    *sum = unsafe { lanes.multiply_add(g, lanes.load(row.as_ptr()), *sum) };
                }
            }
            for (row, sum) in sums.into_iter().enumerate().take(rows) {
                let to = &mut self.padded[start + row * stride..][..L::WIDTH];
                // SAFETY: the slice is one vector long.
                unsafe { lanes.store(to.as_mut_ptr(), lanes.add(lanes.load(to.as_ptr()), sum)) };
            }
        }
    }
}
