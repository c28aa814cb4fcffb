//! The linear layer.

use crate::Pullback;
use crate::bias::sum_per_channel;
use crate::host::{cuda_kernel, slice, with_real};
use crate::matrix::{multiply, transposed};
use crate::panel::Panels;
use crate::weight::{Packing, Weight};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};
use std::sync::Arc;

/// x · weightᵀ + bias: x (B, I), weight (O, I), bias (O) → (B, O).
///
/// # Errors
/// If the shapes do not fit, or the element type is neither `f32` nor `f64`.
pub fn linear(x: &Tensor, weight: impl Into<Weight>, bias: Option<&Tensor>) -> Result<Tensor> {
    let (weight, packing) = weight.into().parts()?;
    let bias = checked_bias(x, &weight, bias)?;
    x.contiguous()?.apply_op3(&weight, &bias, Linear(packing))
}

/// [`linear`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`linear`].
pub fn linear_with_pullback(
    x: &Tensor,
    weight: impl Into<Weight>,
    bias: Option<&Tensor>,
) -> Result<(Tensor, Pullback)> {
    let (weight, packing) = weight.into().parts()?;
    let (bias, weight) = (checked_bias(x, &weight, bias)?, weight.detach());
    let result = x.contiguous()?.apply_op3_no_bwd(&weight, &bias, &Linear(packing.clone()))?;
    let of_input = Product::GradientOfInput(packing);
    Ok((result, Box::new(move |gradient| gradient.contiguous()?.apply_op2_no_bwd(&weight, &of_input))))
}

/// The bias, zeros where there is none, once the features of input, weight and bias fit together.
fn checked_bias(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let ((_, inputs), (outputs, weight_inputs)) = (x.dims2()?, weight.dims2()?);
    if inputs != weight_inputs {
        candle_core::bail!("linear: x has {inputs} features, the weight (O, I) expects {weight_inputs}");
    }
    match bias {
        Some(bias) if bias.dims() == [outputs] => bias.contiguous(),
        Some(bias) => candle_core::bail!("linear: a bias of {outputs} values is needed, got {:?}", bias.dims()),
        None => Tensor::zeros(outputs, x.dtype(), x.device()),
    }
}

struct Linear(Packing);

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, inputs), outputs) = (x_layout.shape().dims2()?, w_layout.dims()[0]);
        let out = with_real!(x, T => {
            let mut out = slice::<T>(b, b_layout)?.repeat(rows);
            let w = slice::<T>(w, w_layout)?;
            let weight = self.0.forward(|| Panels::of_columns(w, inputs));
            multiply(slice(x, x_layout)?, inputs, &weight, outputs, &mut out);
            T::to_cpu_storage_owned(out)
        });
        Ok((out, Shape::from((rows, outputs))))
    }

    cuda_kernel!(self, x x_layout, w w_layout, b b_layout => {
        crate::cuda::linear((x, x_layout), (w, w_layout), Some((b, b_layout)))
    });

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let of_x = x
            .track_op()
            .then(|| gradient.apply_op2_no_bwd(w, &Product::GradientOfInput(self.0.clone())))
            .transpose()?;
        let of_w = w.track_op().then(|| gradient.apply_op2_no_bwd(x, &Product::GradientOfWeight)).transpose()?;
        let of_b = b.track_op().then(|| sum_per_channel(&gradient)).transpose()?;
        Ok((of_x, of_w, of_b))
    }
}

/// The two products of the backward pass; the first factor is the upstream gradient (B, O).
enum Product {
    /// gradient (B, O) · weight (O, I) → (B, I)
    GradientOfInput(Packing),
    /// gradientᵀ (O, B) · x (B, I) → (O, I)
    GradientOfWeight,
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "linear-gradient"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        other: &CpuStorage,
        other_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let ((rows, outputs), inputs) = (g_layout.shape().dims2()?, other_layout.dims()[1]);
        let (out, out_rows) = with_real!(g, T => {
            let (g, other) = (slice::<T>(g, g_layout)?, slice::<T>(other, other_layout)?);
            let pack = || Panels::of_rows(other, inputs);
            let (left, depth, panels, out_rows) = match self {
                Self::GradientOfInput(packing) => (None, outputs, packing.backward(pack), rows),
                Self::GradientOfWeight => (Some(transposed(g, outputs)), rows, Arc::new(pack()), outputs),
            };
            let mut out = vec![T::from_f64(0.0); out_rows * inputs];
            multiply(left.as_deref().unwrap_or(g), depth, &panels, inputs, &mut out);
            (T::to_cpu_storage_owned(out), out_rows)
        });
        Ok((out, Shape::from((out_rows, inputs))))
    }

    cuda_kernel!(self, g g_layout, other other_layout => match self {
        Self::GradientOfInput(_) => crate::cuda::linear_gradient_of_input((g, g_layout), (other, other_layout)),
        Self::GradientOfWeight => crate::cuda::linear_gradient_of_weight((g, g_layout), (other, other_layout)),
    });
}
