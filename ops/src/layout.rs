//! Between the order that pictures come in, (B, C, H, W), and the one that nets compute in, (B, H, W, C).

use crate::Pullback;
use crate::host::{Real, cuda_kernel, slice, storage, with_real};
use crate::rows::{rows_per_task, vectorize};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// (B, C, H, W) → (B, H, W, C)
///
/// # Errors
/// If x has not four axes, or the element type is neither `f32` nor `f64`.
pub fn channels_last(x: &Tensor) -> Result<Tensor> {
    x.dims4()?;
    x.contiguous()?.apply_op1(Order::Last)
}

/// [`channels_last`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`channels_last`].
pub fn channels_last_with_pullback(x: &Tensor) -> Result<(Tensor, Pullback)> {
    with_pullback(x, Order::Last)
}

/// (B, H, W, C) → (B, C, H, W)
///
/// # Errors
/// If x has not four axes, or the element type is neither `f32` nor `f64`.
pub fn channels_first(x: &Tensor) -> Result<Tensor> {
    x.dims4()?;
    x.contiguous()?.apply_op1(Order::First)
}

/// [`channels_first`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`channels_first`].
pub fn channels_first_with_pullback(x: &Tensor) -> Result<(Tensor, Pullback)> {
    with_pullback(x, Order::First)
}

fn with_pullback(x: &Tensor, to: Order) -> Result<(Tensor, Pullback)> {
    let result = x.contiguous()?.apply_op1_no_bwd(&to)?;
    Ok((result, Box::new(move |gradient| gradient.contiguous()?.apply_op1_no_bwd(&to.other()))))
}

/// Where the channels shall stand.
#[derive(Clone, Copy)]
enum Order {
    Last,
    First,
}

impl Order {
    fn other(self) -> Self {
        match self {
            Self::Last => Self::First,
            Self::First => Self::Last,
        }
    }
}

impl CustomOp1 for Order {
    fn name(&self) -> &'static str {
        match self {
            Self::Last => "channels-last",
            Self::First => "channels-first",
        }
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, a, b, c) = layout.shape().dims4()?;
        let (rows, columns, shape) = match self {
            Self::Last => (a, b * c, (batch, b, c, a)),
            Self::First => (a * b, c, (batch, c, a, b)),
        };
        let result = with_real!(x, T => storage(transposed::<T>(slice(x, layout)?, rows, columns)));
        Ok((result, Shape::from(shape)))
    }

    cuda_kernel!(self, x layout => match self {
        Self::Last => crate::cuda::channels_last((x, layout)),
        Self::First => crate::cuda::channels_first((x, layout)),
    });

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(&self.other()).map(Some)
    }
}

/// The transposes of the matrices `rows × columns` that lie one after the other in `x`.
fn transposed<T: Real>(x: &[T], rows: usize, columns: usize) -> Vec<T> {
    if rows == 1 || columns == 1 {
        return x.to_vec();
    }
    let (mut out, lines) = (vec![T::zero(); x.len()], rows_per_task(rows));
    let matrices = out.par_chunks_mut(rows * columns).zip(x.par_chunks(rows * columns));
    matrices.for_each(|(out, matrix)| {
        let tasks = out.par_chunks_mut(lines * rows).enumerate();
        tasks.for_each(|(task, out)| {
            vectorize(
                #[inline(always)]
                || transpose_lines(matrix, columns, task * lines, rows, out),
            );
        });
    });
    out
}

#[inline(always)]
/// Writes rows of the transpose, from number `start` on, in blocks of which both sides fit into the first-level cache.
fn transpose_lines<T: Real>(matrix: &[T], columns: usize, start: usize, rows: usize, out: &mut [T]) {
    const BLOCK: usize = 16;
    let lines = BLOCK.max(BLOCK * BLOCK / rows);
    for (block, out) in out.chunks_mut(lines * rows).enumerate() {
        let from = start + block * lines;
        for row in 0..rows {
            let values = &matrix[row * columns + from..][..out.len() / rows];
            out[row..].iter_mut().step_by(rows).zip(values).for_each(|(out, &value)| *out = value);
        }
    }
}
