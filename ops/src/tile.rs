//! The register tiles: the inner loops in which convolution spends its time.
//!
//! A tile has R rows and two vectors a row, all in registers. One step of its inner loop reads two vectors of one factor
//! and one element of the other a row, so that arithmetic, not memory, is the limit.

use crate::simd::Lanes;

/// What one row of a product's left factor is made of: `count` runs of `len` elements, `stride` apart.
///
/// The window of a convolution over a channels-last picture is that: one run a kernel row. A plain row is one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) count: usize,
    pub(crate) stride: usize,
    pub(crate) len: usize,
}

impl Runs {
    /// Elements of one row.
    pub(crate) fn elements(&self) -> usize {
        self.count * self.len
    }

    /// Elements from a row's first to its last, and one.
    fn reach(&self) -> usize {
        (self.count - 1) * self.stride + self.len
    }
}

/// Elements of the two longest vectors of any instruction set.
const LARGEST: usize = 32;

/// Elements of the two vectors of a tile's row.
pub(crate) const fn width<T, L: Lanes<T>>() -> usize {
    2 * L::WIDTH
}

/// initial + left · panel: R rows of `left`, which start at `starts`, times a panel (elements of a row, two vectors).
#[inline(always)]
#[expect(unsafe_code, reason = "bounds are checked once a tile, not once an element")]
pub(crate) fn product<T: Copy, L: Lanes<T>, const R: usize>(
    lanes: L,
    left: &[T],
    runs: Runs,
    starts: &[usize; R],
    panel: &[T],
    initial: [[L::Vector; 2]; R],
) -> [[L::Vector; 2]; R] {
    let last = starts.iter().copied().max().unwrap_or(0);
    assert!(last + runs.reach() <= left.len(), "a tile's row ends beyond its factor. This is a bug.");
    assert!(runs.elements() * width::<T, L>() <= panel.len(), "a panel is shorter than a row. This is a bug.");
    let mut sums = initial;
    let mut weights = panel.as_ptr();
    for run in 0..runs.count {
        // SAFETY: every start plus the runs' reach lies inside `left`, and `weights` advances by one width for each element of
        // a row, of which `panel` has enough: both asserted above.
        unsafe {
            let rows: [*const T; R] = std::array::from_fn(|row| left.as_ptr().add(starts[row] + run * runs.stride));
            for element in 0..runs.len {
                let (first, second) = (lanes.load(weights), lanes.load(weights.add(L::WIDTH)));
                weights = weights.add(width::<T, L>());
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    let value = lanes.splat(row.add(element).read());
                    sums[0] = lanes.multiply_add(value, first, sums[0]);
                    sums[1] = lanes.multiply_add(value, second, sums[1]);
                }
            }
        }
    }
    sums
}

/// Σ over positions p of column(p) ⊗ row(p): R elements of `left` from `starts[p] + offset`, times row p of a panel.
#[inline(always)]
#[expect(unsafe_code, reason = "bounds are checked once a tile, not once an element")]
pub(crate) fn outer_products<T: Copy, L: Lanes<T>, const R: usize>(
    lanes: L,
    left: &[T],
    starts: &[usize],
    offset: usize,
    panel: &[T],
    zero: T,
) -> [[L::Vector; 2]; R] {
    let last = starts.iter().copied().max().unwrap_or(0);
    assert!(last + offset + R <= left.len(), "a tile's column ends beyond its factor. This is a bug.");
    assert!(starts.len() * width::<T, L>() <= panel.len(), "a panel has too few rows. This is a bug.");
    let mut sums = [[lanes.splat(zero); 2]; R];
    let mut row = panel.as_ptr();
    for &start in starts {
        // SAFETY: both factors hold what the last position reads: asserted above.
        unsafe {
            let values = left.as_ptr().add(start + offset);
            let (first, second) = (lanes.load(row), lanes.load(row.add(L::WIDTH)));
            row = row.add(width::<T, L>());
            for (element, sums) in sums.iter_mut().enumerate() {
                let value = lanes.splat(values.add(element).read());
                sums[0] = lanes.multiply_add(value, first, sums[0]);
                sums[1] = lanes.multiply_add(value, second, sums[1]);
            }
        }
    }
    sums
}

