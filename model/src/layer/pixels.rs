//! From pixels to the first activations.

use super::{Layer, chain};
use candle_core::{Device, Result, Tensor};
use holdfast_ops::{Pullback, affine, affine_with_pullback, channels_last, channels_last_with_pullback};

/// (x − mean) / deviation, channel by channel: pixels (B, C, H, W) in [0, 1] → (B, H, W, C).
///
/// It is part of the net so that an attack's budget is in pixel intensity.
pub(crate) struct Pixels {
    scaling: Option<Scaling>,
}

/// 1 / deviation and −mean / deviation, one value a channel each.
struct Scaling {
    scale: Tensor,
    shift: Tensor,
}

impl Pixels {
    /// Pixels as they are.
    pub(crate) fn unscaled() -> Self {
        Self { scaling: None }
    }

    /// Pixels whose channels have these means and standard deviations, of the type and on the device of `like`.
    /// They are `f32` because the reference's are, in its double precision runs too.
    pub(crate) fn scaled(mean: &[f32], deviation: &[f32], like: &Tensor) -> Result<Self> {
        let channels = |value: &dyn Fn(f64, f64) -> f64| {
            let pairs = mean.iter().zip(deviation);
            let values: Vec<f64> = pairs.map(|(&mean, &deviation)| value(mean.into(), deviation.into())).collect();
            Tensor::new(values, &Device::Cpu)?.to_dtype(like.dtype())?.to_device(like.device())
        };
        let scale = channels(&|_, deviation| 1.0 / deviation)?;
        let shift = channels(&|mean, deviation| -mean / deviation)?;
        Ok(Self { scaling: Some(Scaling { scale, shift }) })
    }
}

impl Layer for Pixels {
    fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let pixels = channels_last(pixels)?;
        match &self.scaling {
            Some(Scaling { scale, shift }) => affine(&pixels, scale, shift),
            None => Ok(pixels),
        }
    }

    fn differentiate(&self, pixels: &Tensor) -> Result<(Tensor, Pullback)> {
        let (pixels, to_pixels) = channels_last_with_pullback(pixels)?;
        match &self.scaling {
            Some(Scaling { scale, shift }) => {
                let (scaled, to_unscaled) = affine_with_pullback(&pixels, scale, shift)?;
                Ok((scaled, chain(to_pixels, to_unscaled)))
            }
            None => Ok((pixels, to_pixels)),
        }
    }
}
