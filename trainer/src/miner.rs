//! Which triplets of a batch to work with: five miners that differ in how hard a negative they look for.
//!
//! Anchors are the even rows of a batch of pairs, negatives are chosen by label among all rows, and the positive is
//! the partner of the pair except for the softhard miner, which looks for a far one. What may be chosen
//! ([`candidates`]) is separate from the draw, so that the rules can be compared with recorded sets.

pub mod candidates;

use candle_core::{DType, Tensor};
use holdfast_model::distance::normalize;
use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::triplet::Embedded;
use candidates::Candidates;

/// How hard a triplet a miner looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hardness {
    /// Any negative.
    Random,
    /// A negative farther away than the positive, by less than the margin.
    Semihard,
    /// A negative nearer than the farthest positive, and a positive farther away than the nearest negative.
    Softhard,
    /// A negative drawn against the density of distances on the sphere, so that all distances are tried.
    DistanceWeighted,
    /// The nearest negative.
    Hardest,
}

impl Hardness {
    /// Every miner.
    pub const ALL: [Self; 5] = [Self::Random, Self::Semihard, Self::Softhard, Self::DistanceWeighted, Self::Hardest];

    /// The letter that stands for the miner in names such as `HM[S,M]`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Random => 'R',
            Self::Semihard => 'M',
            Self::Softhard => 'S',
            Self::DistanceWeighted => 'D',
            Self::Hardest => 'H',
        }
    }
}

/// Rows of a batch that make T triplets; row i of all three belongs to triplet i.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triplets {
    /// The anchors' rows.
    pub anchors: Vec<usize>,
    /// The positives' rows.
    pub positives: Vec<usize>,
    /// The negatives' rows.
    pub negatives: Vec<usize>,
}

impl Triplets {
    /// The number of triplets T.
    #[must_use]
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// Anchor, positive and negative of triplet `index`.
    ///
    /// # Panics
    /// If there is no such triplet.
    #[must_use]
    pub fn triplet(&self, index: usize) -> [usize; 3] {
        [self.anchors[index], self.positives[index], self.negatives[index]]
    }

    /// The embeddings of the triplets, from those of the batch (2P, D).
    ///
    /// # Errors
    /// If a triplet names a row that is not there.
    pub fn embedded(&self, embeddings: &Tensor) -> holdfast_model::Result<Embedded> {
        Ok(Embedded {
            anchors: rows(embeddings, &self.anchors)?,
            positives: rows(embeddings, &self.positives)?,
            negatives: rows(embeddings, &self.negatives)?,
        })
    }
}

/// The rows of a tensor at these indices, in this order; repeats are fine.
pub(crate) fn rows(tensor: &Tensor, indices: &[usize]) -> holdfast_model::Result<Tensor> {
    let indices: Vec<u32> = indices
        .iter()
        .map(|&index| u32::try_from(index).expect("a batch has fewer than 2^32 rows. This is a bug."))
        .collect();
    let count = indices.len();
    Ok(tensor.index_select(&Tensor::from_vec(indices, count, tensor.device())?, 0)?)
}

/// The distances inside one batch, from which any miner draws its triplets.
#[derive(Clone, Debug)]
pub struct Mining {
    distances: Vec<f64>,
    labels: Vec<u32>,
    dim: usize,
}

impl Mining {
    /// Measures the distances between all rows of a batch of pairs.
    ///
    /// Embeddings (2P, D), of any length: they are normalised here. No gradient is used. The distance is
    /// √(g_ii + g_jj − 2 g_ij) of the Gram matrix in float64, without a clamp: two near-duplicates may give NaN, and
    /// NaN compares as false in every rule, as the method's published miners have it.
    ///
    /// # Errors
    /// If there is not one label a row, the number of rows is odd, or an embedding is not finite.
    pub fn new(embeddings: &Tensor, labels: &[u32]) -> Result<Self> {
        let (rows, dim) = embeddings.dims2()?;
        if rows != labels.len() || rows % 2 != 0 {
            return Err(Error::Batch {
                rule: "pairs of rows with one label a row",
                got: format!("{rows} rows and {} labels", labels.len()),
            });
        }
        let unit = normalize(&embeddings.detach().to_dtype(DType::F64)?)?;
        let gram = unit.matmul(&unit.t()?)?.to_vec2::<f64>()?;
        if let Some(row) = (0..rows).find(|&row| !gram[row][row].is_finite()) {
            return Err(Error::EmbeddingNotFinite { row });
        }
        let distance = |i: usize, j: usize| (gram[i][i] + gram[j][j] - 2.0 * gram[i][j]).sqrt();
        let distances = (0..rows * rows).map(|cell| distance(cell / rows, cell % rows)).collect();
        Ok(Self { distances, labels: labels.to_vec(), dim })
    }

