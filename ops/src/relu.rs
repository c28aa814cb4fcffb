//! Rectified linear unit, with derivative 0 at 0.

use crate::host::{Real, cuda_through_host, slice, with_real};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Elements that one task handles: enough to outweigh the hand-over.
const GRAIN: usize = 16 * 1024;

/// max(x, 0), any shape; a NaN stays one. The derivative at 0 is 0, as in PyTorch; candle's is 1.
///
/// # Errors
/// If the element type is neither `f32` nor `f64`.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Relu)
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn forward<T: Real>(x: &[T]) -> CpuStorage {
            // A NaN compares false and passes: it must not become a clean 0.
            let positive = |&value: &T| if value <= T::zero() { T::zero() } else { value };
            T::to_cpu_storage_owned(x.par_iter().with_min_len(GRAIN).map(positive).collect())
        }
        let result = with_real!(x, T => forward::<T>(slice(x, layout)?));
        Ok((result, layout.shape().clone()))
    }

    cuda_through_host!(x layout);

    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        pass_where_positive(result, &gradient.contiguous()?).map(Some)
    }
}

/// The gradient where the result is positive, else 0. Both contiguous, of one shape.
pub(crate) fn pass_where_positive(result: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    result.apply_op2_no_bwd(gradient, &ReluGradient)
}

/// (result, upstream gradient) → gradient of the input.
struct ReluGradient;

impl CustomOp2 for ReluGradient {
    fn name(&self) -> &'static str {
        "relu-gradient"
    }

    fn cpu_fwd(
        &self,
        y: &CpuStorage,
        y_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn backward<T: Real>(y: &[T], g: &[T]) -> CpuStorage {
            let pass = |(&y, &g): (&T, &T)| if y <= T::zero() { T::zero() } else { g };
            T::to_cpu_storage_owned(y.par_iter().zip(g).with_min_len(GRAIN).map(pass).collect())
        }
        let result = with_real!(y, T => backward::<T>(slice(y, y_layout)?, slice(g, g_layout)?));
        Ok((result, y_layout.shape().clone()))
    }

    cuda_through_host!(y y_layout, g g_layout);
}
