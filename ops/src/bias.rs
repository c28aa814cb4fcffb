//! The gradient of a bias: a sum over everything but the channel.

use crate::host::{Real, cuda_through_host, slice, with_real};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Sums (B, C) or (B, C, H, W) over all axes but the second, to (C).
pub(crate) fn sum_per_channel(gradient: &Tensor) -> Result<Tensor> {
    gradient.contiguous()?.apply_op1_no_bwd(&SumPerChannel)
}

struct SumPerChannel;

impl CustomOp1 for SumPerChannel {
    fn name(&self) -> &'static str {
        "sum-per-channel"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let dims = layout.dims();
        let (channels, plane) = (dims[1], dims[2..].iter().product());
        let sums = with_real!(x, T => sum_planes::<T>(slice(x, layout)?, channels, plane));
        Ok((sums, Shape::from(channels)))
    }

    cuda_through_host!(x layout);
}

/// One task a channel, pictures in order: the same bits for every number of threads.
fn sum_planes<T: Real>(x: &[T], channels: usize, plane: usize) -> CpuStorage {
    let sum = |channel: usize| {
        let planes = x.chunks_exact(plane).skip(channel).step_by(channels);
        let total: f64 = planes.map(|values| values.iter().map(|value| value.to_f64()).sum::<f64>()).sum();
        T::from_f64(total)
    };
    T::to_cpu_storage_owned((0..channels).into_par_iter().map(sum).collect())
}
