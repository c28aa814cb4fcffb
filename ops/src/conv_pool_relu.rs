//! Convolution, 2×2 max pooling and ReLU in one pass over each picture.
//!
//! The convolution's output is four times the result and lives only as long as one picture is worked on, in the cache.
//! What the backward pass needs of it is which of four values won: one byte for each element of the result.

use crate::bias::sum_per_channel;
use crate::conv2d::{Conv2d, checked_bias, convolve, convolve_back, weight_gradient};
use crate::host::{Real, cuda_through_host, slice, with_real};
use crate::matrix::View;
use crate::relu::pass_where_positive;
use crate::window::Window;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// ReLU(max_pool2d(conv2d(x, weight, bias), 2, 2, 0)): x (B, C, H, W), weight (O, C, kh, kw), bias (O) → (B, O, H'/2, W'/2).
///
/// Equal to the three operations in sequence, in value and in gradient, ties included: the gradient goes to the first
/// maximum of each window in row-major order, and nowhere if that maximum is not positive.
///
/// # Errors
/// As [`conv2d`](crate::conv2d()), or if the convolution's output has fewer than 2×2 pixels.
pub fn conv2d_pool_relu(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let bias = checked_bias(x, weight, bias)?;
    let tracked = x.track_op() || weight.track_op() || bias.track_op();
    let winners = tracked.then(Winners::default);
    let block = Block { conv: Conv2d { stride, padding }, winners };
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias, block)
}

/// For each element of the result: which of the window's four values it is (row-major), or [`NONE`]. Written by forward.
type Winners = Arc<OnceLock<Vec<u8>>>;

/// No value of the window was positive.
const NONE: u8 = 4;

struct Block {
    conv: Conv2d,
    /// `None` if no gradient will be asked for.
    winners: Option<Winners>,
}

impl Block {
    fn winners(&self) -> &Winners {
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
    fn new(conv: Conv2d, x: &Shape, weight: &Shape) -> Result<Self> {
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

    /// Pools and rectifies one picture; `won` may be empty.
    fn pool<T: Real>(&self, convolved: &[T], out: &mut [T], won: &mut [u8]) {
        let (width, plane) = (self.window.columns.output, self.window.positions());
        for output in 0..self.outputs {
            for row in 0..self.rows {
                let at = (output * self.rows + row) * self.columns;
                let (upper, lower) = convolved[output * plane + 2 * row * width..][..2 * width].split_at(width);
                let windows = upper.chunks_exact(2).zip(lower.chunks_exact(2));
                for (out, (upper, lower)) in out[at..at + self.columns].iter_mut().zip(windows.clone()) {
                    let (_, best) = first_maximum(upper, lower);
                    *out = if best <= T::zero() { T::zero() } else { best };
                }
                if !won.is_empty() {
                    for (won, (upper, lower)) in won[at..at + self.columns].iter_mut().zip(windows) {
                        let (index, best) = first_maximum(upper, lower);
                        *won = if best <= T::zero() { NONE } else { index };
                    }
                }
            }
        }
    }

    /// Writes the gradient of the convolution's output of one picture: zero but for the winners.
    fn unpool<T: Real>(&self, g: &[T], won: &[u8], convolved: &mut [T]) {
        let (width, plane) = (self.window.columns.output, self.window.positions());
        let offsets = [0, 1, width, width + 1];
        convolved.fill(T::zero());
        let rows = g.chunks_exact(self.columns).zip(won.chunks_exact(self.columns)).enumerate();
        for (index, (g, won)) in rows {
            let start = index / self.rows * plane + 2 * (index % self.rows) * width;
            for (column, (&g, &won)) in g.iter().zip(won).enumerate() {
                if won != NONE {
                    convolved[start + 2 * column + offsets[usize::from(won)]] = g;
                }
            }
        }
    }
}

/// The largest of four values and its row-major index; of equal ones, the first.
#[inline]
fn first_maximum<T: Real>(upper: &[T], lower: &[T]) -> (u8, T) {
    let of_upper = if upper[1] > upper[0] { (1, upper[1]) } else { (0, upper[0]) };
    let of_lower = if lower[1] > lower[0] { (3, lower[1]) } else { (2, lower[0]) };
    if of_lower.1 > of_upper.1 { of_lower } else { of_upper }
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
            let weight = View::new(slice::<T>(w, w_layout)?, sizes.outputs, sizes.window.patch_len());
            forward(slice(x, x_layout)?, weight, slice(b, b_layout)?, sizes, &mut won)
        });
        if let Some(winners) = &self.winners {
            // A second forward of one operation would write the same bytes.
            winners.get_or_init(|| won);
        }
        Ok((out, Shape::from((batch, sizes.outputs, sizes.rows, sizes.columns))))
    }

    cuda_through_host!(x x_layout, w w_layout, b b_layout);

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

