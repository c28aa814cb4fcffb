//! What can be wrong with a call to an index.

use crate::{MAX_EF, engine_names};

/// The result of a call to an index.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a call to an index.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No engine has this name.
    #[error("unknown index engine \"{name}\"; known: {}", engine_names().join(", "))]
    UnknownEngine {
        /// What was asked for.
        name: String,
    },
    /// The configuration breaks at least one rule.
    #[error("invalid index configuration: {}", problems.join("; "))]
    InvalidConfig {
        /// Every broken rule.
        problems: Vec<String>,
    },
    /// The vector is longer or shorter than the vectors of this index.
    #[error("a vector of this index has {expected} numbers, got {got}")]
    WrongDimension {
        /// The dimension of the index.
        expected: usize,
        /// The length of the vector.
        got: usize,
    },
    /// The vector has a number that is infinite or not a number.
    #[error("a vector must be finite, but its number {position} is {value}")]
    NotFinite {
        /// Where, counted from 0.
        position: usize,
        /// What is there.
        value: f32,
    },
    /// The vector is not of length 1.
    #[error("a vector must have norm 1 within 0.001, got {norm}: normalise it")]
    NotUnit {
        /// Its norm.
        norm: f64,
    },
    /// No hits were asked for.
    #[error("a search must ask for at least 1 hit")]
    NothingAsked,
    /// `ef` is out of range.
    #[error("ef must be in 1..={MAX_EF}, got {ef}")]
    EfOutOfRange {
        /// What was asked for.
        ef: usize,
    },
}

/// How far the norm of a unit vector may be from 1; f32 normalisation errs by about 1e-6.
const NORM_TOLERANCE: f64 = 1e-3;

/// Checks that `vector` is a unit vector of dimension `dim`.
pub(crate) fn check_vector(vector: &[f32], dim: usize) -> Result<()> {
    if vector.len() != dim {
        return Err(Error::WrongDimension { expected: dim, got: vector.len() });
    }
    if let Some(position) = vector.iter().position(|x| !x.is_finite()) {
        return Err(Error::NotFinite { position, value: vector[position] });
    }
    let squares = vector.iter().map(|&x| f64::from(x) * f64::from(x));
    let norm = squares.sum::<f64>().sqrt();
    if (norm - 1.0).abs() > NORM_TOLERANCE {
        return Err(Error::NotUnit { norm });
    }
    Ok(())
}

/// Checks what every search has in common.
pub(crate) fn check_search(query: &[f32], dim: usize, k: usize, ef: Option<usize>) -> Result<()> {
    check_vector(query, dim)?;
    if k == 0 {
        return Err(Error::NothingAsked);
    }
    match ef {
        Some(ef) if !(1..=MAX_EF).contains(&ef) => Err(Error::EfOutOfRange { ef }),
        _ => Ok(()),
    }
}
