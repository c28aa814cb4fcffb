//! The gradient of a bias: a sum over everything but the last axis.

use crate::host::{Real, cuda_kernel, slice, with_real};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};
use rayon::prelude::*;

/// Rows whose sums are taken by one task. A constant, not a share of the threads: sums in another order would be other bits.
const ROWS: usize = 1024;

/// Sums (…, C) over all axes but the last, to (C).
pub(crate) fn sum_per_channel(gradient: &Tensor) -> Result<Tensor> {
    gradient.contiguous()?.apply_op1_no_bwd(&SumPerChannel)
}

struct SumPerChannel;

impl CustomOp1 for SumPerChannel {
    fn name(&self) -> &'static str {
        "sum-per-channel"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let channels = layout.dims().last().copied().unwrap_or(1);
        let sums = with_real!(x, T => T::to_cpu_storage_owned(sum_rows::<T>(slice(x, layout)?, channels)));
        Ok((sums, Shape::from(channels)))
    }

    cuda_kernel!(self, x layout => crate::cuda::sum_per_channel((x, layout)));
}

/// Groups of rows side by side, then the groups in order: the same bits for every number of threads.
pub(crate) fn sum_rows<T: Real>(x: &[T], channels: usize) -> Vec<T> {
    let sum_group = |rows: &[T]| {
        let mut sums = vec![T::zero(); channels];
        rows.chunks_exact(channels).for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value));
        sums
    };
    let groups: Vec<Vec<T>> = x.par_chunks(ROWS * channels).map(sum_group).collect();
    let total = |channel: usize| groups.iter().map(|sums| sums[channel].to_f64()).sum();
    (0..channels).map(|channel| T::from_f64(total(channel))).collect()
}
