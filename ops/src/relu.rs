//! Rectified linear units, with derivative 0 at their corners.

use crate::Pullback;
use crate::host::{Real, cuda_kernel, slice, storage, with_real};
use crate::rows::{map, map2};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

/// max(x, 0), any shape; a NaN stays one. The derivative at 0 is 0, as in PyTorch; candle's is 1.
///
/// # Errors
/// If the element type is neither `f32` nor `f64`.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Rectifier::Relu)
}

/// [`relu`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`relu`].
pub fn relu_with_pullback(x: &Tensor) -> Result<(Tensor, Pullback)> {
    with_pullback(x, Rectifier::Relu)
}

/// min(max(x, 0), 6), any shape; a NaN stays one. The derivative at 0 and at 6 is 0, as in PyTorch.
///
/// # Errors
/// If the element type is neither `f32` nor `f64`.
pub fn relu6(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Rectifier::Relu6)
}

/// [`relu6`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`relu6`].
pub fn relu6_with_pullback(x: &Tensor) -> Result<(Tensor, Pullback)> {
    with_pullback(x, Rectifier::Relu6)
}

fn with_pullback(x: &Tensor, rectifier: Rectifier) -> Result<(Tensor, Pullback)> {
    let result = x.contiguous()?.apply_op1_no_bwd(&rectifier)?;
    let kept = result.clone();
    Ok((result, Box::new(move |gradient| rectifier.gradient(&kept, gradient))))
}

/// The gradient where the result is positive, else 0. Both of one shape.
pub(crate) fn pass_where_positive(result: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    Rectifier::Relu.gradient(result, gradient)
}

#[derive(Clone, Copy)]
enum Rectifier {
    Relu,
    Relu6,
}

impl Rectifier {
    /// The gradient of the input, which the result says enough for.
    fn gradient(self, result: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        result.apply_op2_no_bwd(&gradient.contiguous()?, &RectifierGradient(self))
    }
}

/// max(value, 0). A NaN compares false and passes: it must not become a clean 0.
#[inline(always)]
pub(crate) fn positive<T: Real>(value: T) -> T {
    if value <= T::zero() { T::zero() } else { value }
}

/// The gradient where `result` is positive, or NaN, else 0.
#[inline(always)]
pub(crate) fn where_positive<T: Real>(result: T, gradient: T) -> T {
    if result <= T::zero() { T::zero() } else { gradient }
}

#[inline(always)]
fn six<T: Real>() -> T {
    T::from_f64(6.0)
}

impl CustomOp1 for Rectifier {
    fn name(&self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
        }
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(x, T => {
            let x = slice::<T>(x, layout)?;
            storage(match self {
                Self::Relu => map(x, positive),
                Self::Relu6 => map(x, |value| if value >= six() { six() } else { positive(value) }),
            })
        });
        Ok((result, layout.shape().clone()))
    }

    cuda_kernel!(self, x layout => match self {
        Self::Relu => crate::cuda::relu((x, layout)),
        Self::Relu6 => crate::cuda::relu6((x, layout)),
    });

    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        self.gradient(result, gradient).map(Some)
    }
}

/// (result, upstream gradient) → gradient of the input.
struct RectifierGradient(Rectifier);

impl CustomOp2 for RectifierGradient {
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
        let result = with_real!(y, T => {
            let (y, g) = (slice::<T>(y, y_layout)?, slice::<T>(g, g_layout)?);
            storage(match self.0 {
                Rectifier::Relu => map2(y, g, where_positive),
                Rectifier::Relu6 => map2(y, g, |y, g| where_positive(y, if y >= six() { 0.0 } else { g })),
            })
        });
        Ok((result, y_layout.shape().clone()))
    }

    cuda_kernel!(self, y y_layout, g g_layout => match self.0 {
        Rectifier::Relu => crate::cuda::relu_gradient((y, y_layout), (g, g_layout)),
        Rectifier::Relu6 => crate::cuda::relu6_gradient((y, y_layout), (g, g_layout)),
    });
}
