//! From a picture to the tokens of a vision transformer.

use super::Layer;
use crate::parameters::ParameterReader;
use crate::{Precision, Result};
use candle_core::{D, Tensor};
use holdfast_ops::{Conv, Pullback, Weight, conv2d, conv2d_with_pullback, upsample_bicubic2d};

/// A linear map of every square patch, behind one token that is learned, each with its position added:
/// (B, H, W, C) → (B, 1 + H/p · W/p, D).
///
/// Positions are learned on a square grid. For pictures with another number of patches they are interpolated, bicubic
/// without antialias.
///
/// Source: Dosovitskiy et al., arXiv 2010.11929; the interpolation as in Hugging Face's `transformers`.
pub(crate) struct PatchEmbedding {
    weight: Weight,
    bias: Tensor,
    class_token: Tensor,
    positions: Tensor,
    patch: usize,
    precision: Precision,
}

impl PatchEmbedding {
    /// Reads `patch_embed.proj.weight` (D, channels, p, p) and its bias, `cls_token` (1, 1, D), and `pos_embed`
    /// (1, 1 + g², D).
    pub(crate) fn read(from: &ParameterReader<'_>, channels: usize) -> Result<Self> {
        let name = "patch_embed.proj.weight";
        let weight = from.read(name, 4)?;
        let (features, weight_channels, patch, width) = weight.dims4()?;
        from.check(name, &weight, weight_channels == channels && patch == width, || {
            format!("(features, {channels}, p, p)")
        })?;
        let bias = from.vector("patch_embed.proj.bias", features)?;
        let class_token = from.read("cls_token", 3)?;
        from.check("cls_token", &class_token, class_token.dims() == [1, 1, features], || {
            format!("(1, 1, {features})")
        })?;
        let positions = from.read("pos_embed", 3)?;
        let (one, tokens, position_features) = positions.dims3()?;
        let square = (tokens - 1).isqrt().pow(2) == tokens - 1 && tokens > 1;
        from.check("pos_embed", &positions, one == 1 && position_features == features && square, || {
            format!("(1, 1 + g·g, {features})")
        })?;
        let (weight, precision) = (from.weight(&weight)?, from.precision);
        Ok(Self { weight, bias, class_token, positions, patch, precision })
    }

    /// D.
    pub(crate) fn outputs(&self) -> usize {
        self.weight.tensor().dims()[0]
    }

    fn conv(&self) -> Conv {
        Conv::new(self.patch, 0)
    }

    /// The positions of a picture of `rows` · `columns` patches: (1, 1 + rows · columns, D).
    fn positions(&self, rows: usize, columns: usize) -> candle_core::Result<Tensor> {
        let (_, tokens, features) = self.positions.dims3()?;
        let grid = (tokens - 1).isqrt();
        if (rows, columns) == (grid, grid) {
            return Ok(self.positions.clone());
        }
        let of_patches = self.positions.narrow(1, 1, tokens - 1)?.contiguous()?.reshape((1, grid, grid, features))?;
        let of_patches = upsample_bicubic2d(&of_patches, rows, columns)?.reshape((1, (), features))?;
        Tensor::cat(&[&self.positions.narrow(1, 0, 1)?.contiguous()?, &of_patches], 1)
    }

    /// Patches (B, rows, columns, D) → tokens.
    fn tokens(&self, patches: &Tensor) -> candle_core::Result<Tensor> {
        let (batch, rows, columns, features) = patches.dims4()?;
        let class_token = self.class_token.broadcast_as((batch, 1, features))?.contiguous()?;
        let tokens = Tensor::cat(&[class_token, patches.reshape((batch, (), features))?], 1)?;
        tokens.broadcast_add(&self.positions(rows, columns)?)
    }
}

impl Layer for PatchEmbedding {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.tokens(&conv2d(x, &self.weight, Some(&self.bias), self.conv())?)
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        let x = self.precision.round(x)?;
        let (patches, pullback) = conv2d_with_pullback(&x, &self.weight, Some(&self.bias), self.conv())?;
        let pullback = self.precision.round_upstream(pullback);
        let shape = patches.shape().clone();
        let back = move |gradient: &Tensor| {
            let of_patches = gradient.narrow(1, 1, gradient.dim(D::Minus2)? - 1)?.contiguous()?;
            pullback(&of_patches.reshape(shape)?)
        };
        Ok((self.tokens(&patches)?, Box::new(back)))
    }
}
