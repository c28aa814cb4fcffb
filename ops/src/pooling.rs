//! Where the windows of a pooling lie in channels-last pictures.

use crate::window::Axis;
use candle_core::{Result, Shape, bail};
use std::ops::Range;

/// A square window over (B, H, W, C).
#[derive(Clone, Copy)]
pub(crate) struct Pooling {
    pub(crate) batch: usize,
    pub(crate) rows: Axis,
    pub(crate) columns: Axis,
    pub(crate) channels: usize,
}

impl Pooling {
    /// # Errors
    /// If the shape has not four axes, or the window does not fit.
    pub(crate) fn new(operation: &str, shape: &Shape, kernel: usize, stride: usize, padding: usize) -> Result<Self> {
        let (batch, height, width, channels) = shape.dims4()?;
        if 2 * padding > kernel {
            bail!("{operation}: padding {padding} is more than half the kernel {kernel}, so a window could be empty");
        }
        if channels == 0 {
            bail!("{operation}: at least one channel is needed, got the shape {:?}", shape.dims());
        }
        let axis = |size: usize| Axis::new(size, kernel, stride, padding);
        Ok(Self { batch, rows: axis(height)?, columns: axis(width)?, channels })
    }

    /// (B, H', W', C)
    pub(crate) fn output(&self) -> Shape {
        Shape::from((self.batch, self.rows.output, self.columns.output, self.channels))
    }

    /// (B, H, W, C)
    pub(crate) fn input(&self) -> Shape {
        Shape::from((self.batch, self.rows.input, self.columns.input, self.channels))
    }

    /// Elements of one row of the input.
    pub(crate) fn input_row(&self) -> usize {
        self.columns.input * self.channels
    }

    /// Elements of one row of the output.
    pub(crate) fn output_row(&self) -> usize {
        self.columns.output * self.channels
    }

    /// The rows of the whole batch's input, with their offset in the window, under the output's row number `row`.
    pub(crate) fn rows_under(&self, row: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
        let (picture, row) = (row / self.rows.output, row % self.rows.output);
        let (first, height) = (picture * self.rows.input, self.rows.input);
        inputs(self.rows, row).map(move |(offset, y)| {
            debug_assert!(y < height);
            (offset, first + y)
        })
    }

    /// The rows of the whole batch's output, with their offset in the window, that see the input's row number `row`.
    pub(crate) fn rows_over(&self, row: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
        let (picture, row) = (row / self.rows.input, row % self.rows.input);
        let first = picture * self.rows.output;
        outputs(self.rows, row).map(move |(offset, y)| (offset, first + y))
    }
}

/// (offset in the window, input position) of the inputs, not padding, under `output`.
#[inline]
pub(crate) fn inputs(axis: Axis, output: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let start = output * axis.stride;
    let offsets: Range<usize> = axis.padding.saturating_sub(start)..axis.kernel.min(axis.input + axis.padding - start);
    offsets.map(move |offset| (offset, start + offset - axis.padding))
}

/// (offset in the window, output position) of the outputs whose window holds `input`.
#[inline]
pub(crate) fn outputs(axis: Axis, input: usize) -> impl Iterator<Item = (usize, usize)> + Clone {
    let position = input + axis.padding;
    let first = (position + 1).saturating_sub(axis.kernel).div_ceil(axis.stride);
    let last = (position / axis.stride + 1).min(axis.output);
    (first..last.max(first)).map(move |output| (position - output * axis.stride, output))
}
