//! Scalar losses of the distances from a few queries to many fixed points, fused with their gradient.

use std::fmt;
use std::sync::Arc;

use crate::distance_matrix::{Length, lanes, products, scaled_rows, squares, to_distances};
use crate::host::read;
use crate::matrix::multiply;
use crate::panel::Panels;
use crate::scalar::scalar_of;
use candle_core::{DType, Result, Tensor, WithDType, bail};
use rayon::prelude::*;

/// With fewer non-zero slopes than one in so many, the gradient is summed point by point: a matrix product reads every
/// point once for many queries, but would multiply mostly by zero.
const SPARSE: usize = 16;

/// Points (N, D) that losses are computed against again and again: on the host, in the order in which matrix products
/// read them.
#[derive(Clone)]
pub struct Points {
    dim: usize,
    packed: Arc<AnyPacked>,
}

enum AnyPacked {
    F32(Packed<f32>),
    F64(Packed<f64>),
}

struct Packed<T> {
    rows: Vec<T>,
    squares: Vec<T>,
    /// The points as columns, for distances.
    columns: Panels<T>,
    /// The points as rows, for gradients.
    panels: Panels<T>,
}

impl<T: Length> Packed<T> {
    fn new(points: &Tensor, dim: usize) -> Result<Self> {
        read(points, |rows: &[T]| Self {
            rows: rows.to_vec(),
            squares: squares(rows, dim),
            columns: Panels::of_columns(rows, dim),
            panels: Panels::of_rows(rows, dim),
        })
    }
}

impl Points {
    /// Takes points (N, D); no gradient flows to them.
    ///
    /// # Errors
    /// If they are no matrix with elements, or the element type is neither `f32` nor `f64`.
    pub fn new(points: &Tensor) -> Result<Self> {
        let (_, dim) = points.dims2()?;
        let packed = match points.dtype() {
            _ if points.elem_count() == 0 => {
                bail!("points to measure distances to are needed, got {:?}", points.dims())
            }
            DType::F64 => AnyPacked::F64(Packed::new(points, dim)?),
            _ => AnyPacked::F32(Packed::new(points, dim)?),
        };
        Ok(Self { dim, packed: Arc::new(packed) })
    }
}

impl fmt::Debug for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let points = match &*self.packed {
            AnyPacked::F32(packed) => packed.squares.len(),
            AnyPacked::F64(packed) => packed.squares.len(),
        };
        write!(f, "Points({points}, {})", self.dim)
    }
}

/// A loss that is a sum over queries, each term a function of the query's distances to all points.
pub trait DistanceLoss: Sync {
    /// The term of one query: reads its distances to all points in order, and writes the derivative of the term in each
    /// distance to `slopes`, which are 0 before.
    fn term<T: WithDType>(&self, query: usize, distances: &[T], slopes: &mut [T]) -> T;
}

/// The loss of queries (B, D) against fixed points, a scalar; its gradient flows to the queries.
///
/// Equals the sum of [`DistanceLoss::term`] over the rows of [`distance_matrix`](crate::distance_matrix()), value and
/// gradient, without intermediate tensors. A query that is not finite makes the loss NaN, whatever its term says: a
/// comparison with NaN is false, and would look like a loss of 0. Queries on another device are copied to the host.
///
/// # Errors
/// If the rows have different lengths or element types, or the element type is neither `f32` nor `f64`.
pub fn distance_loss(queries: &Tensor, points: &Points, loss: &impl DistanceLoss) -> Result<Tensor> {
    let (_, dim) = queries.dims2()?;
    if dim != points.dim {
        bail!("distance_loss: queries have {dim} values, points {}", points.dim);
    }
    match (&*points.packed, queries.dtype()) {
        (AnyPacked::F64(packed), DType::F64) => fused(queries, packed, loss),
        (AnyPacked::F32(packed), DType::F32) => fused(queries, packed, loss),
        (_, dtype) => bail!("distance_loss: queries of {dtype:?} need points of the same type, f32 or f64"),
    }
}

fn fused<T: Length>(queries: &Tensor, points: &Packed<T>, loss: &impl DistanceLoss) -> Result<Tensor> {
    let (value, gradient) = read(queries, |values| evaluate(values, points, loss, queries.track_op()))?;
    let gradient = gradient.map(|gradient| Tensor::from_vec(gradient, queries.shape(), queries.device()));
    scalar_of(queries, value.to_f64(), gradient.transpose()?)
}

/// The value and, if wanted, the gradient.
fn evaluate<T: Length>(
    queries: &[T],
    points: &Packed<T>,
    loss: &impl DistanceLoss,
    wanted: bool,
) -> (T, Option<Vec<T>>) {
    let (count, dim) = (points.squares.len(), points.rows.len() / points.squares.len());
    let mut matrix = products(queries, dim, &points.columns, count);
    let finite = |query: usize| queries[query * dim..][..dim].iter().all(|value| value.to_f64().is_finite());
    let term = |slopes: &mut Vec<T>, (query, (row, square)): (usize, (&mut [T], T))| {
        if !finite(query) {
            return Term { value: T::from_f64(f64::NAN), pulls: T::zero(), pulling: 0 };
        }
        to_distances(row, square, &points.squares);
        slopes.fill(T::zero());
        let value = loss.term(query, row, slopes);
        let (pulls, pulling) = pull(row, slopes);
        Term { value, pulls, pulling }
    };
    let rows = matrix.par_chunks_mut(count).zip(squares(queries, dim)).enumerate();
    let terms: Vec<Term<T>> = rows.map_init(|| vec![T::zero(); count], term).collect();
    let value = terms.iter().fold(T::zero(), |sum, term| sum + term.value);
    (value, wanted.then(|| gradient(queries, points, &matrix, &terms)))
}

/// One query's part.
struct Term<T> {
    value: T,
    /// The sum of its row of minus slope / distance.
    pulls: T,
    /// How many of them are not 0.
    pulling: usize,
}

/// Overwrites distances by minus slope / distance, 0 where the distance is noise; returns their sum and number.
fn pull<T: Length>(row: &mut [T], slopes: &[T]) -> (T, usize) {
    let mut pulling = 0;
    for (distance, &slope) in row.iter_mut().zip(slopes) {
        let apart = *distance > T::NOISE && slope != T::zero();
        pulling += usize::from(apart);
        *distance = if apart { T::zero() - slope / *distance } else { T::zero() };
    }
    let row: &[T] = row;
    (lanes(row.len(), |index| row[index]), pulling)
}

/// Σⱼ aᵢⱼ(xᵢ − yⱼ) with −a in `pulls`.
fn gradient<T: Length>(queries: &[T], points: &Packed<T>, pulls: &[T], terms: &[Term<T>]) -> Vec<T> {
    let (count, dim) = (points.squares.len(), points.rows.len() / points.squares.len());
    let totals: Vec<T> = terms.iter().map(|term| term.pulls).collect();
    let mut gradient = scaled_rows(queries, &totals, dim);
    let pulling: usize = terms.iter().map(|term| term.pulling).sum();
    if pulling * SPARSE >= pulls.len() {
        multiply(pulls, count, &points.panels, dim, &mut gradient);
        return gradient;
    }
    gradient.par_chunks_mut(dim).zip(pulls.par_chunks(count)).for_each(|(gradient, pulls)| {
        let pulling = pulls.iter().zip(points.rows.chunks(dim)).filter(|(pull, _)| **pull != T::zero());
        for (&pull, point) in pulling {
            gradient.iter_mut().zip(point).for_each(|(sum, &value)| *sum += pull * value);
        }
    });
    gradient
}