/// One task a picture.
fn forward<T: Real>(x: &[T], weight: View<'_, T>, bias: &[T], sizes: Sizes, won: &mut [u8]) -> CpuStorage {
    let batch = x.len() / sizes.window.input_len();
    let mut out = vec![T::zero(); batch * sizes.pooled()];
    // Without winners every picture gets an empty slice of them.
    let mut shares: Vec<&mut [u8]> = won.chunks_mut(sizes.pooled()).collect();
    shares.resize_with(batch, || &mut []);
    let scratch = || (sizes.window.scratch(), vec![T::zero(); sizes.convolved()]);
    let pictures = out.par_chunks_mut(sizes.pooled()).zip(shares).zip(x.par_chunks(sizes.window.input_len()));
    pictures.for_each_init(scratch, |(columns, convolved), ((out, won), picture)| {
        convolve(picture, weight, bias, sizes.window, columns, convolved);
        sizes.pool(convolved, out, won);
    });
    T::to_cpu_storage_owned(out)
}

/// The winners of picture number `index`.
fn winners_of(winners: &Winners, index: usize, sizes: Sizes) -> &[u8] {
    let all = winners.get().expect("forward ran before backward. This is a bug.");
    &all[index * sizes.pooled()..][..sizes.pooled()]
}

/// (upstream gradient, weight) → gradient of the input, whose shape is kept here.
struct GradientOfInput(Conv2d, Shape, Winners);

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
        fn backward<T: Real>(g: &[T], weight: View<'_, T>, sizes: Sizes, winners: &Winners) -> CpuStorage {
            let mut out = vec![T::zero(); g.len() / sizes.pooled() * sizes.window.input_len()];
            let scratch = || (sizes.window.scratch(), vec![T::zero(); sizes.convolved()]);
            let pictures = out.par_chunks_mut(sizes.window.input_len()).zip(g.par_chunks(sizes.pooled())).enumerate();
            pictures.for_each_init(scratch, |(columns, convolved), (index, (out, g))| {
                sizes.unpool(g, winners_of(winners, index, sizes), convolved);
                let convolved = View::new(convolved, sizes.outputs, sizes.window.positions());
                convolve_back(convolved, weight, sizes.window, columns, out);
            });
            T::to_cpu_storage_owned(out)
        }
        let sizes = Sizes::new(self.0, &self.1, w_layout.shape())?;
        let out = with_real!(g, T => {
            let weight = View::new(slice::<T>(w, w_layout)?, sizes.outputs, sizes.window.patch_len());
            backward(slice(g, g_layout)?, weight, sizes, &self.2)
        });
        Ok((out, self.1.clone()))
    }

    cuda_through_host!(g g_layout, w w_layout);
}

/// (upstream gradient, input) → gradient of the weight, whose shape is kept here.
struct GradientOfWeight(Conv2d, Shape, Winners);

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
            let g = slice::<T>(g, g_layout)?;
            let unpool = |index: usize, convolved: &mut [T]| {
                sizes.unpool(&g[index * sizes.pooled()..][..sizes.pooled()], winners_of(&self.2, index, sizes), convolved);
            };
            weight_gradient(slice(x, x_layout)?, sizes.window, sizes.outputs, unpool)
        });
        Ok((out, self.1.clone()))
    }

    cuda_through_host!(g g_layout, x x_layout);
}
