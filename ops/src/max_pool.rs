//! Max pooling; overlapping windows and padding included.

use crate::Pullback;
use crate::host::{Real, cuda_kernel, slice, storage, with_real};
use crate::pooling::{Pooling, inputs, outputs};
use crate::rows::{fill_rows, rows_per_task, vectorize};
use crate::winners::Winners;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// The largest value of each window: (B, H, W, C) → (B, H', W', C), H' = ⌊(H + 2·padding − kernel) / stride⌋ + 1.
///
/// Padding never wins, a NaN always does. The gradient goes to the first maximum in row-major order, as in PyTorch.
///
/// # Errors
/// If the kernel is 0 or more than 256, the stride is 0, the padding is more than half the kernel, the window does not
/// fit, or the element type is neither `f32` nor `f64`.
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let pooling = checked(x, kernel, stride, padding)?;
    let winners = x.track_op().then(Slot::default);
    x.contiguous()?.apply_op1(MaxPool { pooling, winners })
}

/// [`max_pool2d`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`max_pool2d`].
pub fn max_pool2d_with_pullback(
    x: &Tensor,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<(Tensor, Pullback)> {
    let (pooling, winners) = (checked(x, kernel, stride, padding)?, Slot::default());
    let result = x.contiguous()?.apply_op1_no_bwd(&MaxPool { pooling, winners: Some(winners.clone()) })?;
    let gradient = MaxPoolGradient { pooling, winners };
    Ok((result, Box::new(move |upstream| upstream.contiguous()?.apply_op1_no_bwd(&gradient))))
}

fn checked(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Pooling> {
    if kernel > 256 {
        bail!("max_pool2d: a window of {kernel}×{kernel} has more than the 65536 values that an index can tell apart");
    }
    Pooling::new("max_pool2d", x.shape(), kernel, stride, padding)
}

/// Which value of its window each element of the result is, row-major. Written by the forward pass.
type Slot = Arc<OnceLock<Winners<u16>>>;

struct MaxPool {
    pooling: Pooling,
    /// `None` if no gradient will be asked for.
    winners: Option<Slot>,
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let result = with_real!(x, T => {
            let x = slice::<T>(x, layout)?;
            storage(match &self.winners {
                None => maxima(x, self.pooling),
                Some(winners) => {
                    let (out, won) = maxima_and_winners(x, self.pooling);
                    // A second forward pass of one operation would write the same.
                    winners.get_or_init(|| Winners::Host(won));
                    out
                }
            })
        });
        Ok((result, self.pooling.output()))
    }

    cuda_kernel!(self, x layout => {
        let done = crate::cuda::max_pool((x, layout), self.pooling, self.winners.is_some());
        done.map(|(result, won)| {
            if let (Some(slot), Some(won)) = (&self.winners, won) {
                slot.get_or_init(|| Winners::Device(won));
            }
            result
        })
    });

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let Some(winners) = self.winners.clone() else { return Ok(None) };
        gradient.contiguous()?.apply_op1_no_bwd(&MaxPoolGradient { pooling: self.pooling, winners }).map(Some)
    }
}

/// Whether `value` wins over the maximum so far. Once a NaN stands there, only another takes its place.
#[inline(always)]
#[expect(clippy::eq_op, reason = "the test for NaN that all element types have")]
fn wins<T: Real>(value: T, best: T) -> bool {
    value > best || value != value
}

fn maxima<T: Real>(x: &[T], pooling: Pooling) -> Vec<T> {
    fill_rows(
        pooling.output().elem_count(),
        pooling.output_row(),
        #[inline(always)]
        |row, out: &mut [T]| pool_row(pooling, x, row, out, &mut []),
    )
}

fn maxima_and_winners<T: Real>(x: &[T], pooling: Pooling) -> (Vec<T>, Vec<u16>) {
    let (len, row_len) = (pooling.output().elem_count(), pooling.output_row());
    let (mut out, mut won) = (vec![T::zero(); len], vec![0; len]);
    let rows = out.par_chunks_mut(row_len).zip(won.par_chunks_mut(row_len)).enumerate();
    rows.with_min_len(rows_per_task(row_len)).for_each(|(row, (out, won))| {
        vectorize(
            #[inline(always)]
            || pool_row(pooling, x, row, out, won),
        );
    });
    (out, won)
}

