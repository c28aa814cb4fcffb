//! The gradients of the block: sums over the windows' winners, all other elements of the convolution's gradient being zero.

use super::patches::{Accumulate, Patches};
use super::{NONE, Sizes};
use crate::aligned::Aligned;
use crate::conv2d::{Padded, sum_over_pictures};
use crate::host::Real;
use crate::panel::window_order;
use crate::simd::{Kernel, Lanes, run};
use rayon::prelude::*;

/// Upstream gradient (B, H'/2, W'/2, O), winners, weight (O, C, kh, kw) → gradient of the input (B, H, W, C). One task a picture.
pub(super) fn of_input<T: Real>(upstream: &[T], won: &[u8], weight: &[T], sizes: Sizes) -> Vec<T> {
    let window = sizes.window;
    let mut out = vec![T::zero(); upstream.len() / sizes.pooled() * window.input_len()];
    let (patches, weight, starts) = (Patches::new(weight, sizes), Kernels::new(weight, sizes), sizes.starts());
    let pictures = upstream.par_chunks(sizes.pooled()).zip(won.par_chunks(sizes.pooled()));
    out.par_chunks_mut(window.input_len()).zip(pictures).for_each_init(Aligned::new, |padded, (out, (g, won))| {
        padded.resize(T::zero(), window.padded_len() + weight.slack());
        padded.fill(T::zero());
        match &patches {
            Some(patches) => run(Accumulate { g, won, patches, sizes, starts: &starts, padded }),
            None => run(Scatter { g, won, weight: &weight, sizes, starts: &starts, padded }),
        }
        window.unpad(padded, out);
    });
    out
}

/// x (B, H, W, C), upstream gradient and winners → gradient of the weight (O, C, kh, kw).
pub(super) fn of_weight<T: Real>(x: &[T], upstream: &[T], won: &[u8], sizes: Sizes) -> Vec<T> {
    let (runs, line) = (sizes.window.runs(), Kernels::<T>::line(sizes));
    let starts = sizes.starts();
    let kernel_len = runs.count * line;
    let sums = sum_over_pictures(x, sizes.window, 1, sizes.outputs * kernel_len, |picture, padded, sums| {
        let part = picture.start * sizes.pooled()..picture.end * sizes.pooled();
        run(Gather { g: &upstream[part.clone()], won: &won[part], padded, sizes, starts: &starts, sums });
    });
    let order: Vec<usize> = window_order(sizes.window).collect();
    let mut weight = vec![T::zero(); sizes.outputs * runs.elements()];
    for (weight, sums) in weight.chunks_exact_mut(runs.elements()).zip(sums.chunks_exact(kernel_len)) {
        for (order, sums) in order.chunks_exact(runs.len).zip(sums.chunks_exact(line)) {
            order.iter().zip(sums).for_each(|(&to, &sum)| weight[to] = sum);
        }
    }
    weight
}

/// The weight of each output in the window's order, kernel rows filled up with zeros to whole vectors.
struct Kernels<T> {
    elements: Aligned<T>,
    line: usize,
    rows: usize,
}

impl<T: Real> Kernels<T> {
    fn new(weight: &[T], sizes: Sizes) -> Self {
        let (runs, line) = (sizes.window.runs(), Self::line(sizes));
        let order: Vec<usize> = window_order(sizes.window).collect();
        let mut elements = Aligned::filled(T::zero(), sizes.outputs * runs.count * line);
        let kernels = elements.chunks_exact_mut(runs.count * line).zip(weight.chunks_exact(runs.elements()));
        for (kernel, weight) in kernels {
            for (order, row) in order.chunks_exact(runs.len).zip(kernel.chunks_exact_mut(line)) {
                row.iter_mut().zip(order).for_each(|(to, &from)| *to = weight[from]);
            }
        }
        Self { elements, line, rows: runs.count }
    }

    /// Elements of a filled-up kernel row.
    fn line(sizes: Sizes) -> usize {
        sizes.window.runs().len.next_multiple_of(crate::panel::width::<T>() / 2)
    }

    /// How far beyond a padded picture a filled-up row may reach.
    fn slack(&self) -> usize {
        self.line
    }
}

/// Adds each winner's gradient times its output's kernel to the window that it saw.
struct Scatter<'a, T> {
    g: &'a [T],
    won: &'a [u8],
    weight: &'a Kernels<T>,
    sizes: Sizes,
    starts: &'a [usize],
    padded: &'a mut [T],
}

impl<T: Real> Kernel<T> for Scatter<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        let (offsets, outputs) = (self.sizes.offsets(), self.sizes.outputs);
        let (line, stride) = (self.weight.line, self.sizes.window.padded_line());
        let kernels = self.weight.elements.chunks_exact(self.weight.rows * line);
        for (output, kernel) in kernels.enumerate() {
            let windows = self.won[output..].iter().step_by(outputs).zip(self.g[output..].iter().step_by(outputs));
            for ((&won, &g), &start) in windows.zip(self.starts) {
                if won == NONE {
                    continue;
                }
                let first = start + offsets[usize::from(won)];
                for (row, kernel) in kernel.chunks_exact(line).enumerate() {
                    add_scaled(lanes, g, kernel, &mut self.padded[first + row * stride..][..line]);
                }
            }
        }
    }
}

/// Adds each winner's gradient times the window that it saw to its output's sums.
struct Gather<'a, T> {
    g: &'a [T],
    won: &'a [u8],
    padded: &'a Padded<T>,
    sizes: Sizes,
    starts: &'a [usize],
    sums: &'a mut [T],
}

impl<T: Real> Kernel<T> for Gather<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes<T>>(self, lanes: L) {
        let (offsets, outputs) = (self.sizes.offsets(), self.sizes.outputs);
        let (line, runs) = (Kernels::<T>::line(self.sizes), self.sizes.window.runs());
        for (output, sums) in self.sums.chunks_exact_mut(runs.count * line).enumerate() {
            let windows = self.won[output..].iter().step_by(outputs).zip(self.g[output..].iter().step_by(outputs));
            for ((&won, &g), &start) in windows.zip(self.starts) {
                if won == NONE {
                    continue;
                }
                let first = start + offsets[usize::from(won)];
                for (row, sums) in sums.chunks_exact_mut(line).enumerate() {
                    add_scaled(lanes, g, &self.padded.pixels()[first + row * runs.stride..][..line], sums);
                }
            }
        }
    }
}

/// to += scale · from, whole vectors; both of one length.
#[inline(always)]
#[expect(unsafe_code, reason = "vectors are read and written through pointers")]
fn add_scaled<T: Real, L: Lanes<T>>(lanes: L, scale: T, from: &[T], to: &mut [T]) {
    let scale = lanes.splat(scale);
    let add = |from: &[T], to: &mut [T]| {
        // SAFETY: both slices are one vector long.
        unsafe {
            let sum = lanes.multiply_add(scale, lanes.load(from.as_ptr()), lanes.load(to.as_ptr()));
            lanes.store(to.as_mut_ptr(), sum);
        }
    };
    let unrolled = 4 * L::WIDTH;
    let (mut sources, mut sums) = (from.chunks_exact(unrolled), to.chunks_exact_mut(unrolled));
    for (from, to) in (&mut sources).zip(&mut sums) {
        for vector in 0..4 {
            let part = vector * L::WIDTH..(vector + 1) * L::WIDTH;
            add(&from[part.clone()], &mut to[part]);
        }
    }
    let rest = sources.remainder().chunks_exact(L::WIDTH).zip(sums.into_remainder().chunks_exact_mut(L::WIDTH));
    rest.for_each(|(from, to)| add(from, to));
}
