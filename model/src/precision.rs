//! The arithmetic of an attack's passes through a net.

use candle_core::{DType, Result, Tensor};
use holdfast_ops::Pullback;
use serde::{Deserialize, Serialize};

/// The arithmetic in which an attack computes the gradient of its loss: only the gradient's sign moves a pixel.
///
/// Whatever is chosen, scores and embeddings that are reported come from the net's own numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// That of the net's own numbers.
    #[default]
    F32,
    /// The operands of convolutions and linear layers (inputs, weights, upstream gradients) are rounded to bfloat16, to
    /// the nearest and to even in a tie; sums are of the net's own numbers.
    ///
    /// On hardware without bfloat16 arithmetic, every CPU so far as this program is concerned, the rounding is emulated:
    /// that costs time instead of saving it, and is there to measure what the rounding does to the robustness scores.
    Bf16,
}

impl Precision {
    /// Whether it is [`Precision::F32`], which need not be written down.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// An operand in this precision, of the type it had before.
    pub(crate) fn round(self, operand: &Tensor) -> Result<Tensor> {
        match self {
            Self::F32 => Ok(operand.clone()),
            Self::Bf16 => operand.to_dtype(DType::BF16)?.to_dtype(operand.dtype()),
        }
    }

    /// A pullback whose upstream gradient is an operand in this precision.
    pub(crate) fn round_upstream(self, pullback: Pullback) -> Pullback {
        match self {
            Self::F32 => pullback,
            Self::Bf16 => Box::new(move |gradient| pullback(&self.round(gradient)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn bfloat16_keeps_eight_bits_of_the_significand_and_rounds_ties_to_even() {
        let ulp = 2f32.powi(-7); // of numbers in [1, 2)
        for (number, rounded) in [
            (1.0, 1.0),
            (1.0 + 0.49 * ulp, 1.0),
            (1.0 + 0.51 * ulp, 1.0 + ulp),
            (1.0 + 0.5 * ulp, 1.0),             // the even neighbour is below
            (1.0 + 1.5 * ulp, 1.0 + 2.0 * ulp), // the even neighbour is above
            (-1.0 - 1.5 * ulp, -1.0 - 2.0 * ulp),
            (2f32.powi(-100), 2f32.powi(-100)), // the exponent's range is that of f32
        ] {
            let tensor = Tensor::new(&[number], &Device::Cpu).unwrap();
            let got = Precision::Bf16.round(&tensor).unwrap().to_vec1::<f32>().unwrap()[0];
            assert_eq!(got, rounded, "from {number}");
            assert_eq!(Precision::F32.round(&tensor).unwrap().to_vec1::<f32>().unwrap(), [number]);
        }
    }

    #[test]
    fn configuration_names_it_as_people_do() {
        assert_eq!(serde_json::from_str::<Precision>("\"bf16\"").unwrap(), Precision::Bf16);
        assert_eq!(serde_json::to_string(&Precision::F32).unwrap(), "\"f32\"");
        assert!(serde_json::from_str::<Precision>("\"fp8\"").unwrap_err().to_string().contains("`f32` or `bf16`"));
    }
}
