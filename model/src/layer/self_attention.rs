//! Multi-head self-attention.

use super::{Layer, Linear, chain};
use crate::Result;
use crate::parameters::ParameterReader;
use candle_core::{D, Tensor};
use holdfast_ops::{Pullback, attention, attention_with_pullback};

/// Every token looks at every other: (B, T, D) → (B, T, D), D = heads · d.
///
/// `qkv` holds the projections to queries, keys and values one after the other. Rounding to a precision concerns the
/// projections; the products inside attention are of the net's own numbers.
///
/// Source: Vaswani et al., arXiv 1706.03762.
pub(crate) struct SelfAttention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

impl SelfAttention {
    /// Reads `{name}.qkv` and `{name}.proj`, both with weight and bias, for `features` in `heads` heads.
    pub(crate) fn read(from: &ParameterReader<'_>, name: &str, features: usize, heads: usize) -> Result<Self> {
        let projection = |part: &str, inputs: usize, outputs: usize| {
            let name = format!("{name}.{part}");
            let linear = Linear::read(from, &name, inputs)?;
            let weight = format!("{name}.weight");
            let tensor = from.read(&weight, 2)?;
            from.check(&weight, &tensor, linear.outputs() == outputs && features.is_multiple_of(heads), || {
                format!("({outputs}, {inputs}), and {features} features must fall into {heads} heads")
            })?;
            Ok::<_, crate::Error>(linear)
        };
        let (qkv, proj) = (projection("qkv", features, 3 * features)?, projection("proj", features, features)?);
        Ok(Self { qkv, proj, heads })
    }

    /// (B, T, 3·D) → queries, keys and values, each (B, heads, T, d), and the scale 1 / √d.
    fn split(&self, qkv: &Tensor) -> candle_core::Result<([Tensor; 3], f64)> {
        let (batch, tokens, features) = qkv.dims3()?;
        let head = features / 3 / self.heads;
        let parts = qkv.reshape((batch, tokens, 3, self.heads, head))?.permute((2, 0, 3, 1, 4))?;
        let part = |index: usize| parts.get(index)?.contiguous();
        Ok(([part(0)?, part(1)?, part(2)?], 1.0 / (head as f64).sqrt()))
    }
}

/// (B, heads, T, d) → (B, T, heads · d)
fn merge(heads: &Tensor) -> candle_core::Result<Tensor> {
    heads.transpose(1, 2)?.contiguous()?.flatten_from(2)
}

impl Layer for SelfAttention {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let ([q, k, v], scale) = self.split(&self.qkv.forward(x)?)?;
        self.proj.forward(&merge(&attention(&q, &k, &v, scale)?)?)
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        let (qkv, to_x) = self.qkv.differentiate(x)?;
        let ([q, k, v], scale) = self.split(&qkv)?;
        let (attended, to_qkv) = attention_with_pullback(&q, &k, &v, scale)?;
        let heads = self.heads;
        let merged_back = move |gradient: &Tensor| {
            let (batch, tokens, features) = gradient.dims3()?;
            let gradient = gradient.reshape((batch, tokens, heads, features / heads))?.transpose(1, 2)?.contiguous()?;
            let parts = Tensor::stack(&to_qkv(&gradient)?, 0)?; // (3, B, heads, T, d)
            parts.permute((1, 3, 0, 2, 4))?.contiguous()?.reshape((batch, tokens, 3 * features))
        };
        let (value, to_merged) = self.proj.differentiate(&merge(&attended)?)?;
        Ok((value, chain(chain(to_x, Box::new(merged_back)), to_merged)))
    }
}

/// The first token, which gathers what the others say: (B, T, D) → (B, D).
pub(crate) struct FirstToken;

impl Layer for FirstToken {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()
    }

    fn differentiate(&self, x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
        let others = x.dim(1)? - 1;
        let back = move |gradient: &Tensor| gradient.unsqueeze(1)?.pad_with_zeros(D::Minus2, 0, others);
        Ok((self.forward(x)?, Box::new(back)))
    }
}
