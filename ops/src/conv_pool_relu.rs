//! Convolution, 2×2 max pooling and ReLU in one pass over each picture.
//!
//! The convolution's output is four times the result and lives only as long as one picture is worked on, in the cache.
//! What the backward pass needs of it is which of four values won: one byte for each element of the result. At most one
//! in four elements of the convolution's gradient is not zero, and the backward pass touches only those.

mod gradient;
mod patches;
mod pool;

use crate::Pullback;
use crate::aligned::Aligned;
use crate::bias::sum_per_channel;
use crate::conv2d::{Conv, Padded, checked_bias, padded_bias};
use crate::host::{Real, cuda_kernel, slice, with_real};
use crate::panel::Panels;
use crate::relu::pass_where_positive;
use crate::weight::{Packing, Weight};
use crate::window::Window;
use crate::winners::Winners;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType, bail};
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// ReLU(max_pool2d(conv2d(x, weight, bias), 2, 2, 0)): x (B, H, W, C), weight (O, C, kh, kw), bias (O) → (B, H'/2, W'/2, O).
///
/// Equal to the three operations in sequence, in value and in gradient, ties included: the gradient goes to the first
/// maximum of each window in row-major order, and nowhere if that maximum is not positive.
///
/// # Errors
/// As [`conv2d`](crate::conv2d()), or if the convolution's output has fewer than 2×2 pixels.
pub fn conv2d_pool_relu(
    x: &Tensor,
    weight: impl Into<Weight>,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let (weight, packing) = weight.into().parts()?;
    let bias = checked_bias(x, &weight, bias, 1)?;
    let tracked = x.track_op() || weight.track_op() || bias.track_op();
    let winners = tracked.then(Slot::default);
    let block = Block { conv: Conv::new(stride, padding), packing, winners };
    x.contiguous()?.apply_op3(&weight, &bias, block)
}

/// [`conv2d_pool_relu`], and the gradient of x given that of the result.
///
/// # Errors
/// As [`conv2d_pool_relu`].
pub fn conv2d_pool_relu_with_pullback(
    x: &Tensor,
    weight: impl Into<Weight>,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<(Tensor, Pullback)> {
    let (weight, packing) = weight.into().parts()?;
    let (bias, weight) = (checked_bias(x, &weight, bias, 1)?, weight.detach());
    let (conv, winners) = (Conv::new(stride, padding), Slot::default());
    let block = Block { conv, packing, winners: Some(winners.clone()) };
    let result = x.contiguous()?.apply_op3_no_bwd(&weight, &bias, &block)?;
    let of_input = GradientOfInput(conv, x.shape().clone(), winners);
    Ok((result, Box::new(move |gradient| gradient.contiguous()?.apply_op2_no_bwd(&weight, &of_input))))
}

/// For each element of the result: which of the window's four values it is (row-major), or [`NONE`]. Written by forward.
type Slot = Arc<OnceLock<Winners<u8>>>;

/// No value of the window was positive.
const NONE: u8 = 4;

struct Block {
    conv: Conv,
    packing: Packing,
    /// `None` if no gradient will be asked for.
    winners: Option<Slot>,
}

impl Block {
    fn winners(&self) -> &Slot {
        self.winners.as_ref().expect("only tracked results are differentiated. This is a bug.")
    }
}

/// The size of one picture at each stage.
#[derive(Clone, Copy)]
struct Sizes {
    window: Window,
    outputs: usize,
    rows: usize,
    columns: usize,
}

impl Sizes {
    fn new(conv: Conv, x: &Shape, weight: &Shape) -> Result<Self> {
        let (window, outputs) = (conv.window(x, weight)?, weight.dims()[0]);
        let (rows, columns) = (window.rows.output / 2, window.columns.output / 2);
        if rows * columns == 0 {
            bail!("2×2 pooling of {}×{} pixels leaves none", window.rows.output, window.columns.output);
        }
        Ok(Self { window, outputs, rows, columns })
    }

    /// Elements of one picture of the convolution's output.
    fn convolved(&self) -> usize {
        self.outputs * self.window.positions()
    }

    /// Elements of one picture of the result.
    fn pooled(&self) -> usize {
        self.outputs * self.rows * self.columns
    }

    /// For each pooled window: where its upper left position's window starts in the padded picture.
    fn starts(&self) -> Vec<usize> {
        let of_rows = self.window.starts(0..self.window.rows.output);
        let (width, columns) = (self.window.columns.output, self.columns);
        let is_corner = |(position, _): &(usize, usize)| {
            let (row, column) = (position / width, position % width);
            row % 2 == 0 && column % 2 == 0 && row / 2 < self.rows && column / 2 < columns
        };
        of_rows.enumerate().filter(is_corner).map(|(_, start)| start).collect()
    }

    /// How much farther the window of each of the four positions starts, row-major.
    fn offsets(&self) -> [usize; 4] {
        let right = self.window.columns.stride * self.window.channels;
        let down = self.window.rows.stride * self.window.padded_line();
        [0, right, down, down + right]
    }
}

impl CustomOp3 for Block {
    fn name(&self) -> &'static str {
        "conv2d-pool-relu"
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
        let sizes = Sizes::new(self.conv, x_layout.shape(), w_layout.shape())?;
        let batch = x_layout.dims()[0];
        let mut won = vec![NONE; if self.winners.is_some() { batch * sizes.pooled() } else { 0 }];
        let out = with_real!(x, T => {
            let w = slice::<T>(w, w_layout)?;
            let weight = self.packing.forward(|| Panels::of_windows(w, sizes.outputs, sizes.window));
            T::to_cpu_storage_owned(forward(slice(x, x_layout)?, &weight, slice(b, b_layout)?, sizes, &mut won))
        });
        if let Some(winners) = &self.winners {
            // A second forward of one operation would write the same bytes.
            winners.get_or_init(|| Winners::Host(won));
        }
        Ok((out, Shape::from((batch, sizes.rows, sizes.columns, sizes.outputs))))
    }

    cuda_kernel!(self, x x_layout, w w_layout, b b_layout => {
        let keep = self.winners.is_some();
        let done = crate::cuda::conv_pool_relu(self.conv, (x, x_layout), (w, w_layout), Some((b, b_layout)), keep);
        done.map(|done| done.map(|(result, won)| {
            if let (Some(slot), Some(won)) = (&self.winners, won) {
                slot.get_or_init(|| Winners::Device(won));
            }
            result
        }))
    });

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        result: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let of_x =
            || gradient.apply_op2_no_bwd(w, &GradientOfInput(self.conv, x.shape().clone(), self.winners().clone()));
        let of_w =
            || gradient.apply_op2_no_bwd(x, &GradientOfWeight(self.conv, w.shape().clone(), self.winners().clone()));
        let of_b = || sum_per_channel(&pass_where_positive(result, &gradient)?);
        Ok((
            x.track_op().then(of_x).transpose()?,
            w.track_op().then(of_w).transpose()?,
            b.track_op().then(of_b).transpose()?,
        ))
    }
}

