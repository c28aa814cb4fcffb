//! A set of embeddings, with labels where they are known: a gallery, or a batch of queries.

use std::ops::RangeInclusive;

use candle_core::{D, DType, Tensor};

use crate::{Error, Result};

/// Lengths that pass for 1: the tolerance is far above the rounding of f32, far below a forgotten normalisation.
const UNIT: RangeInclusive<f64> = 0.999..=1.001;

/// Embeddings (N, D), unit rows, and the class of each row where it is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EmbeddingSet {
    /// (N, D), N ≥ 1, every row finite and of length 1 within 1e-3.
    pub embeddings: Tensor,
    /// N class numbers.
    pub labels: Option<Vec<u32>>,
}

impl EmbeddingSet {
    /// Checks and takes embeddings (N, D) and their N labels.
    ///
    /// Reads the lengths of all rows, so it waits for the device.
    ///
    /// # Errors
    /// If the shape is wrong, a row is not finite or not of length 1, or there is not one label a row.
    pub fn new(embeddings: Tensor, labels: Option<Vec<u32>>) -> Result<Self> {
        let (&[rows, _], 1..) = (embeddings.dims(), embeddings.elem_count()) else {
            let shape = embeddings.dims();
            return Err(Error::Embeddings(format!(
                "embeddings must be (N, D) with N ≥ 1, got {shape:?}; embed a picture"
            )));
        };
        if let Some(count) = labels.as_ref().map(Vec::len).filter(|&count| count != rows) {
            return Err(Error::Embeddings(format!(
                "{rows} embeddings need {rows} labels, got {count}; pass one a row"
            )));
        }
        let lengths = embeddings.detach().to_dtype(DType::F64)?.sqr()?.sum(D::Minus1)?.sqrt()?.to_vec1::<f64>()?;
        // A row with a NaN has the length NaN, which is in no range.
        match lengths.iter().position(|length| !UNIT.contains(length)) {
            None => Ok(Self { embeddings, labels }),
            Some(row) => Err(Error::Embeddings(format!(
                "embeddings must be finite and of length 1, and row {row} has the length {}; normalize them",
                lengths[row]
            ))),
        }
    }

    /// N, the number of rows; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
    pub fn len(&self) -> usize {
        self.embeddings.dims()[0]
    }

    /// D, the length of a row.
    pub fn dim(&self) -> usize {
        self.embeddings.dims()[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn message<const N: usize>(rows: &[[f32; 2]; N], labels: Option<Vec<u32>>) -> String {
        let embeddings = Tensor::new(rows, &Device::Cpu).unwrap();
        EmbeddingSet::new(embeddings, labels).unwrap_err().to_string()
    }

    #[test]
    fn unit_rows_with_one_label_each_form_a_set() {
        let embeddings = Tensor::new(&[[0.6f32, 0.8], [1.0, 0.0], [0.0, -1.0]], &Device::Cpu).unwrap();

        let set = EmbeddingSet::new(embeddings, Some(vec![0, 0, 1])).unwrap();

        assert_eq!((set.len(), set.dim()), (3, 2));
    }

    #[test]
    fn the_first_row_that_is_not_of_length_1_is_named() {
        assert!(message(&[[1.0, 0.0], [3.0, 4.0]], None).contains("row 1 has the length 5"));
        assert!(message(&[[f32::NAN, 0.0]], None).contains("row 0 has the length NaN"));
        assert!(message(&[[1.0, f32::INFINITY]], None).contains("row 0 has the length inf"));
    }

    #[test]
    fn shape_and_number_of_labels_are_checked() {
        let flat = Tensor::new(&[1.0f32, 0.0], &Device::Cpu).unwrap();

        assert!(EmbeddingSet::new(flat, None).unwrap_err().to_string().contains("(N, D)"));
        assert!(message(&[[1.0, 0.0]], Some(vec![1, 2])).contains("need 1 labels, got 2"));
    }
}
