//! Which kernels compute a convolution: dense, depthwise, or dense group by group.

use super::{Conv, depthwise, forward, groups, input_gradient, weight_gradient};
use crate::host::Real;
use crate::panel::Panels;
use crate::weight::Packing;
use crate::window::{Axis, Window};
use candle_core::{Result, Shape};

/// The sizes of one convolution.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    /// Over the channels of one group; over all of them where it is depthwise.
    pub(super) window: Window,
    pub(super) outputs: usize,
    channels: usize,
    groups: usize,
}

impl Geometry {
    /// x (B, H, W, C), weight (O, C / groups, kh, kw).
    pub(super) fn new(conv: Conv, x: &Shape, weight: &Shape) -> Result<Self> {
        let ((_, height, width, channels), (outputs, of_group, kernel_height, kernel_width)) =
            (x.dims4()?, weight.dims4()?);
        let depthwise = of_group == 1 && outputs == channels && conv.groups == channels && channels > 1;
        let window = Window {
            channels: if depthwise { channels } else { of_group },
            rows: Axis::new(height, kernel_height, conv.stride, conv.padding)?,
            columns: Axis::new(width, kernel_width, conv.stride, conv.padding)?,
        };
        Ok(Self { window, outputs, channels, groups: conv.groups })
    }

    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.window.channels == self.channels
    }

    /// One value for each group, from its part of `all` (…, channels) and its part of the weight or bias.
    fn groups<T: Real>(&self, all: &[T], channels: usize, one: impl Fn(usize, &[T]) -> Vec<T>) -> Vec<Vec<T>> {
        (0..self.groups).map(|group| one(group, &groups::take(all, channels, self.groups, group))).collect()
    }

    /// The part of a tensor whose first axis is the outputs'.
    fn part<'a, T>(&self, all: &'a [T], group: usize) -> &'a [T] {
        let len = all.len() / self.groups;
        &all[group * len..][..len]
    }

    pub(super) fn forward<T: Real>(&self, x: &[T], weight: &[T], bias: &[T], packing: &Packing) -> Vec<T> {
        let pack = |weight: &[T], outputs: usize| Panels::of_windows(weight, outputs, self.window);
        match self.groups {
            1 => {
                let panels = packing.forward(|| pack(weight, self.outputs));
                forward::convolve(x, &panels, bias, self.window)
            }
            _ if self.is_depthwise() => depthwise::convolve(x, weight, bias, self.window),
            _ => {
                let one = |group: usize, x: &[T]| {
                    let (weight, bias) = (self.part(weight, group), self.part(bias, group));
                    forward::convolve(x, &pack(weight, bias.len()), bias, self.window)
                };
                groups::join(&self.groups(x, self.channels, one), self.outputs)
            }
        }
    }

    pub(super) fn input_gradient<T: Real>(&self, upstream: &[T], weight: &[T], packing: &Packing) -> Vec<T> {
        let outputs = self.outputs / self.groups;
        let pack = |weight: &[T]| Panels::of_outputs(weight, outputs, self.window);
        match self.groups {
            1 => {
                let panels = packing.backward(|| pack(weight));
                input_gradient::gradient(upstream, &panels, self.window, outputs)
            }
            _ if self.is_depthwise() => depthwise::input_gradient(upstream, weight, self.window),
            _ => {
                let one = |group: usize, upstream: &[T]| {
                    input_gradient::gradient(upstream, &pack(self.part(weight, group)), self.window, outputs)
                };
                groups::join(&self.groups(upstream, self.outputs, one), self.channels)
            }
        }
    }

    pub(super) fn weight_gradient<T: Real>(&self, x: &[T], upstream: &[T]) -> Vec<T> {
        let outputs = self.outputs / self.groups;
        match self.groups {
            1 => weight_gradient::gradient(x, upstream, self.window, outputs),
            _ if self.is_depthwise() => depthwise::weight_gradient(x, upstream, self.window),
            _ => {
                let one = |group: usize, x: &[T]| {
                    let upstream = groups::take(upstream, self.outputs, self.groups, group);
                    weight_gradient::gradient(x, &upstream, self.window, outputs)
                };
                self.groups(x, self.channels, one).concat()
            }
        }
    }
}
