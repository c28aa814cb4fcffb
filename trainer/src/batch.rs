//! One training batch: pairs of pictures and their labels.

use candle_core::Tensor;

use crate::error::{Error, Result};

/// How far a training has come: `done` of its `steps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps that have been made.
    pub done: usize,
    /// Steps of the whole training, at least 1 and more than are done.
    pub steps: usize,
}

impl Progress {
    /// The epoch under way, from 0, if the training is divided into this many of equal length.
    #[must_use]
    pub fn epoch(self, epochs: usize) -> usize {
        self.done * epochs / self.steps
    }
}

/// P pairs of pictures, rows `[anchor 0, positive 0, anchor 1, positive 1, …]`.
#[derive(Clone, Debug)]
pub struct Batch {
    pixels: Tensor,
    labels: Vec<u32>,
    progress: Progress,
}

impl Batch {
    /// The first batch of a training, from pixels (2P, C, H, W) in [0, 1] and one label a row.
    ///
    /// # Errors
    /// If there is no pair, the number of rows is odd, labels are missing, or a pair has two different labels.
    pub fn new(pixels: Tensor, labels: Vec<u32>) -> Result<Self> {
        let (rows, ..) = pixels.dims4()?;
        if rows == 0 || rows % 2 != 0 || rows != labels.len() {
            return Err(Error::Batch {
                rule: "at least one pair of rows with one label a row",
                got: format!("{rows} rows and {} labels", labels.len()),
            });
        }
        if let Some(pair) = labels.chunks(2).find(|pair| pair[0] != pair[1]) {
            return Err(Error::Batch {
                rule: "pairs of one class",
                got: format!("a pair with the labels {} and {}", pair[0], pair[1]),
            });
        }
        Ok(Self { pixels, labels, progress: Progress { done: 0, steps: 1 } })
    }

    /// The same batch at another point of the training.
    #[must_use]
    pub fn at(self, progress: Progress) -> Self {
        Self { progress, ..self }
    }

    /// How far the training had come before this batch.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The pictures: (2P, C, H, W).
    #[must_use]
    pub fn pixels(&self) -> &Tensor {
        &self.pixels
    }

    /// The labels, one a row.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The number of pictures 2P.
    #[must_use]
    pub fn pictures(&self) -> usize {
        self.labels.len()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn batch(rows: usize, labels: &[u32]) -> Result<Batch> {
        Batch::new(Tensor::zeros((rows, 1, 2, 2), DType::F32, &Device::Cpu).unwrap(), labels.to_vec())
    }

    #[test]
    fn a_batch_is_made_of_labelled_pairs_of_one_class() {
        assert_eq!(batch(4, &[7, 7, 3, 3]).unwrap().pictures(), 4);
        for (rows, labels, complaint) in [
            (4, &[7, 7, 3, 4][..], "labels 3 and 4"),
            (3, &[7, 7, 3], "3 rows"),
            (4, &[7, 7], "2 labels"),
            (0, &[], "0 rows"),
        ] {
            let error = batch(rows, labels).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn steps_divide_into_epochs_of_equal_length() {
        let epochs = |steps| (0..steps).map(|done| Progress { done, steps }.epoch(3)).collect::<Vec<_>>();

        assert_eq!(epochs(6), [0, 0, 1, 1, 2, 2]);
        assert_eq!(epochs(4), [0, 0, 1, 2]);
        assert_eq!(epochs(1), [0]);
    }
}
