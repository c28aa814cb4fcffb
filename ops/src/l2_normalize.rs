//! Rows of unit length.

use crate::Pullback;
use crate::elementary::Elementary;
use crate::host::{cuda_kernel, slice, storage, with_real};
use crate::reduce::{sum, sum2};
use crate::rows::{fill_rows, last_axis, same_shape};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

/// Shorter rows are divided by this, not by their length; `torch.nn.functional.normalize` does the same.
const FLOOR: f64 = 1e-12;

/// x / max(‖x‖₂, 1e-12), along the last axis: (…, D) → (…, D). A row of zeros stays one, and its gradient is finite.
///
/// # Errors
/// If the last axis is empty, or the element type is neither `f32` nor `f64`.
pub fn l2_normalize(x: &Tensor) -> Result<Tensor> {
    last_axis("l2_normalize", x.dims())?;
    x.contiguous()?.apply_op1(L2Normalize)
}

/// [`l2_normalize`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`l2_normalize`].
pub fn l2_normalize_with_pullback(x: &Tensor) -> Result<(Tensor, Pullback)> {
    last_axis("l2_normalize", x.dims())?;
    let x = x.detach().contiguous()?;
    let result = x.apply_op1_no_bwd(&L2Normalize)?;
    Ok((result, Box::new(move |g| x.apply_op2_no_bwd(&g.contiguous()?, &L2NormalizeGradient))))
}

struct L2Normalize;

impl CustomOp1 for L2Normalize {
    fn name(&self) -> &'static str {
        "l2-normalize"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn normalized<T: Elementary>(x: &[T], row_len: usize) -> CpuStorage {
            storage(fill_rows(
                x.len(),
                row_len,
                #[inline(always)]
                |row, out: &mut [T]| {
                    let x = &x[row * row_len..][..row_len];
                    let length = length(x);
                    out.iter_mut().zip(x).for_each(|(out, &x)| *out = x / length);
                },
            ))
        }
        let row_len = last_axis("l2_normalize", layout.dims())?;
        let result = with_real!(x, T => normalized::<T>(slice(x, layout)?, row_len));
        Ok((result, layout.shape().clone()))
    }

    cuda_kernel!(self, x layout => crate::cuda::l2_normalize((x, layout), FLOOR));

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        x.apply_op2_no_bwd(&gradient.contiguous()?, &L2NormalizeGradient).map(Some)
    }
}

/// max(‖x‖₂, 1e-12)
#[inline(always)]
fn length<T: Elementary>(x: &[T]) -> T {
    let (length, floor) = (sum(x, |x| x * x).sqrt(), T::from_f64(FLOOR));
    if length < floor { floor } else { length }
}

/// (x, upstream gradient g) → gradient of x: (g − y⟨g, y⟩) / ‖x‖ with y = x / ‖x‖, or g / 1e-12 for shorter rows.
struct L2NormalizeGradient;

impl CustomOp2 for L2NormalizeGradient {
    fn name(&self) -> &'static str {
        "l2-normalize-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn gradient<T: Elementary>(x: &[T], g: &[T], row_len: usize) -> CpuStorage {
            storage(fill_rows(
                x.len(),
                row_len,
                #[inline(always)]
                |row, out: &mut [T]| {
                    let (x, g) = (&x[row * row_len..][..row_len], &g[row * row_len..][..row_len]);
                    let length = length(x);
                    let along = match length > T::from_f64(FLOOR) {
                        true => sum2(x, g, |x, g| x * g) / length / length,
                        false => T::zero(),
                    };
                    for ((out, &x), &g) in out.iter_mut().zip(x).zip(g) {
                        *out = (g - x * along) / length;
                    }
                },
            ))
        }
        same_shape("the gradient of l2_normalize", x_layout.dims(), g_layout.dims())?;
        let row_len = last_axis("l2_normalize", x_layout.dims())?;
        let result = with_real!(x, T => gradient::<T>(slice(x, x_layout)?, slice(g, g_layout)?, row_len));
        Ok((result, x_layout.shape().clone()))
    }

    cuda_kernel!(self, x x_layout, g g_layout => {
        crate::cuda::l2_normalize_gradient((x, x_layout), (g, g_layout), FLOOR)
    });
}
