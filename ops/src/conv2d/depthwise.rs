//! Depthwise convolution: every channel has a kernel of its own, and all channels are computed side by side.

use super::forward::Padded;
use super::weight_gradient::sum_over_pictures;
use crate::aligned::Aligned;
use crate::host::Real;
use crate::simd::vectorized;
use crate::window::Window;
use rayon::prelude::*;

/// x (B, H, W, C), weight (C, 1, kh, kw), bias (C) → (B, H', W', C). One task a picture.
pub(super) fn convolve<T: Real>(x: &[T], weight: &[T], bias: &[T], window: Window) -> Vec<T> {
    let (channels, taps) = (window.channels, taps_first(weight, window.channels));
    let picture_len = window.positions() * channels;
    let mut out = vec![T::zero(); x.len() / window.input_len() * picture_len];
    let pictures = out.par_chunks_mut(picture_len).zip(x.par_chunks(window.input_len()));
    pictures.for_each_init(Padded::default, |padded, (out, picture)| {
        padded.fill(picture, window, 0..window.rows.output);
        for (out, &start) in out.chunks_exact_mut(channels).zip(padded.starts()) {
            out.copy_from_slice(bias);
            for (offset, weight) in offsets(window).zip(taps.chunks_exact(channels)) {
                add_products(out, &padded.pixels()[start + offset..][..channels], weight);
            }
        }
    });
    out
}

/// Upstream gradient (B, H', W', C) → gradient of the input (B, H, W, C). One task a picture.
pub(super) fn input_gradient<T: Real>(upstream: &[T], weight: &[T], window: Window) -> Vec<T> {
    let (channels, taps) = (window.channels, taps_first(weight, window.channels));
    let picture_len = window.positions() * channels;
    let mut out = vec![T::zero(); upstream.len() / picture_len * window.input_len()];
    let pictures = out.par_chunks_mut(window.input_len()).zip(upstream.par_chunks(picture_len));
    pictures.for_each_init(Aligned::new, |padded, (out, upstream)| {
        padded.resize(T::zero(), window.padded_len());
        padded.fill(T::zero());
        for (upstream, start) in upstream.chunks_exact(channels).zip(window.starts(0..window.rows.output)) {
            for (offset, weight) in offsets(window).zip(taps.chunks_exact(channels)) {
                add_products(&mut padded[start + offset..][..channels], upstream, weight);
            }
        }
        window.unpad(padded, out);
    });
    out
}

/// x (B, H, W, C), upstream gradient (B, H', W', C) → gradient of the weight (C, 1, kh, kw).
pub(super) fn weight_gradient<T: Real>(x: &[T], upstream: &[T], window: Window) -> Vec<T> {
    let (channels, picture_len) = (window.channels, window.positions() * window.channels);
    let sums = sum_over_pictures(x, window, 1, window.patch_len(), |picture, padded, sums| {
        let upstream = &upstream[picture.start * picture_len..picture.end * picture_len];
        for (upstream, &start) in upstream.chunks_exact(channels).zip(padded.starts()) {
            for (offset, sums) in offsets(window).zip(sums.chunks_exact_mut(channels)) {
                add_products(sums, &padded.pixels()[start + offset..][..channels], upstream);
            }
        }
    });
    taps_first(&sums, window.patch_len() / channels)
}

/// Where each tap of a window lies, from the window's start.
fn offsets(window: Window) -> impl Iterator<Item = usize> {
    let (line, channels, columns) = (window.padded_line(), window.channels, window.columns.kernel);
    (0..window.rows.kernel).flat_map(move |row| (0..columns).map(move |column| row * line + column * channels))
}

/// The transpose of a matrix (rows, anything).
fn taps_first<T: Real>(matrix: &[T], rows: usize) -> Vec<T> {
    crate::matrix::transposed(matrix, matrix.len() / rows)
}

vectorized! {
    /// sums += a · b, channel by channel.
    fn add_products<T: Real>(sums: &mut [T], a: &[T], b: &[T]) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
}
