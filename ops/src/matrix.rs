//! Matrix products over plain slices.

use crate::host::Real;
use gemm::Parallelism;

/// A matrix seen through a slice: `rows × columns`, element `(r, c)` at `r · row_stride + c · column_stride`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> View<'a, T> {
    /// A row-major matrix that fills `data`.
    pub(crate) fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(
            data.len(),
            rows * columns,
            "a {rows}×{columns} matrix over {} elements. This is a bug.",
            data.len()
        );
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transposed matrix over the same elements.
    pub(crate) fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// What a product does with the elements that stand in the destination.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// They are added to.
    Accumulate,
    /// They are overwritten, never read.
    Overwrite,
}

/// Threads of one product.
#[derive(Clone, Copy)]
pub(crate) enum Threads {
    /// The calling thread alone: the caller runs many products side by side.
    One,
    /// All threads of the current rayon pool.
    Pool,
}

/// `destination ← (destination +) left · right`, the destination row-major.
pub(crate) fn multiply<T: Real>(
    destination: &mut [T],
    left: View<'_, T>,
    right: View<'_, T>,
    into: Into,
    threads: Threads,
) {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(inner, right.rows, "inner sizes of a matrix product differ. This is a bug.");
    assert_eq!(destination.len(), rows * columns, "destination of a matrix product has another size. This is a bug.");
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::Pool => Parallelism::Rayon(0),
    };
    let (one, accumulate) = (T::from_f64(1.0), into == Into::Accumulate);
    let strides = |view: View<'_, T>| (view.column_stride as isize, view.row_stride as isize);
    let ((left_columns, left_rows), (right_columns, right_rows)) = (strides(left), strides(right));
    #[expect(unsafe_code, reason = "gemm takes raw pointers")]
    // SAFETY: `View::new` and the assertions above hold every index r·row_stride + c·column_stride of the three
    // matrices inside their slices, and `destination` is borrowed mutably, so it overlaps neither factor.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            destination.as_mut_ptr(),
            1,
            columns as isize,
            accumulate,
            left.data.as_ptr(),
            left_columns,
            left_rows,
            right.data.as_ptr(),
            right_columns,
            right_rows,
            one,
            one,
            false,
            false,
            false,
            parallelism,
        );
    }
}
