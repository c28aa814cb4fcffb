//! Gaussian error linear unit.

use crate::Pullback;
use crate::elementary::Elementary;
use crate::host::{cuda_kernel, slice, storage, with_real};
use crate::rows::{map, map2, same_shape};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// x · Φ(x), any shape, Φ the standard normal distribution function: PyTorch's default.
///
/// Source: Hendrycks & Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.
///
/// # Errors
/// If the element type is neither `f32` nor `f64`.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Gelu::Erf)
}

/// [`gelu`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`gelu`].
pub fn gelu_with_pullback(x: &Tensor) -> Result<(Tensor, Pullback)> {
    with_pullback(x, Gelu::Erf)
}

/// ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), any shape: PyTorch's `approximate="tanh"`.
///
/// # Errors
/// If the element type is neither `f32` nor `f64`.
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Gelu::Tanh)
}

/// [`gelu_tanh`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`gelu_tanh`].
pub fn gelu_tanh_with_pullback(x: &Tensor) -> Result<(Tensor, Pullback)> {
    with_pullback(x, Gelu::Tanh)
}

fn with_pullback(x: &Tensor, gelu: Gelu) -> Result<(Tensor, Pullback)> {
    let x = x.detach().contiguous()?;
    let result = x.apply_op1_no_bwd(&gelu)?;
    Ok((result, Box::new(move |g| x.apply_op2_no_bwd(&g.contiguous()?, &GeluGradient(gelu)))))
}

#[derive(Clone, Copy)]
enum Gelu {
    Erf,
    Tanh,
}

/// x Φ(x) and its derivative Φ(x) + x φ(x).
#[inline(always)]
fn by_erf<T: Elementary>(x: T) -> T {
    x * distribution(x)
}

#[inline(always)]
fn by_erf_derivative<T: Elementary>(x: T) -> T {
    let density = T::from_f64(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2) * (T::from_f64(-0.5) * x * x).exp();
    distribution(x) + x * density
}

/// With s = ½ + ½ tanh(u): x s, and its derivative s + 2 x s (1 − s) du/dx.
#[inline(always)]
fn by_tanh<T: Elementary>(x: T) -> T {
    x * half_and_half_tanh(x)
}

#[inline(always)]
fn by_tanh_derivative<T: Elementary>(x: T) -> T {
    let share = half_and_half_tanh(x);
    let slope = T::from_f64(2.0 * ROOT) * (T::one() + T::from_f64(3.0 * CUBIC) * x * x);
    share + x * share * (T::one() - share) * slope
}

/// √(2/π)
const ROOT: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const CUBIC: f64 = 0.044715;

/// ½ + ½ tanh(u) with u = √(2/π) (x + 0.044715 x³), which is 1 / (1 + exp(−2u)): without cancellation where x is small.
#[inline(always)]
fn half_and_half_tanh<T: Elementary>(x: T) -> T {
    let minus_two_u = T::from_f64(-2.0 * ROOT) * (x + T::from_f64(CUBIC) * x * x * x);
    T::one() / (T::one() + minus_two_u.exp())
}

/// Φ(x)
#[inline(always)]
fn distribution<T: Elementary>(x: T) -> T {
    T::from_f64(0.5) * (T::one() + (x * T::from_f64(FRAC_1_SQRT_2)).erf())
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(x, T => {
            let x = slice::<T>(x, layout)?;
            storage(match self {
                Self::Erf => map(x, by_erf),
                Self::Tanh => map(x, by_tanh),
            })
        });
        Ok((result, layout.shape().clone()))
    }

    cuda_kernel!(self, x layout => match self {
        Self::Erf => crate::cuda::gelu((x, layout)),
        Self::Tanh => crate::cuda::gelu_tanh((x, layout)),
    });

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        x.apply_op2_no_bwd(&gradient.contiguous()?, &GeluGradient(*self)).map(Some)
    }
}

/// (x, upstream gradient) → gradient of x.
struct GeluGradient(Gelu);

impl CustomOp2 for GeluGradient {
    fn name(&self) -> &'static str {
        "gelu-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        same_shape("the gradient of gelu", x_layout.dims(), g_layout.dims())?;
        let result = with_real!(x, T => {
            let (x, g) = (slice::<T>(x, x_layout)?, slice::<T>(g, g_layout)?);
            storage(match self.0 {
                Gelu::Erf => map2(x, g, |x, g| g * by_erf_derivative(x)),
                Gelu::Tanh => map2(x, g, |x, g| g * by_tanh_derivative(x)),
            })
        });
        Ok((result, x_layout.shape().clone()))
    }

    cuda_kernel!(self, x x_layout, g g_layout => match self.0 {
        Gelu::Erf => crate::cuda::gelu_gradient((x, x_layout), (g, g_layout)),
        Gelu::Tanh => crate::cuda::gelu_tanh_gradient((x, x_layout), (g, g_layout)),
    });
}
