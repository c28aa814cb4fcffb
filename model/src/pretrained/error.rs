//! Why published weights are not taken.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A weight file that no net can start from.
#[derive(Debug, thiserror::Error)]
pub enum PretrainedError {
    /// The operating system refused to read.
    #[error("cannot read the weights {}; check the path and its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },

    /// Longer than any backbone's weights; it was not read.
    #[error("the weights {} have {bytes} bytes, and at most {max_bytes} are read; check the path", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },

    /// Not a safetensors file.
    #[error(
        "{} is not a whole safetensors file; convert PyTorch's .pth and .bin files with safetensors.torch.save_file",
        path.display()
    )]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: safetensors::SafeTensorError,
    },

    /// Another file than the one asked for.
    #[error(
        "the weights {} have the sha256 checksum {found}, and {expected} is asked for; fetch the file again, or correct the \
         checksum if this file is the right one",
        path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Checksum asked for.
        expected: String,
        /// Checksum of the file, 64 hexadecimal digits.
        found: String,
    },

    /// A weight is NaN or infinite.
    #[error(
        "the weight \"{name}\" in {} is {value} at flat position {position}, and weights must be finite; use another file",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor, under the file's name for it.
        name: String,
        /// Position in the flattened tensor.
        position: usize,
        /// The value.
        value: f32,
    },

    /// The tensors are those of another net.
    #[error("the weights {} are not those of {backbone}: {misfits}; choose the backbone that they were made for", path.display())]
    Misfits {
        /// The file.
        path: PathBuf,
        /// The backbone.
        backbone: &'static str,
        /// What does not fit.
        misfits: Box<Misfits>,
    },
}

/// What does not fit between a file's tensors and a backbone's parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misfits {
    /// Parameters without a tensor.
    pub missing: Vec<String>,
    /// Tensors of a wrong shape, each with both shapes.
    pub misshapen: Vec<String>,
    /// Tensors without a parameter.
    pub foreign: Vec<String>,
}

impl Misfits {
    /// Whether everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty() && self.foreign.is_empty()
    }
}

/// Entries of a list that are named; the others are counted.
const NAMED: usize = 6;

impl fmt::Display for Misfits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists =
            [("missing", &self.missing), ("of a wrong shape", &self.misshapen), ("unknown to it", &self.foreign)];
        let filled = lists.into_iter().filter(|(_, names)| !names.is_empty());
        for (index, (what, names)) in filled.enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{what}: {}", names[..names.len().min(NAMED)].join(", "))?;
            if names.len() > NAMED {
                write!(f, " and {} more", names.len() - NAMED)?;
            }
        }
        Ok(())
    }
}
