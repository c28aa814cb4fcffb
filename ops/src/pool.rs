//! Max pooling; overlapping windows and padding included.

use crate::host::{Real, cuda_through_host, slice, with_real};
use crate::window::{Axis, Window};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// The largest value of each window: (B, C, H, W) → (B, C, H', W'), H' = ⌊(H + 2·padding − kernel) / stride⌋ + 1.
///
/// Padding never wins. The gradient goes to the first maximum in row-major order, as in PyTorch.
///
/// # Errors
/// If the kernel or stride is 0, the padding is more than half the kernel, or the window does not fit.
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    if 2 * padding > kernel {
        candle_core::bail!(
            "max_pool2d: padding {padding} is more than half the kernel {kernel}, so a window could be empty"
        );
    }
    x.contiguous()?.apply_op1(MaxPool { kernel, stride, padding })
}

#[derive(Clone, Copy)]
struct MaxPool {
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl MaxPool {
    /// The window over one plane (H, W), and the number of planes.
    fn planes(&self, layout: &Layout) -> Result<(Window, usize)> {
        let (batch, channels, height, width) = layout.shape().dims4()?;
        let rows = Axis::new(height, self.kernel, self.stride, self.padding)?;
        let columns = Axis::new(width, self.kernel, self.stride, self.padding)?;
        Ok((Window { channels: 1, rows, columns }, batch * channels))
    }
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn forward<T: Real>(x: &[T], window: Window, planes: usize) -> CpuStorage {
            let mut out = vec![T::zero(); planes * window.positions()];
            let pooled = out.par_chunks_mut(window.positions()).with_min_len(8);
            pooled.zip(x.par_chunks(window.input_len())).for_each(|(out, plane)| {
                for_each_maximum(window, plane, |position, index| out[position] = plane[index]);
            });
            T::to_cpu_storage_owned(out)
        }
        let (window, planes) = self.planes(layout)?;
        let out = with_real!(x, T => forward::<T>(slice(x, layout)?, window, planes));
        let (batch, channels, _, _) = layout.shape().dims4()?;
        Ok((out, Shape::from((batch, channels, window.rows.output, window.columns.output))))
    }

    cuda_through_host!(x layout);

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        x.apply_op2_no_bwd(&gradient.contiguous()?, &MaxPoolGradient(*self)).map(Some)
    }
}

/// (input, upstream gradient) → gradient of the input. Finds the maxima again: cheaper than keeping their indices.
struct MaxPoolGradient(MaxPool);

impl CustomOp2 for MaxPoolGradient {
    fn name(&self) -> &'static str {
        "max-pool2d-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        fn backward<T: Real>(x: &[T], g: &[T], window: Window) -> CpuStorage {
            let mut out = vec![T::zero(); x.len()];
            let planes = out.par_chunks_mut(window.input_len()).with_min_len(8);
            let inputs = x.par_chunks(window.input_len()).zip(g.par_chunks(window.positions()));
            planes.zip(inputs).for_each(|(out, (plane, g))| {
                for_each_maximum(window, plane, |position, index| out[index] += g[position]);
            });
            T::to_cpu_storage_owned(out)
        }
        let (window, _) = self.0.planes(x_layout)?;
        let out = with_real!(x, T => backward::<T>(slice(x, x_layout)?, slice(g, g_layout)?, window));
        Ok((out, x_layout.shape().clone()))
    }

    cuda_through_host!(x x_layout, g g_layout);
}

/// Calls `found(window position, index of its first maximum in the plane)` for each window, in row-major order.
fn for_each_maximum<T: Real>(window: Window, plane: &[T], mut found: impl FnMut(usize, usize)) {
    let Window { rows, columns, .. } = window;
    for row in 0..rows.output {
        for column in 0..columns.output {
            let mut best: Option<usize> = None;
            for y in (0..rows.kernel).filter_map(|offset| rows.position(row, offset)) {
                for x in (0..columns.kernel).filter_map(|offset| columns.position(column, offset)) {
                    let index = y * columns.input + x;
                    if best.is_none_or(|best| plane[index] > plane[best]) {
                        best = Some(index);
                    }
                }
            }
            let best = best.expect("padding is at most half the kernel, so a window holds an input. This is a bug.");
            found(row * columns.output + column, best);
        }
    }
}
