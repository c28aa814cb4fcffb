//! Pictures in another size: nearest neighbour, bilinear, bicubic.

use crate::Pullback;
use crate::host::{Real, cuda_kernel, slice, storage, with_real};
use crate::resampling::{Resampling, bicubic, bilinear, nearest};
use crate::rows::fill_rows;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use std::sync::Arc;

/// Every pixel takes the value of its nearest: (B, H, W, C) → (B, height, width, C), PyTorch's `mode="nearest"`.
///
/// # Errors
/// If x has not four axes, a size is 0, or the element type is neither `f32` nor `f64`.
pub fn upsample_nearest2d(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Upsample::new(x, height, width, nearest)?)
}

/// [`upsample_nearest2d`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`upsample_nearest2d`].
pub fn upsample_nearest2d_with_pullback(x: &Tensor, height: usize, width: usize) -> Result<(Tensor, Pullback)> {
    Upsample::new(x, height, width, nearest)?.with_pullback(x)
}

/// Linear interpolation between the two nearest rows and columns: (B, H, W, C) → (B, height, width, C), PyTorch's
/// `mode="bilinear"`.
///
/// With `align_corners` the centres of the corner pixels stay where they are, without the corners of the picture do.
///
/// # Errors
/// As [`upsample_nearest2d`].
pub fn upsample_bilinear2d(x: &Tensor, height: usize, width: usize, align_corners: bool) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Upsample::new(x, height, width, |from, to| bilinear(from, to, align_corners))?)
}

/// [`upsample_bilinear2d`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`upsample_nearest2d`].
pub fn upsample_bilinear2d_with_pullback(
    x: &Tensor,
    height: usize,
    width: usize,
    align_corners: bool,
) -> Result<(Tensor, Pullback)> {
    Upsample::new(x, height, width, |from, to| bilinear(from, to, align_corners))?.with_pullback(x)
}

/// Cubic convolution over the four nearest rows and columns: (B, H, W, C) → (B, height, width, C), PyTorch's
/// `mode="bicubic"` without `align_corners`. Position grids of vision transformers are resized so.
///
/// Source: Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981, with a = −0.75.
///
/// # Errors
/// As [`upsample_nearest2d`].
pub fn upsample_bicubic2d(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Upsample::new(x, height, width, bicubic)?)
}

/// [`upsample_bicubic2d`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`upsample_nearest2d`].
pub fn upsample_bicubic2d_with_pullback(x: &Tensor, height: usize, width: usize) -> Result<(Tensor, Pullback)> {
    Upsample::new(x, height, width, bicubic)?.with_pullback(x)
}

/// A linear map of rows and one of columns, applied to every channel.
#[derive(Clone)]
struct Upsample {
    rows: Arc<Resampling>,
    columns: Arc<Resampling>,
}

impl Upsample {
    fn new(x: &Tensor, height: usize, width: usize, method: impl Fn(usize, usize) -> Resampling) -> Result<Self> {
        let (_, from_height, from_width, channels) = x.dims4()?;
        if from_height * from_width * channels * height * width == 0 {
            bail!("upsample: both sizes need pixels, got the shape {:?} and {height}×{width}", x.dims());
        }
        Ok(Self { rows: Arc::new(method(from_height, height)), columns: Arc::new(method(from_width, width)) })
    }

    fn with_pullback(self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        let result = x.contiguous()?.apply_op1_no_bwd(&self)?;
        Ok((result, Box::new(move |gradient| self.gradient(gradient))))
    }

    /// The gradient of a linear map is its transpose.
    fn gradient(&self, gradient: &Tensor) -> Result<Tensor> {
        let transposed = Self { rows: Arc::new(self.rows.transposed()), columns: Arc::new(self.columns.transposed()) };
        gradient.contiguous()?.apply_op1_no_bwd(&transposed)
    }
}

impl CustomOp1 for Upsample {
    fn name(&self) -> &'static str {
        "upsample2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, _, _, channels) = layout.shape().dims4()?;
        let result =
            with_real!(x, T => storage(resampled::<T>(slice(x, layout)?, batch, &self.rows, &self.columns, channels)));
        Ok((result, Shape::from((batch, self.rows.outputs(), self.columns.outputs(), channels))))
    }

    cuda_kernel!(self, x layout => crate::cuda::upsample((x, layout), &self.rows, &self.columns));

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        self.gradient(gradient).map(Some)
    }
}

/// Mixes rows into one line, then the pixels of that line, for each row of the result.
fn resampled<T: Real>(x: &[T], batch: usize, rows: &Resampling, columns: &Resampling, channels: usize) -> Vec<T> {
    let (from, to) = (columns.inputs() * channels, columns.outputs() * channels);
    fill_rows(
        batch * rows.outputs() * to,
        to,
        #[inline(always)]
        |row, out: &mut [T]| {
            let (picture, row) = (row / rows.outputs(), row % rows.outputs());
            let mut line = vec![T::zero(); from];
            for (y, weight) in rows.sources(row) {
                add_scaled(&mut line, &x[(picture * rows.inputs() + y) * from..][..from], weight);
            }
            for (column, out) in out.chunks_exact_mut(channels).enumerate() {
                for (x, weight) in columns.sources(column) {
                    add_scaled(out, &line[x * channels..][..channels], weight);
                }
            }
        },
    )
}

#[inline(always)]
fn add_scaled<T: Real>(to: &mut [T], values: &[T], weight: f64) {
    let weight = T::from_f64(weight);
    to.iter_mut().zip(values).for_each(|(to, &value)| *to += weight * value);
}
