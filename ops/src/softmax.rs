//! Softmax.

use crate::Pullback;
use crate::elementary::Elementary;
use crate::host::{cuda_kernel, slice, storage, with_real};
use crate::reduce::{max, sum, sum2};
use crate::rows::{fill_rows, last_axis, same_shape};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

/// exp(x) / Σ exp(x) along the last axis: (…, D) → (…, D).
///
/// # Errors
/// If the last axis is empty, or the element type is neither `f32` nor `f64`.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    last_axis("softmax", x.dims())?;
    x.contiguous()?.apply_op1(Softmax)
}

/// [`softmax`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`softmax`].
pub fn softmax_with_pullback(x: &Tensor) -> Result<(Tensor, Pullback)> {
    last_axis("softmax", x.dims())?;
    let result = x.contiguous()?.apply_op1_no_bwd(&Softmax)?;
    let kept = result.clone();
    Ok((result, Box::new(move |g| kept.apply_op2_no_bwd(&g.contiguous()?, &SoftmaxGradient))))
}

/// Replaces a row by its softmax. The largest element is subtracted first, so that no exponential overflows.
#[inline(always)]
pub(crate) fn softmax_row<T: Elementary>(row: &mut [T]) {
    let largest = max(row);
    row.iter_mut().for_each(|value| *value = (*value - largest).exp());
    let total = sum(row, |value| value);
    row.iter_mut().for_each(|value| *value /= total);
}

/// Replaces the gradient of a softmax's result y by that of its input: y (g − ⟨y, g⟩).
#[inline(always)]
pub(crate) fn softmax_row_gradient<T: Elementary>(y: &[T], g: &mut [T]) {
    let mean = sum2(y, g, |y, g| y * g);
    g.iter_mut().zip(y).for_each(|(g, &y)| *g = y * (*g - mean));
}

struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn forward<T: Elementary>(x: &[T], row_len: usize) -> CpuStorage {
            storage(fill_rows(
                x.len(),
                row_len,
                #[inline(always)]
                |row, out: &mut [T]| {
                    out.copy_from_slice(&x[row * row_len..][..row_len]);
                    softmax_row(out);
                },
            ))
        }
        let row_len = last_axis("softmax", layout.dims())?;
        let result = with_real!(x, T => forward::<T>(slice(x, layout)?, row_len));
        Ok((result, layout.shape().clone()))
    }

    cuda_kernel!(self, x layout => crate::cuda::softmax((x, layout), 1.0));

    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        result.apply_op2_no_bwd(&gradient.contiguous()?, &SoftmaxGradient).map(Some)
    }
}

/// (result, upstream gradient) → gradient of x.
struct SoftmaxGradient;

impl CustomOp2 for SoftmaxGradient {
    fn name(&self) -> &'static str {
        "softmax-gradient"
    }

    fn cpu_fwd(
        &self,
        y: &CpuStorage,
        y_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn backward<T: Elementary>(y: &[T], g: &[T], row_len: usize) -> CpuStorage {
            storage(fill_rows(
                y.len(),
                row_len,
                #[inline(always)]
                |row, out: &mut [T]| {
                    out.copy_from_slice(&g[row * row_len..][..row_len]);
                    softmax_row_gradient(&y[row * row_len..][..row_len], out);
                },
            ))
        }
        same_shape("the gradient of softmax", y_layout.dims(), g_layout.dims())?;
        let row_len = last_axis("softmax", y_layout.dims())?;
        let result = with_real!(y, T => backward::<T>(slice(y, y_layout)?, slice(g, g_layout)?, row_len));
        Ok((result, y_layout.shape().clone()))
    }

    cuda_kernel!(self, y y_layout, g g_layout => crate::cuda::softmax_gradient((y, y_layout), (g, g_layout), 1.0));
}