/// One task a picture; `won` may be empty.
fn forward<T: Real>(x: &[T], weight: &Panels<T>, bias: &[T], sizes: Sizes, won: &mut [u8]) -> Vec<T> {
    let batch = x.len() / sizes.window.input_len();
    let bias = padded_bias(bias);
    let mut out = vec![T::zero(); batch * sizes.pooled()];
    // Without winners every picture gets an empty slice of them.
    let mut shares: Vec<&mut [u8]> = won.chunks_mut(sizes.pooled()).collect();
    shares.resize_with(batch, || &mut []);
    let scratch = || (Padded::default(), Aligned::filled(T::zero(), sizes.convolved()));
    let pictures = out.par_chunks_mut(sizes.pooled()).zip(shares).zip(x.par_chunks(sizes.window.input_len()));
    pictures.for_each_init(scratch, |(padded, convolved), ((out, won), picture)| {
        padded.fill(picture, sizes.window, 0..sizes.window.rows.output);
        padded.convolve(weight, &bias, sizes.outputs, convolved);
        pool::pool_relu(convolved, sizes.window.columns.output, sizes.columns, sizes.outputs, out, won);
    });
    out
}

/// The winners of all pictures.
fn won(slot: &Slot) -> &Winners<u8> {
    slot.get().expect("forward ran before backward. This is a bug.")
}

/// (upstream gradient, weight) → gradient of the input, whose shape is kept here.
struct GradientOfInput(Conv, Shape, Slot);

impl CustomOp2 for GradientOfInput {
    fn name(&self) -> &'static str {
        "conv2d-pool-relu-gradient-of-input"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::new(self.0, &self.1, w_layout.shape())?;
        let out = with_real!(g, T => {
            T::to_cpu_storage_owned(gradient::of_input::<T>(slice(g, g_layout)?, won(&self.2).on_host()?, slice(w, w_layout)?, sizes))
        });
        Ok((out, self.1.clone()))
    }

    cuda_kernel!(self, g g_layout, w w_layout => {
        let (g, w) = ((g, g_layout), (w, w_layout));
        crate::cuda::conv_pool_relu_gradient_of_input(self.0, &self.1, g, w, won(&self.2))
    });
}

/// (upstream gradient, input) → gradient of the weight, whose shape is kept here.
struct GradientOfWeight(Conv, Shape, Slot);

impl CustomOp2 for GradientOfWeight {
    fn name(&self) -> &'static str {
        "conv2d-pool-relu-gradient-of-weight"
    }

    fn cpu_fwd(
        &self,
        g: &CpuStorage,
        g_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::new(self.0, x_layout.shape(), &self.1)?;
        let out = with_real!(g, T => {
            T::to_cpu_storage_owned(gradient::of_weight::<T>(slice(x, x_layout)?, slice(g, g_layout)?, won(&self.2).on_host()?, sizes))
        });
        Ok((out, self.1.clone()))
    }

    cuda_kernel!(self, g g_layout, x x_layout => {
        let (g, x) = ((g, g_layout), (x, x_layout));
        crate::cuda::conv_pool_relu_gradient_of_weight(self.0, &self.1, g, x, won(&self.2))
    });
}