    /// The distances from one row to all rows.
    #[must_use]
    pub fn distances_from(&self, row: usize) -> &[f64] {
        let rows = self.labels.len();
        &self.distances[row * rows..(row + 1) * rows]
    }

    /// What the rules look at for one anchor row.
    #[must_use]
    pub fn candidates(&self, anchor: usize) -> Candidates<'_> {
        Candidates { anchor, distances: self.distances_from(anchor), labels: &self.labels, dim: self.dim }
    }

    /// Draws one triplet for each pair, in the order of the pairs.
    ///
    /// # Errors
    /// If the hardest miner finds no negative.
    pub fn draw(&self, hardness: Hardness, margin: f64, rng: &mut dyn RngCore) -> Result<Triplets> {
        let anchors: Vec<usize> = (0..self.labels.len()).step_by(2).collect();
        let mut positives = Vec::with_capacity(anchors.len());
        let mut negatives = Vec::with_capacity(anchors.len());
        for &anchor in &anchors {
            let candidates = self.candidates(anchor);
            negatives.push(candidates.negative(hardness, margin)?.draw(rng));
            positives.push(uniform(&candidates.positives(hardness), rng));
        }
        Ok(Triplets { anchors, positives, negatives })
    }
}

fn uniform(choices: &[usize], rng: &mut dyn RngCore) -> usize {
    // A single choice takes no random number, so that the partner of a pair costs nothing.
    match choices {
        [only] => *only,
        _ => choices[rng.random_range(0..choices.len())],
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Rows on the unit circle at these angles in degrees.
    fn circle(degrees: &[f64]) -> Tensor {
        let rows: Vec<f64> =
            degrees.iter().flat_map(|angle| [angle.to_radians().cos(), angle.to_radians().sin()]).collect();
        Tensor::from_vec(rows, (degrees.len(), 2), &Device::Cpu).unwrap()
    }

    #[test]
    fn distances_are_chords_of_the_sphere_whatever_the_length_of_the_embeddings() {
        let scaled = circle(&[0.0, 60.0, 90.0, 180.0]).affine(3.0, 0.0).unwrap();

        let mining = Mining::new(&scaled, &[0, 0, 1, 1]).unwrap();

        let expected = [0.0, 1.0, 2f64.sqrt(), 2.0];
        let got = mining.distances_from(0);
        assert!(expected.iter().zip(got).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn every_miner_takes_even_rows_as_anchors_and_respects_the_labels() {
        let labels = [0, 0, 1, 1, 2, 2, 0, 0];
        let mining = Mining::new(&circle(&[0.0, 70.0, 20.0, 95.0, 40.0, 130.0, 10.0, 80.0]), &labels).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(5);

        for hardness in Hardness::ALL {
            let triplets = mining.draw(hardness, 0.2, &mut rng).unwrap();

            assert_eq!(triplets.anchors, [0, 2, 4, 6]);
            for i in 0..triplets.len() {
                assert_eq!(labels[triplets.positives[i]], labels[triplets.anchors[i]], "{hardness:?}");
                assert_ne!(labels[triplets.negatives[i]], labels[triplets.anchors[i]], "{hardness:?}");
            }
            if hardness != Hardness::Softhard {
                assert_eq!(triplets.positives, [1, 3, 5, 7], "{hardness:?}");
            }
        }
    }

    #[test]
    fn a_seed_decides_the_triplets() {
        let mining = Mining::new(&circle(&[0.0, 70.0, 20.0, 95.0, 40.0, 130.0]), &[0, 0, 1, 1, 2, 2]).unwrap();
        let draw = |seed| mining.draw(Hardness::Random, 0.2, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();

        assert_eq!(draw(1), draw(1));
        assert!((2..20).any(|seed| draw(seed) != draw(1)));
    }

    #[test]
    fn an_embedding_that_is_not_finite_is_an_error_that_names_its_row() {
        let broken = Tensor::from_vec(vec![1.0, 0.0, 0.0, 1.0, f64::NAN, 0.0, 1.0, 0.0], (4, 2), &Device::Cpu);

        let error = Mining::new(&broken.unwrap(), &[0, 0, 1, 1]).unwrap_err();

        assert!(error.to_string().contains("row 2"), "{error}");
    }

    #[test]
    fn a_batch_without_pairs_is_refused() {
        let error = Mining::new(&circle(&[0.0, 10.0, 20.0]), &[0, 0, 1]).unwrap_err();

        assert!(error.to_string().contains("3 rows and 3 labels"), "{error}");
    }
}
