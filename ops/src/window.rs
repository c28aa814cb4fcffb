//! Where a sliding window lies over a channels-last picture.

use crate::host::Real;
use crate::tile::Runs;
use candle_core::{Result, bail};
use std::ops::Range;

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

    /// The input and the padding at both ends.
    pub(crate) fn padded(&self) -> usize {
        self.input + 2 * self.padding
    }
}

/// A window over the rows and columns of a picture (H, W, C).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) channels: usize,
    pub(crate) rows: Axis,
    pub(crate) columns: Axis,
}

impl Window {
    /// Elements of one picture.
    pub(crate) fn input_len(&self) -> usize {
        self.rows.input * self.line()
    }

    /// Window positions of one picture.
    pub(crate) fn positions(&self) -> usize {
        self.rows.output * self.columns.output
    }

    /// Elements under one window, over all channels.
    pub(crate) fn patch_len(&self) -> usize {
        self.runs().elements()
    }

    /// Elements of one row of a picture.
    fn line(&self) -> usize {
        self.columns.input * self.channels
    }

    /// Elements of one row of a padded picture.
    pub(crate) fn padded_line(&self) -> usize {
        self.columns.padded() * self.channels
    }

    /// Elements of a padded picture.
    pub(crate) fn padded_len(&self) -> usize {
        self.rows.padded() * self.padded_line()
    }

    /// What lies under one window of a padded picture.
    pub(crate) fn runs(&self) -> Runs {
        Runs { count: self.rows.kernel, stride: self.padded_line(), len: self.columns.kernel * self.channels }
    }

    /// Where each window of the output rows `rows` starts in a padded picture whose first row is the first of theirs.
    pub(crate) fn starts(&self, rows: Range<usize>) -> impl Iterator<Item = usize> + use<> {
        let (down, right) = (self.rows.stride * self.padded_line(), self.columns.stride * self.channels);
        let columns = self.columns.output;
        (0..rows.len()).flat_map(move |row| (0..columns).map(move |column| row * down + column * right))
    }

    /// The rows of a padded picture that the windows of the output rows `rows` see.
    pub(crate) fn rows_under(&self, rows: &Range<usize>) -> Range<usize> {
        rows.start * self.rows.stride..(rows.end - 1) * self.rows.stride + self.rows.kernel
    }

    /// Copies the padded rows `rows` of a picture to `to`, zeros around it.
    pub(crate) fn pad<T: Real>(&self, picture: &[T], rows: Range<usize>, to: &mut [T]) {
        let margin = self.columns.padding * self.channels;
        for (row, to) in rows.zip(to.chunks_exact_mut(self.padded_line())) {
            match row.checked_sub(self.rows.padding).filter(|&row| row < self.rows.input) {
                Some(row) => {
                    to[..margin].fill(T::zero());
                    to[margin..margin + self.line()].copy_from_slice(&picture[row * self.line()..][..self.line()]);
                    to[margin + self.line()..].fill(T::zero());
                }
                None => to.fill(T::zero()),
            }
        }
    }

    /// Copies a padded picture without its padding.
    pub(crate) fn unpad<T: Real>(&self, padded: &[T], picture: &mut [T]) {
        let margin = self.columns.padding * self.channels;
        let lines = padded.chunks_exact(self.padded_line()).skip(self.rows.padding);
        for (to, from) in picture.chunks_exact_mut(self.line()).zip(lines) {
            to.copy_from_slice(&from[margin..margin + self.line()]);
        }
    }
}