/// Channels whose maxima and winners are found together, in registers.
const CHANNELS: usize = 16;

/// Pools one row of the output; `won` may be empty.
#[inline(always)]
fn pool_row<T: Real>(pooling: Pooling, x: &[T], row: usize, out: &mut [T], won: &mut [u16]) {
    for column in 0..pooling.columns.output {
        let pixel = column * pooling.channels;
        let mut channel = 0;
        while channel + CHANNELS <= pooling.channels {
            pool_channels::<T, CHANNELS>(pooling, x, row, column, channel, pixel, out, won);
            channel += CHANNELS;
        }
        for channel in channel..pooling.channels {
            pool_channels::<T, 1>(pooling, x, row, column, channel, pixel, out, won);
        }
    }
}

/// Pools `N` channels from number `channel` on of one pixel, whose elements start at `pixel`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "the place of one pixel's channels, in a loop that must be inlined")]
fn pool_channels<T: Real, const N: usize>(
    pooling: Pooling,
    x: &[T],
    row: usize,
    column: usize,
    channel: usize,
    pixel: usize,
    out: &mut [T],
    won: &mut [u16],
) {
    let columns = pooling.columns;
    let (mut best, mut winner, mut first) = ([T::zero(); N], [0u32; N], true);
    for (row_offset, y) in pooling.rows_under(row) {
        for (column_offset, position) in inputs(columns, column) {
            let tap = (row_offset * columns.kernel + column_offset) as u32;
            let start = y * pooling.input_row() + position * pooling.channels + channel;
            let values = &x[start..start + N];
            for lane in 0..N {
                let better = first || wins(values[lane], best[lane]);
                best[lane] = if better { values[lane] } else { best[lane] };
                winner[lane] = if better { tap } else { winner[lane] };
            }
            first = false;
        }
    }
    out[pixel + channel..][..N].copy_from_slice(&best);
    if !won.is_empty() {
        let won = &mut won[pixel + channel..][..N];
        won.iter_mut().zip(winner).for_each(|(won, winner)| *won = winner as u16);
    }
}

/// upstream gradient → gradient of the input: each pixel collects from the windows that it won.
struct MaxPoolGradient {
    pooling: Pooling,
    winners: Slot,
}

impl MaxPoolGradient {
    fn won(&self) -> Result<&Winners<u16>> {
        match self.winners.get() {
            Some(won) => Ok(won),
            None => bail!("max_pool2d: the backward pass ran before the forward pass"),
        }
    }
}

impl CustomOp1 for MaxPoolGradient {
    fn name(&self) -> &'static str {
        "max-pool2d-gradient"
    }

    fn cpu_fwd(&self, g: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let won = self.won()?.on_host()?;
        let result = with_real!(g, T => {
            storage(collected::<T>(slice(g, layout)?, won, self.pooling))
        });
        Ok((result, self.pooling.input()))
    }

    cuda_kernel!(self, g layout => crate::cuda::max_pool_gradient((g, layout), self.won()?.on_device()?, self.pooling));
}

fn collected<T: Real>(g: &[T], won: &[u16], pooling: Pooling) -> Vec<T> {
    let Pooling { columns, channels, .. } = pooling;
    fill_rows(
        pooling.input().elem_count(),
        pooling.input_row(),
        #[inline(always)]
        |row, out: &mut [T]| {
            for (row_offset, y) in pooling.rows_over(row) {
                for (column, out) in out.chunks_exact_mut(channels).enumerate() {
                    for (column_offset, x) in outputs(columns, column) {
                        let tap = (row_offset * columns.kernel + column_offset) as u16;
                        let pixel =
                            y * pooling.output_row() + x * channels..y * pooling.output_row() + (x + 1) * channels;
                        for ((out, &g), &won) in out.iter_mut().zip(&g[pixel.clone()]).zip(&won[pixel]) {
                            *out += if won == tap { g } else { T::zero() };
                        }
                    }
                }
            }
        },
    )
}
