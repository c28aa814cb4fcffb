//! The linear layer.

use crate::bias::sum_per_channel;
use crate::host::{Real, cuda_through_host, slice, with_real};
use crate::matrix::{Into, Threads, View, multiply};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// x · weightᵀ + bias: x (B, I), weight (O, I), bias (O) → (B, O).
///
/// # Errors
/// If the shapes do not fit, or the element type is neither `f32` nor `f64`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (_, inputs) = x.dims2()?;
    let (outputs, weight_inputs) = weight.dims2()?;
    if inputs != weight_inputs {
        candle_core::bail!("linear: x has {inputs} features, the weight (O, I) expects {weight_inputs}");
    }
    let bias = match bias {
        Some(bias) if bias.dims() == [outputs] => bias.contiguous()?,
        Some(bias) => candle_core::bail!("linear: a bias of {outputs} values is needed, got {:?}", bias.dims()),
        None => Tensor::zeros(outputs, x.dtype(), x.device())?,
    };
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias, Linear)
}

struct Linear;

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
        fn forward<T: Real>(x: View<'_, T>, w: View<'_, T>, b: &[T], rows: usize) -> CpuStorage {
            let mut out: Vec<T> = b.repeat(rows);
            multiply(&mut out, x, w.transposed(), Into::Accumulate, Threads::Pool);
            T::to_cpu_storage_owned(out)
        }
        let ((rows, inputs), outputs) = (x_layout.shape().dims2()?, w_layout.dims()[0]);
        let out = with_real!(x, T => {
            let x = View::new(slice::<T>(x, x_layout)?, rows, inputs);
            forward(x, View::new(slice(w, w_layout)?, outputs, inputs), slice(b, b_layout)?, rows)
        });
        Ok((out, Shape::from((rows, outputs))))
    }

    cuda_through_host!(x x_layout, w w_layout, b b_layout);

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let of_x = x.track_op().then(|| gradient.apply_op2_no_bwd(w, &Product::GradientOfInput)).transpose()?;
        let of_w = w.track_op().then(|| gradient.apply_op2_no_bwd(x, &Product::GradientOfWeight)).transpose()?;
        let of_b = b.track_op().then(|| sum_per_channel(&gradient)).transpose()?;
        Ok((of_x, of_w, of_b))
    }
}

/// The two products of the backward pass; the first factor is the upstream gradient (B, O).
enum Product {
    /// gradient (B, O) · weight (O, I) → (B, I)
    GradientOfInput,
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
        fn product<T: Real>(left: View<'_, T>, right: View<'_, T>, elements: usize) -> CpuStorage {
            let mut out = vec![T::zero(); elements];
            multiply(&mut out, left, right, Into::Overwrite, Threads::Pool);
            T::to_cpu_storage_owned(out)
        }
        let ((rows, outputs), (other_rows, inputs)) = (g_layout.shape().dims2()?, other_layout.shape().dims2()?);
        with_real!(g, T => {
            let gradient = View::new(slice::<T>(g, g_layout)?, rows, outputs);
            let other = View::new(slice::<T>(other, other_layout)?, other_rows, inputs);
            Ok(match self {
                Self::GradientOfInput => (product(gradient, other, rows * inputs), Shape::from((rows, inputs))),
                Self::GradientOfWeight => (product(gradient.transposed(), other, outputs * inputs), Shape::from((outputs, inputs))),
            })
        })
    }

    cuda_through_host!(g g_layout, other other_layout);
}
