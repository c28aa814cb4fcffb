//! All distances between two sets of points.

use crate::host::{Real, cuda_through_host, slice, with_real};
use crate::matrix::{multiply, transposed};
use crate::panel::Panels;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Lanes of a sum: independent partial sums, so that the compiler may keep them in one register.
const LANES: usize = 16;

/// All distances between the rows of x and y: (N, D), (M, D) → (N, M).
///
/// √max(0, ‖x‖² + ‖y‖² − 2⟨x, y⟩), where a NaN stays one. With upstream gradient g, the gradient of xᵢ is
/// Σⱼ gᵢⱼ/dᵢⱼ · (xᵢ − yⱼ), and of yⱼ likewise. Terms whose distance is no more than rounding noise (1e-7 in `f64`, 1e-3
/// in `f32`) are dropped: their direction is noise, of length 1.
///
/// # Errors
/// If the rows have different lengths, or the element type is neither `f32` nor `f64`.
pub fn distance_matrix(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let ((_, left), (_, right)) = (x.dims2()?, y.dims2()?);
    if left != right {
        candle_core::bail!("distance_matrix: rows of x have {left} values, rows of y {right}");
    }
    if x.elem_count() == 0 || y.elem_count() == 0 {
        candle_core::bail!("distance_matrix: needs points to measure, got {:?} and {:?}", x.dims(), y.dims());
    }
    x.contiguous()?.apply_op2(&y.contiguous()?, DistanceMatrix)
}

/// What the element types of distances need beyond arithmetic.
pub(crate) trait Length: Real {
    /// A distance up to which the difference of two points is rounding noise.
    const NOISE: Self;
    /// √x
    fn root(self) -> Self;
}

impl Length for f32 {
    const NOISE: Self = 1e-3;
    fn root(self) -> Self {
        self.sqrt()
    }
}

impl Length for f64 {
    const NOISE: Self = 1e-7;
    fn root(self) -> Self {
        self.sqrt()
    }
}

/// The squared length of each row.
pub(crate) fn squares<T: Length>(rows: &[T], dim: usize) -> Vec<T> {
    rows.par_chunks(dim).map(|row| lanes(row.len(), |index| row[index] * row[index])).collect()
}

/// The sum of `term(0..count)`, in an order that depends on `count` alone.
#[inline(always)]
pub(crate) fn lanes<T: Length>(count: usize, term: impl Fn(usize) -> T) -> T {
    let mut sums = [T::zero(); LANES];
    let whole = count - count % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += term(start + lane);
        }
    }
    for index in whole..count {
        sums[index - whole] += term(index);
    }
    sums.into_iter().fold(T::zero(), |total, sum| total + sum)
}

/// The distances from rows of `dim` values to points, row-major: `columns` holds the points transposed, and `squares`
/// their squared lengths.
pub(crate) fn distances<T: Length>(rows: &[T], dim: usize, columns: &Panels<T>, column_squares: &[T]) -> Vec<T> {
    let mut distances = products(rows, dim, columns, column_squares.len());
    distances.par_chunks_mut(column_squares.len()).zip(squares(rows, dim)).for_each(|(row, square)| {
        to_distances(row, square, column_squares);
    });
    distances
}

/// The scalar products of rows and columns, row-major, of `count` columns.
pub(crate) fn products<T: Length>(rows: &[T], dim: usize, columns: &Panels<T>, count: usize) -> Vec<T> {
    let mut products = vec![T::zero(); rows.len() / dim * count];
    multiply(rows, dim, columns, count, &mut products);
    products
}

/// Turns a row of scalar products into distances, given the squared lengths of its point and of the columns.
pub(crate) fn to_distances<T: Length>(row: &mut [T], square: T, column_squares: &[T]) {
    let minus_two = T::from_f64(-2.0);
    for (value, &other_square) in row.iter_mut().zip(column_squares) {
        let squared = *value * minus_two + square + other_square;
        // A NaN compares false and stays: it must not become a clean 0.
        *value = if squared <= T::zero() { T::zero() } else { squared.root() };
    }
}

struct DistanceMatrix;