/// Writes the two vectors of a row to `to`, or as much of them as `to` has room for.
#[inline(always)]
#[expect(unsafe_code, reason = "vectors are written through pointers")]
pub(crate) fn store<T: Copy, L: Lanes<T>>(lanes: L, row: [L::Vector; 2], to: &mut [T], zero: T) {
    if to.len() >= width::<T, L>() {
        // SAFETY: two vectors have room.
        unsafe {
            lanes.store(to.as_mut_ptr(), row[0]);
            lanes.store(to.as_mut_ptr().add(L::WIDTH), row[1]);
        }
    } else {
        let mut whole = [zero; LARGEST];
        // SAFETY: no instruction set's two vectors have more elements than `whole`.
        unsafe {
            lanes.store(whole.as_mut_ptr(), row[0]);
            lanes.store(whole.as_mut_ptr().add(L::WIDTH), row[1]);
        }
        to.copy_from_slice(&whole[..to.len()]);
    }
}

/// The two vectors at the start of `from`, or as much of them as there is and zeros.
#[inline(always)]
pub(crate) fn load_some<T: Copy, L: Lanes<T>>(lanes: L, from: &[T], zero: T) -> [L::Vector; 2] {
    if from.len() >= width::<T, L>() {
        return load(lanes, from);
    }
    let mut whole = [zero; LARGEST];
    whole[..from.len()].copy_from_slice(from);
    load(lanes, &whole)
}

/// Adds the two vectors of a row to `to`.
#[inline(always)]
#[expect(unsafe_code, reason = "vectors are read and written through pointers")]
pub(crate) fn add<T: Copy, L: Lanes<T>>(lanes: L, row: [L::Vector; 2], to: &mut [T]) {
    assert!(to.len() >= width::<T, L>(), "no room for a tile's row. This is a bug.");
    // SAFETY: two vectors have room.
    unsafe {
        let (first, second) = (to.as_mut_ptr(), to.as_mut_ptr().add(L::WIDTH));
        lanes.store(first, lanes.add(lanes.load(first), row[0]));
        lanes.store(second, lanes.add(lanes.load(second), row[1]));
    }
}

/// The two vectors at the start of `from`.
#[inline(always)]
#[expect(unsafe_code, reason = "vectors are read through pointers")]
pub(crate) fn load<T: Copy, L: Lanes<T>>(lanes: L, from: &[T]) -> [L::Vector; 2] {
    assert!(from.len() >= width::<T, L>(), "too few elements for a tile's row. This is a bug.");
    // SAFETY: two vectors lie there.
    unsafe { [lanes.load(from.as_ptr()), lanes.load(from.as_ptr().add(L::WIDTH))] }
}

/// R starts, the last one repeated where there are fewer: a tile at the edge computes some rows twice.
#[inline(always)]
pub(crate) fn filled<const R: usize>(starts: &[usize]) -> [usize; R] {
    std::array::from_fn(|row| starts[row.min(starts.len() - 1)])
}

/// Calls `kernel.method::<L, R>(arguments)` with R = `L::ROWS`, which a type cannot name.
macro_rules! with_rows {
    ($real:ty, $lanes:ty, $kernel:ident.$method:ident($($argument:expr),*)) => {
        match <$lanes as $crate::simd::Lanes<$real>>::ROWS {
            12 => $kernel.$method::<$lanes, 12>($($argument),*),
            6 => $kernel.$method::<$lanes, 6>($($argument),*),
            _ => $kernel.$method::<$lanes, 4>($($argument),*),
        }
    };
}
pub(crate) use with_rows;
