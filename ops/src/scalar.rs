//! A scalar that plain code computed, put into the graph with the gradient that came with it.

use crate::host::{cuda_through_host, dtype};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

/// A scalar with this value whose gradient in x is `gradient`, of x's shape, type and device.
///
/// For losses that compute value and gradient in one go. Without a gradient, nothing flows back to x.
///
/// # Errors
/// If the gradient has another shape, or the element type is neither `f32` nor `f64`.
pub fn scalar_of(x: &Tensor, value: f64, gradient: Option<Tensor>) -> Result<Tensor> {
    match gradient {
        Some(gradient) if gradient.dims() != x.dims() => {
            candle_core::bail!("scalar_of: x has the shape {:?}, its gradient {:?}", x.dims(), gradient.dims())
        }
        Some(gradient) => x.apply_op1(Scalar { value, gradient }),
        None => Tensor::new(value, x.device())?.to_dtype(x.dtype()),
    }
}

struct Scalar {
    value: f64,
    gradient: Tensor,
}

impl CustomOp1 for Scalar {
    fn name(&self) -> &'static str {
        "scalar"
    }

    fn cpu_fwd(&self, x: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let scalar = match dtype(x)? {
            DType::F64 => CpuStorage::F64(vec![self.value]),
            _ => CpuStorage::F32(vec![self.value as f32]),
        };
        Ok((scalar, Shape::from(())))
    }

    cuda_through_host!(x layout);

    fn bwd(&self, _: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        self.gradient.broadcast_mul(upstream).map(Some)
    }
}
