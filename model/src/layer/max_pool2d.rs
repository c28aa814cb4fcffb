//! Max pooling.

use super::{Layer, Margins};
use candle_core::{Result, Tensor};
use holdfast_ops::{Pullback, max_pool2d, max_pool2d_with_pullback};

/// The maximum of each window: (B, H, W, C) → (B, H', W', C). A gradient goes to the first maximum in row-major order.
pub(crate) struct MaxPool2d {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Layer for MaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        max_pool2d(x, self.kernel, self.stride, self.padding)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        max_pool2d_with_pullback(x, self.kernel, self.stride, self.padding)
    }
}

/// [`MaxPool2d`] of activations that are not negative, in which the last windows may reach beyond the picture:
/// H' = ⌈(H − kernel) / stride⌉ + 1, PyTorch's `ceil_mode`.
///
/// Zeros beyond the border cannot exceed such a window's own values, and at a tie the first value gets the gradient, which
/// is a pixel of the picture.
pub(crate) struct MaxPool2dToTheEdge {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

impl MaxPool2dToTheEdge {
    fn margins(&self, x: &Tensor) -> Result<Margins> {
        let (_, height, width, _) = x.dims4()?;
        let missing = |side: usize| {
            let steps = side.saturating_sub(self.kernel).div_ceil(self.stride);
            (steps * self.stride + self.kernel).saturating_sub(side)
        };
        Ok(Margins { bottom: missing(height), right: missing(width), ..Margins::default() })
    }
}

impl Layer for MaxPool2dToTheEdge {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        max_pool2d(&self.margins(x)?.pad(x)?, self.kernel, self.stride, 0)
    }

    fn differentiate(&self, x: &Tensor) -> Result<(Tensor, Pullback)> {
        let margins = self.margins(x)?;
        let (value, pullback) = max_pool2d_with_pullback(&margins.pad(x)?, self.kernel, self.stride, 0)?;
        Ok((value, Box::new(move |gradient| margins.crop(&pullback(gradient)?))))
    }
}
