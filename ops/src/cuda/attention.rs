//! Scaled dot-product attention, on candle's cuBLAS.

use super::device::{Operand, Output};
use super::rows::{softmax, softmax_gradient};
use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{CudaStorage, Layout, Result, Shape};

/// A matrix product of every head: (heads, rows, inner) · (heads, inner, columns).
fn product((left, left_layout): Operand<'_>, (right, right_layout): Operand<'_>) -> Result<(CudaStorage, Layout)> {
    let (heads, rows, inner) = left_layout.shape().dims3()?;
    let columns = right_layout.dims()[2];
    let product = left.matmul(right, (heads, rows, columns, inner), left_layout, right_layout)?;
    Ok((product, Layout::contiguous((heads, rows, columns))))
}

/// (B, H, T, D), contiguous, as (B · H, T, D).
fn heads(layout: &Layout) -> Result<Layout> {
    let (batch, heads, tokens, features) = layout.shape().dims4()?;
    Ok(Layout::contiguous_with_offset((batch * heads, tokens, features), layout.start_offset()))
}

/// softmax(scale · q kᵀ), of every head (B · H, T, T)
fn weights(q: Operand<'_>, k: Operand<'_>, scale: f64) -> Result<(CudaStorage, Layout)> {
    let (scores, layout) = product(q, (k.0, &k.1.transpose(1, 2)?))?;
    let (weights, _) = softmax((&scores, &layout), scale)?;
    Ok((weights, layout))
}

/// softmax(scale · q kᵀ) v, all (B, H, T, D) and contiguous
pub(crate) fn attention(q: Operand<'_>, k: Operand<'_>, v: Operand<'_>, scale: f64) -> Result<Output> {
    let shape = q.1.shape().clone();
    let (q_heads, k_heads, v_heads) = (heads(q.1)?, heads(k.1)?, heads(v.1)?);
    let (weights, layout) = weights((q.0, &q_heads), (k.0, &k_heads), scale)?;
    let (result, _) = product((&weights, &layout), (v.0, &v_heads))?;
    Ok((result, shape))
}

/// (q, k and v stacked (3, B, H, T, D), upstream gradient (B, H, T, D)) → their gradients, stacked; zeros for those that
/// are not wanted.
pub(crate) fn attention_gradient(inputs: Operand<'_>, g: Operand<'_>, scale: f64, wanted: [bool; 3]) -> Result<Output> {
    let gradient = heads(g.1)?;
    let of = |which: usize| {
        let start = inputs.1.start_offset() + which * g.1.shape().elem_count();
        Layout::contiguous_with_offset(gradient.shape().clone(), start)
    };
    let [q, k, v] = [of(0), of(1), of(2)];
    let (all, g) = (inputs.0, (g.0, &gradient));
    let (weights, layout) = weights((all, &q), (all, &k), scale)?;
    let mut out = all.device().zeros_impl(inputs.1.shape(), all.dtype())?;
    let mut put = |which: usize, (part, layout): (CudaStorage, Layout)| {
        part.copy_strided_src(&mut out, which * gradient.shape().elem_count(), &layout)
    };
    if wanted[2] {
        put(2, product((&weights, &layout.transpose(1, 2)?), g)?)?;
    }
    if wanted[0] || wanted[1] {
        let (slopes, _) = product(g, (all, &v.transpose(1, 2)?))?;
        let (scores, _) = softmax_gradient((&weights, &layout), (&slopes, &layout), scale)?;
        if wanted[0] {
            put(0, product((&scores, &layout), (all, &k))?)?;
        }
        if wanted[1] {
            put(1, product((&scores, &layout.transpose(1, 2)?), (all, &q))?)?;
        }
    }
    Ok((out, Shape::from(inputs.1.dims())))
}
