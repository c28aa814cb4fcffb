//! Products of small matrices on the calling thread, for callers that run many of them side by side.

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
        let len = data.len();
        assert_eq!(len, rows * columns, "a {rows}×{columns} matrix over {len} elements. This is a bug.");
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transposed matrix over the same elements.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `destination ← left · right`, the destination row-major; what stands there is overwritten, never read.
pub(crate) fn multiply<T: Real>(destination: &mut [T], left: View<'_, T>, right: View<'_, T>) {
    let (rows, inner, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(inner, right.rows, "inner sizes of a matrix product differ. This is a bug.");
    assert_eq!(destination.len(), rows * columns, "destination of a matrix product has another size. This is a bug.");
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
            false,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            T::zero(),
            T::one(),
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
