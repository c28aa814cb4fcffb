//! Average pooling; overlapping windows and padding included.

use crate::Pullback;
use crate::host::{Real, cuda_kernel, slice, storage, with_real};
use crate::pooling::{Pooling, inputs, outputs};
use crate::rows::{fill_rows, last_axis, sum_rows};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// The mean of each window: (B, H, W, C) → (B, H', W', C), H' = ⌊(H + 2·padding − kernel) / stride⌋ + 1.
///
/// With `count_include_pad`, which is PyTorch's default, the padding's zeros count; without, a window is divided by the
/// number of its pixels that lie inside.
///
/// # Errors
/// If the kernel or stride is 0, the padding is more than half the kernel, the window does not fit, or the element type
/// is neither `f32` nor `f64`.
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize, count_include_pad: bool) -> Result<Tensor> {
    let pooling = Pooling::new("avg_pool2d", x.shape(), kernel, stride, padding)?;
    x.contiguous()?.apply_op1(AvgPool { pooling, count_include_pad })
}

/// [`avg_pool2d`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`avg_pool2d`].
pub fn avg_pool2d_with_pullback(
    x: &Tensor,
    kernel: usize,
    stride: usize,
    padding: usize,
    count_include_pad: bool,
) -> Result<(Tensor, Pullback)> {
    let pooling = Pooling::new("avg_pool2d", x.shape(), kernel, stride, padding)?;
    let pool = AvgPool { pooling, count_include_pad };
    let result = x.contiguous()?.apply_op1_no_bwd(&pool)?;
    Ok((result, Box::new(move |gradient| gradient.contiguous()?.apply_op1_no_bwd(&AvgPoolGradient(pool)))))
}

/// The mean over all pixels: (B, H, W, C) → (B, C).
///
/// # Errors
/// If x has not four axes or no pixels, or the element type is neither `f32` nor `f64`.
pub fn global_avg_pool(x: &Tensor) -> Result<Tensor> {
    let pool = GlobalAvgPool(checked(x)?);
    x.contiguous()?.apply_op1(pool)
}

/// [`global_avg_pool`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`global_avg_pool`].
pub fn global_avg_pool_with_pullback(x: &Tensor) -> Result<(Tensor, Pullback)> {
    let shape = checked(x)?;
    let result = x.contiguous()?.apply_op1_no_bwd(&GlobalAvgPool(shape.clone()))?;
    Ok((result, Box::new(move |gradient| gradient.contiguous()?.apply_op1_no_bwd(&GlobalAvgPoolGradient(shape)))))
}

/// The shape of x, once it has four axes with something along each.
fn checked(x: &Tensor) -> Result<Shape> {
    let (_, height, width, channels) = x.dims4()?;
    if height * width * channels == 0 {
        candle_core::bail!("global_avg_pool: at least one pixel and channel are needed, got the shape {:?}", x.dims());
    }
    Ok(x.shape().clone())
}

#[derive(Clone, Copy)]
struct AvgPool {
    pooling: Pooling,
    count_include_pad: bool,
}

impl AvgPool {
    /// What the sum of the window over the output's row number `row` and `column` is divided by.
    #[inline(always)]
    fn divisor<T: Real>(&self, row: usize, column: usize) -> T {
        let Pooling { rows, columns, .. } = self.pooling;
        let inside = || self.pooling.rows_under(row).count() * inputs(columns, column).count();
        T::from_f64(if self.count_include_pad { rows.kernel * columns.kernel } else { inside() } as f64)
    }
}

impl CustomOp1 for AvgPool {
    fn name(&self) -> &'static str {
        "avg-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(x, T => storage(means::<T>(slice(x, layout)?, *self)));
        Ok((result, self.pooling.output()))
    }

    cuda_kernel!(self, x layout => crate::cuda::avg_pool((x, layout), self.pooling, self.count_include_pad));

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(&AvgPoolGradient(*self)).map(Some)
    }
}

