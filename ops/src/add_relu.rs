//! Addition and ReLU in one pass.

use crate::Pullback;
use crate::host::{cuda_kernel, slice, storage, with_real};
use crate::relu::{pass_where_positive, positive};
use crate::rows::{map2, same_shape};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

/// max(x + y, 0), for x and y of one shape.
///
/// # Errors
/// If the shapes differ, or the element type is neither `f32` nor `f64`.
pub fn add_relu(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    same_shape("add_relu", x.dims(), y.dims())?;
    x.contiguous()?.apply_op2(&y.contiguous()?, AddRelu)
}

/// [`add_relu`], and the gradient of x, which is that of y too, given that of the result.
///
/// # Errors
/// As [`add_relu`].
pub fn add_relu_with_pullback(x: &Tensor, y: &Tensor) -> Result<(Tensor, Pullback)> {
    same_shape("add_relu", x.dims(), y.dims())?;
    let result = x.contiguous()?.apply_op2_no_bwd(&y.contiguous()?, &AddRelu)?;
    let kept = result.clone();
    Ok((result, Box::new(move |gradient| pass_where_positive(&kept, gradient))))
}

struct AddRelu;

impl CustomOp2 for AddRelu {
    fn name(&self) -> &'static str {
        "add-relu"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(x, T => {
            storage(map2(slice::<T>(x, x_layout)?, slice(y, y_layout)?, |x, y| positive(x + y)))
        });
        Ok((result, x_layout.shape().clone()))
    }

    cuda_kernel!(self, x x_layout, y y_layout => crate::cuda::add_relu((x, x_layout), (y, y_layout)));

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = pass_where_positive(result, gradient)?;
        Ok((x.track_op().then(|| gradient.clone()), y.track_op().then_some(gradient)))
    }
}
