//! One step of projected gradient descent on pixels: one pass over memory.

use crate::host::{Real, slice, with_real};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

/// Enough pixels a task to outweigh the hand-over.
const CHUNK: usize = 16 * 1024;

/// How far pixels move, in intensity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PgdStep {
    /// By so much in this step, against the slope's sign.
    pub stride: f64,
    /// At most so much in all: the radius of the L∞ ball around the benign pixels.
    pub radius: f64,
}

impl PgdStep {
    /// The pixels one step lower, inside the ball around the benign ones and inside [0, 1]; `None` if a slope is NaN or
    /// infinite. All three tensors have one shape, any. A slope of 0 leaves its pixel alone.
    ///
    /// No gradient flows through a step. Arithmetic is in the pixels' own type, the same operations on every device.
    ///
    /// # Errors
    /// If shapes, types or devices differ, or the elements are neither `f32` nor `f64`.
    ///
    /// Source: Madry et al., arXiv 1706.06083, L∞.
    pub fn descend(&self, pixels: &Tensor, benign: &Tensor, slopes: &Tensor) -> Result<Option<Tensor>> {
        if pixels.shape() != benign.shape() || pixels.shape() != slopes.shape() {
            bail!("pgd: pixels are {:?}, benign pixels {:?}, slopes {:?}", pixels.dims(), benign.dims(), slopes.dims());
        }
        let run = Run { step: *self, finite: Cell::new(true) };
        let moved = pixels.contiguous()?.apply_op3_no_bwd(&benign.contiguous()?, &slopes.contiguous()?, &run)?;
        Ok(run.finite.get().then_some(moved))
    }
}

struct Run {
    step: PgdStep,
    /// Whether all slopes were finite; written by the operation, whose result has no room for it.
    finite: Cell<bool>,
}

impl CustomOp3 for Run {
    fn name(&self) -> &'static str {
        "pgd-step"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        benign: &CpuStorage,
        benign_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let moved = with_real!(x, T => {
            let (x, benign, g) = (slice::<T>(x, x_layout)?, slice(benign, benign_layout)?, slice(g, g_layout)?);
            let (moved, finite) = descend(x, benign, g, T::from_f64(self.step.stride), T::from_f64(self.step.radius));
            self.finite.set(finite);
            T::to_cpu_storage_owned(moved)
        });
        Ok((moved, x_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &candle_core::CudaStorage,
        x_layout: &Layout,
        benign: &candle_core::CudaStorage,
        benign_layout: &Layout,
        g: &candle_core::CudaStorage,
        g_layout: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        let (moved, finite) = crate::cuda::pgd_step((x, x_layout), (benign, benign_layout), (g, g_layout), self.step)?;
        self.finite.set(finite);
        Ok(moved)
    }
}

/// The moved pixels, and whether all slopes were finite.
fn descend<T: Real>(pixels: &[T], benign: &[T], slopes: &[T], stride: T, radius: T) -> (Vec<T>, bool) {
    let finite = AtomicBool::new(true);
    let mut moved = pixels.to_vec();
    let chunks = moved.par_chunks_mut(CHUNK).zip(benign.par_chunks(CHUNK)).zip(slopes.par_chunks(CHUNK));
    chunks.for_each(|((moved, benign), slopes)| {
        if !descend_chunk(moved, benign, slopes, stride, radius) {
            finite.store(false, Ordering::Relaxed);
        }
    });
    (moved, finite.into_inner())
}

#[expect(clippy::eq_op, reason = "the test for finite numbers that all element types have")]
fn descend_chunk<T: Real>(moved: &mut [T], benign: &[T], slopes: &[T], stride: T, radius: T) -> bool {
    let (zero, one) = (T::zero(), T::one());
    let mut finite = true;
    for ((pixel, &benign), &slope) in moved.iter_mut().zip(benign).zip(slopes) {
        // 0 for a finite number, NaN for any other.
        finite &= slope - slope == zero;
        // A slope of exactly 0 leaves the pixel alone: satisfied triplets must not move.
        let step = if slope > zero {
            zero - stride
        } else if slope < zero {
            stride
        } else {
            zero
        };
        let moved = *pixel + step;
        // The ball is around the benign pixels: around the last step, it would drift steps · stride.
        let moved = greater(lesser(moved, benign + radius), benign - radius);
        *pixel = lesser(greater(moved, zero), one);
    }
    finite
}

fn lesser<T: PartialOrd>(left: T, right: T) -> T {
    if right < left { right } else { left }
}

fn greater<T: PartialOrd>(left: T, right: T) -> T {
    if right > left { right } else { left }
}
