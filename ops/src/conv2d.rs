//! Convolution over channels-last pictures.

mod compute;
mod depthwise;
mod forward;
mod groups;
mod input_gradient;
mod weight_gradient;

pub(crate) use forward::{Padded, padded_bias};
pub(crate) use weight_gradient::sum_over_pictures;

use crate::Pullback;
use crate::bias::sum_per_channel;
use crate::host::{cuda_kernel, slice, storage, with_real};
use crate::weight::{Packing, Weight};
use crate::window::Window;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use compute::Geometry;

/// How a convolution's kernel moves over a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Pixels between neighbouring windows, in both directions.
    pub stride: usize,
    /// Rows and columns of zeros around the picture.
    pub padding: usize,
    /// Channels are split into this many groups that do not see each other; 1 is an ordinary convolution.
    pub groups: usize,
}

impl Conv {
    /// An ordinary convolution.
    pub fn new(stride: usize, padding: usize) -> Self {
        Self { stride, padding, groups: 1 }
    }

    /// The window over a picture of `x` (B, H, W, C) under a kernel of `weight` (O, C, kh, kw), in one group.
    pub(crate) fn window(self, x: &Shape, weight: &Shape) -> Result<Window> {
        Ok(Geometry::new(self, x, weight)?.window)
    }
}

/// Convolution: x (B, H, W, C), weight (O, C / groups, kh, kw), bias (O) → (B, H', W', O),
/// H' = ⌊(H + 2·padding − kh) / stride⌋ + 1.
///
/// Correlation, as in PyTorch: the kernel is not flipped. Padding is zeros.
///
/// # Errors
/// If the shapes do not fit, the stride is 0, or the element type is neither `f32` nor `f64`.
pub fn conv2d(x: &Tensor, weight: impl Into<Weight>, bias: Option<&Tensor>, conv: Conv) -> Result<Tensor> {
    let (weight, packing) = weight.into().parts()?;
    let bias = checked_bias(x, &weight, bias, conv.groups)?;
    x.contiguous()?.apply_op3(&weight, &bias, Conv2d(conv, packing))
}

/// [`conv2d`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`conv2d`].
pub fn conv2d_with_pullback(
    x: &Tensor,
    weight: impl Into<Weight>,
    bias: Option<&Tensor>,
    conv: Conv,
) -> Result<(Tensor, Pullback)> {
    let (weight, packing) = weight.into().parts()?;
    let (bias, weight) = (checked_bias(x, &weight, bias, conv.groups)?, weight.detach());
    let result = x.contiguous()?.apply_op3_no_bwd(&weight, &bias, &Conv2d(conv, packing.clone()))?;
    let of_input = GradientOfInput(conv, x.shape().clone(), packing);
    Ok((result, Box::new(move |gradient| gradient.contiguous()?.apply_op2_no_bwd(&weight, &of_input))))
}

/// The bias, zeros where there is none, once the channels of input, weight and bias fit together.
pub(crate) fn checked_bias(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, groups: usize) -> Result<Tensor> {
    let ((.., channels), (outputs, weight_channels, _, _)) = (x.dims4()?, weight.dims4()?);
    if groups == 0 || outputs % groups != 0 || channels != weight_channels * groups {
        bail!(
            "conv2d: x has {channels} channels, the weight (O, C / groups, kh, kw) expects {weight_channels} in each of {groups} \
             groups and makes {outputs}"
        );
    }
    match bias {
        Some(bias) if bias.dims() == [outputs] => bias.contiguous(),
        Some(bias) => bail!("conv2d: a bias of {outputs} values is needed, got {:?}", bias.dims()),
        None => Tensor::zeros(outputs, x.dtype(), x.device()),
    }
}

struct Conv2d(Conv, Packing);

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
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
        let geometry = Geometry::new(self.0, x_layout.shape(), w_layout.shape())?;
        let out = with_real!(x, T => {
            storage(geometry.forward::<T>(slice(x, x_layout)?, slice(w, w_layout)?, slice(b, b_layout)?, &self.1))
        });
        let (batch, window) = (x_layout.dims()[0], geometry.window);
        Ok((out, Shape::from((batch, window.rows.output, window.columns.output, geometry.outputs))))
    }

    cuda_kernel!(self, x x_layout, w w_layout, b b_layout => {
        crate::cuda::conv2d(self.0, (x, x_layout), (w, w_layout), Some((b, b_layout)))
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
        let of_x = || gradient.apply_op2_no_bwd(w, &GradientOfInput(self.0, x.shape().clone(), self.1.clone()));
        let of_w = || gradient.apply_op2_no_bwd(x, &GradientOfWeight(self.0, w.shape().clone()));
        Ok((
            x.track_op().then(of_x).transpose()?,
            w.track_op().then(of_w).transpose()?,
            b.track_op().then(|| sum_per_channel(&gradient)).transpose()?,
        ))
    }
}

/// (upstream gradient (B, H', W', O), weight) → gradient of the input, whose shape is kept here.
struct GradientOfInput(Conv, Shape, Packing);

impl CustomOp2 for GradientOfInput {
    fn name(&self) -> &'static str {
        "conv2d-gradient-of-input"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(self.0, &self.1, w_layout.shape())?;
        let out = with_real!(g, T => {
            storage(geometry.input_gradient::<T>(slice(g, g_layout)?, slice(w, w_layout)?, &self.2))
        });
        Ok((out, self.1.clone()))
    }

    cuda_kernel!(self, g g_layout, w w_layout => {
        crate::cuda::conv2d_gradient_of_input(self.0, &self.1, (g, g_layout), (w, w_layout))
    });
}

/// (upstream gradient (B, H', W', O), input) → gradient of the weight, whose shape is kept here.
struct GradientOfWeight(Conv, Shape);

impl CustomOp2 for GradientOfWeight {
    fn name(&self) -> &'static str {
        "conv2d-gradient-of-weight"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(self.0, x_layout.shape(), &self.1)?;
        let out = with_real!(g, T => storage(geometry.weight_gradient::<T>(slice(x, x_layout)?, slice(g, g_layout)?)));
        Ok((out, self.1.clone()))
    }

    cuda_kernel!(self, g g_layout, x x_layout => {
        crate::cuda::conv2d_gradient_of_weight(self.0, &self.1, (g, g_layout), (x, x_layout))
    });
}
