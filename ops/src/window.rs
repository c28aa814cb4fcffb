//! Where a sliding window lies: sizes shared by convolution and pooling, and the im2col transform.

use crate::host::Real;
use candle_core::{Result, bail};

/// One axis of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) input: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    pub(crate) output: usize,
}

impl Axis {
    /// # Errors
    /// If the kernel or the stride is 0, or the kernel is larger than the padded input.
    pub(crate) fn new(input: usize, kernel: usize, stride: usize, padding: usize) -> Result<Self> {
        if kernel == 0 || stride == 0 {
            bail!("a window needs a kernel and a stride of at least 1, got kernel {kernel}, stride {stride}");
        }
        let padded = input + 2 * padding;
        if kernel > padded {
            bail!("a window of {kernel} does not fit into {padded} pixels (padding included)");
        }
        Ok(Self { input, kernel, stride, padding, output: (padded - kernel) / stride + 1 })
    }

    /// The input position under `offset` of the window at `output`, unless it lies in the padding.
    #[inline]
    pub(crate) fn position(&self, output: usize, offset: usize) -> Option<usize> {
        (output * self.stride + offset).checked_sub(self.padding).filter(|&position| position < self.input)
    }

    /// The outputs whose window has an input, not padding, under `offset`.
    #[inline]
    pub(crate) fn outputs_inside(&self, offset: usize) -> std::ops::Range<usize> {
        let first = self.padding.saturating_sub(offset).div_ceil(self.stride);
        let last = (self.input + self.padding).saturating_sub(offset).div_ceil(self.stride).min(self.output);
        first.min(last)..last
    }
}

/// A window over both axes of `channels` planes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) channels: usize,
    pub(crate) rows: Axis,
    pub(crate) columns: Axis,
}

impl Window {
    /// Elements of one picture.
    pub(crate) fn input_len(&self) -> usize {
        self.channels * self.rows.input * self.columns.input
    }

    /// Window positions of one picture.
    pub(crate) fn positions(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// Elements under one window, over all channels: the rows of the column matrix.
    pub(crate) fn patch_len(&self) -> usize {
        self.channels * self.rows.kernel * self.columns.kernel
    }

    /// Room for the column matrix of one picture.
    pub(crate) fn scratch<T: Real>(&self) -> Vec<T> {
        vec![T::zero(); self.patch_len() * self.positions()]
    }

    /// (channel, kernel row, kernel column) of each row of the column matrix, in order.
    fn patch_rows(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let Self { channels, rows, columns } = *self;
        (0..channels)
            .flat_map(move |channel| (0..rows.kernel).map(move |row| (channel, row)))
            .flat_map(move |(channel, row)| (0..columns.kernel).map(move |column| (channel, row, column)))
    }

    /// im2col: one picture (C, H, W) to the column matrix (C·kh·kw, positions), zeros where the padding lies.
    pub(crate) fn unfold<T: Real>(&self, picture: &[T], columns: &mut [T]) {
        let positions = self.positions();
        for ((channel, row_offset, column_offset), patch) in self.patch_rows().zip(columns.chunks_exact_mut(positions))
        {
            let inside = self.columns.outputs_inside(column_offset);
            for (output, line) in patch.chunks_exact_mut(self.columns.output).enumerate() {
                let Some(row) = self.rows.position(output, row_offset) else {
                    line.fill(T::zero());
                    continue;
                };
                let source = self.line(picture, channel, row);
                line[..inside.start].fill(T::zero());
                line[inside.end..].fill(T::zero());
                let target = &mut line[inside.clone()];
                if target.is_empty() {
                    continue;
                }
                let first = inside.start * self.columns.stride + column_offset - self.columns.padding;
                if self.columns.stride == 1 {
                    target.copy_from_slice(&source[first..first + target.len()]);
                } else {
                    let strided = source[first..].iter().step_by(self.columns.stride);
                    target.iter_mut().zip(strided).for_each(|(to, &from)| *to = from);
                }
            }
        }
    }

    /// col2im: adds each element of the column matrix to the picture element it came from. The transpose of `unfold`.
    pub(crate) fn fold<T: Real>(&self, columns: &[T], picture: &mut [T]) {
        let positions = self.positions();
        let (height, width) = (self.rows.input, self.columns.input);
        for ((channel, row_offset, column_offset), patch) in self.patch_rows().zip(columns.chunks_exact(positions)) {
            let inside = self.columns.outputs_inside(column_offset);
            let first = inside.start * self.columns.stride + column_offset;
            for (output, line) in patch.chunks_exact(self.columns.output).enumerate() {
                let Some(row) = self.rows.position(output, row_offset) else { continue };
                let source = &line[inside.clone()];
                if source.is_empty() {
                    continue;
                }
                let target = &mut picture[(channel * height + row) * width..][first - self.columns.padding..width];
                if self.columns.stride == 1 {
                    target.iter_mut().zip(source).for_each(|(to, &from)| *to += from);
                } else {
                    target.iter_mut().step_by(self.columns.stride).zip(source).for_each(|(to, &from)| *to += from);
                }
            }
        }
    }

    fn line<'a, T>(&self, picture: &'a [T], channel: usize, row: usize) -> &'a [T] {
        &picture[(channel * self.rows.input + row) * self.columns.input..][..self.columns.input]
    }
}