impl CustomOp2 for DistanceMatrix {
    fn name(&self) -> &'static str {
        "distance-matrix"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn forward<T: Length>(x: &[T], y: &[T], dim: usize) -> CpuStorage {
            T::to_cpu_storage_owned(distances(x, dim, &Panels::of_columns(y, dim), &squares(y, dim)))
        }
        let ((rows, dim), (columns, _)) = (x_layout.shape().dims2()?, y_layout.shape().dims2()?);
        let distances = with_real!(x, T => forward::<T>(slice(x, x_layout)?, slice(y, y_layout)?, dim));
        Ok((distances, Shape::from((rows, columns))))
    }

    cuda_through_host!(x x_layout, y y_layout);

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        distances: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let pulls = distances.apply_op2_no_bwd(&gradient.contiguous()?, &Pulls)?; // (N, M)
        let of = |points: &Tensor, others: &Tensor, side| {
            points.track_op().then(|| pulls.apply_op3_no_bwd(points, others, &side)).transpose()
        };
        Ok((of(x, y, Side::Rows)?, of(y, x, Side::Columns)?))
    }
}

/// (distances, upstream gradient) → minus gradient / distance, or 0 where the distance is noise.
struct Pulls;

impl CustomOp2 for Pulls {
    fn name(&self) -> &'static str {
        "distance-matrix-pulls"
    }

    fn cpu_fwd(
        &self,
        d: &CpuStorage,
        d_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn pulls<T: Length>(d: &[T], g: &[T]) -> CpuStorage {
            let pull = |(&d, &g): (&T, &T)| if d <= T::NOISE { T::zero() } else { T::zero() - g / d };
            T::to_cpu_storage_owned(d.par_iter().zip(g).with_min_len(16 * 1024).map(pull).collect())
        }
        let pulls = with_real!(d, T => pulls::<T>(slice(d, d_layout)?, slice(g, g_layout)?));
        Ok((pulls, d_layout.shape().clone()))
    }

    cuda_through_host!(d d_layout, g g_layout);
}

/// Which of the two sets of points a gradient is for: the one along the rows of the matrix, or along its columns.
enum Side {
    Rows,
    Columns,
}

impl Side {
    /// Σⱼ aᵢⱼ(xᵢ − yⱼ) = (Σⱼ aᵢⱼ)xᵢ + Σⱼ(−aᵢⱼ)yⱼ, where −a are the pulls, x the points and y the others.
    fn gradient<T: Length>(&self, pulls: &[T], columns: usize, points: &[T], others: &[T], dim: usize) -> CpuStorage {
        let turned;
        let pulls = match self {
            Self::Rows => pulls,
            Self::Columns => {
                turned = transposed(pulls, columns);
                &turned
            }
        };
        let depth = others.len() / dim;
        let totals: Vec<T> = pulls.par_chunks(depth).map(|row| lanes(depth, |index| row[index])).collect();
        let mut gradient = scaled_rows(points, &totals, dim);
        multiply(pulls, depth, &Panels::of_rows(others, dim), dim, &mut gradient);
        T::to_cpu_storage_owned(gradient)
    }
}

impl CustomOp3 for Side {
    fn name(&self) -> &'static str {
        "distance-matrix-gradient"
    }

    fn cpu_fwd(
        &self,
        pulls: &CpuStorage,
        pulls_layout: &Layout,
        points: &CpuStorage,
        points_layout: &Layout,
        others: &CpuStorage,
        others_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (columns, dim) = (pulls_layout.dims()[1], points_layout.dims()[1]);
        let gradient = with_real!(pulls, T => {
            let pulls = slice::<T>(pulls, pulls_layout)?;
            self.gradient(pulls, columns, slice(points, points_layout)?, slice(others, others_layout)?, dim)
        });
        Ok((gradient, points_layout.shape().clone()))
    }

    cuda_through_host!(pulls pulls_layout, points points_layout, others others_layout);
}

/// Each row times minus its factor.
pub(crate) fn scaled_rows<T: Length>(rows: &[T], factors: &[T], dim: usize) -> Vec<T> {
    let scaled = rows.chunks(dim).zip(factors).flat_map(|(row, &factor)| {
        let factor = T::zero() - factor;
        row.iter().map(move |&value| value * factor)
    });
    scaled.collect()
}
