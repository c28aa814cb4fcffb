//! Zeros around pictures, where their number differs from side to side.

use candle_core::{Result, Tensor};

/// Rows and columns of zeros beyond each side of a picture (B, H, W, C).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Margins {
    pub(super) top: usize,
    pub(super) bottom: usize,
    pub(super) left: usize,
    pub(super) right: usize,
}

impl Margins {
    /// (B, H, W, C) → (B, top + H + bottom, left + W + right, C)
    pub(super) fn pad(&self, x: &Tensor) -> Result<Tensor> {
        x.pad_with_zeros(1, self.top, self.bottom)?.pad_with_zeros(2, self.left, self.right)
    }

    /// The way back: what [`pad`](Self::pad) added is cut off.
    pub(super) fn crop(&self, gradient: &Tensor) -> Result<Tensor> {
        let (_, height, width, _) = gradient.dims4()?;
        let rows = gradient.narrow(1, self.top, height - self.top - self.bottom)?;
        rows.narrow(2, self.left, width - self.left - self.right)?.contiguous()
    }
}