fn means<T: Real>(x: &[T], pool: AvgPool) -> Vec<T> {
    let pooling @ Pooling { columns, channels, .. } = pool.pooling;
    fill_rows(
        pooling.output().elem_count(),
        pooling.output_row(),
        #[inline(always)]
        |row, out: &mut [T]| {
            for (column, out) in out.chunks_exact_mut(channels).enumerate() {
                for (_, y) in pooling.rows_under(row) {
                    for (_, column) in inputs(columns, column) {
                        let values = &x[y * pooling.input_row() + column * channels..][..channels];
                        out.iter_mut().zip(values).for_each(|(out, &value)| *out += value);
                    }
                }
                let divisor = pool.divisor::<T>(row, column);
                out.iter_mut().for_each(|out| *out /= divisor);
            }
        },
    )
}

/// upstream gradient → gradient of the input: each pixel collects from the windows that hold it.
struct AvgPoolGradient(AvgPool);

impl CustomOp1 for AvgPoolGradient {
    fn name(&self) -> &'static str {
        "avg-pool2d-gradient"
    }

    fn cpu_fwd(&self, g: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(g, T => storage(collected::<T>(slice(g, layout)?, self.0)));
        Ok((result, self.0.pooling.input()))
    }

    cuda_kernel!(self, g layout => {
        crate::cuda::avg_pool_gradient((g, layout), self.0.pooling, self.0.count_include_pad)
    });
}

fn collected<T: Real>(g: &[T], pool: AvgPool) -> Vec<T> {
    let pooling @ Pooling { columns, channels, .. } = pool.pooling;
    fill_rows(
        pooling.input().elem_count(),
        pooling.input_row(),
        #[inline(always)]
        |row, out: &mut [T]| {
            for (_, y) in pooling.rows_over(row) {
                for (column, out) in out.chunks_exact_mut(channels).enumerate() {
                    for (_, column) in outputs(columns, column) {
                        let divisor = pool.divisor::<T>(y, column);
                        let values = &g[y * pooling.output_row() + column * channels..][..channels];
                        out.iter_mut().zip(values).for_each(|(out, &value)| *out += value / divisor);
                    }
                }
            }
        },
    )
}

/// Holds the input's shape (B, H, W, C).
struct GlobalAvgPool(Shape);

impl CustomOp1 for GlobalAvgPool {
    fn name(&self) -> &'static str {
        "global-avg-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn means<T: Real>(x: &[T], pixels: usize, channels: usize) -> CpuStorage {
            let picture_means = |picture: &[T]| {
                let sums = sum_rows(
                    pixels,
                    channels,
                    channels,
                    #[inline(always)]
                    |rows, sums: &mut [f64]| {
                        for row in picture[rows.start * channels..rows.end * channels].chunks_exact(channels) {
                            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.to_f64());
                        }
                    },
                );
                sums.into_iter().map(|sum| T::from_f64(sum / pixels as f64)).collect::<Vec<T>>()
            };
            let means: Vec<Vec<T>> = x.par_chunks_exact(pixels * channels).map(picture_means).collect();
            storage(means.concat())
        }
        let (batch, height, width, channels) = self.0.dims4()?;
        let result = with_real!(x, T => means::<T>(slice(x, layout)?, height * width, channels));
        Ok((result, Shape::from((batch, channels))))
    }

    cuda_kernel!(self, x layout => crate::cuda::global_avg_pool((x, layout)));

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(&GlobalAvgPoolGradient(self.0.clone())).map(Some)
    }
}

/// upstream gradient (B, C) → gradient of the input, whose shape is kept here.
struct GlobalAvgPoolGradient(Shape);

impl CustomOp1 for GlobalAvgPoolGradient {
    fn name(&self) -> &'static str {
        "global-avg-pool-gradient"
    }

    fn cpu_fwd(&self, g: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn spread<T: Real>(g: &[T], len: usize, pixels: usize, channels: usize) -> CpuStorage {
            let divisor = T::from_f64(pixels as f64);
            let shares: Vec<T> = g.iter().map(|&value| value / divisor).collect();
            storage(fill_rows(
                len,
                channels,
                #[inline(always)]
                |row, out: &mut [T]| {
                    out.copy_from_slice(&shares[row / pixels * channels..][..channels]);
                },
            ))
        }
        let (_, height, width, _) = self.0.dims4()?;
        let channels = last_axis("global_avg_pool", layout.dims())?;
        let result = with_real!(g, T => spread::<T>(slice(g, layout)?, self.0.elem_count(), height * width, channels));
        Ok((result, self.0.clone()))
    }

    cuda_kernel!(self, g layout => crate::cuda::global_avg_pool_gradient((g, layout), &self.0));
}
