//! Why a checkpoint was not saved, or is not trusted.

use std::io;
use std::path::PathBuf;

/// A checkpoint that cannot be written, or that is not what its manifest says.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Nothing is there.
    #[error("there is no checkpoint folder at {}; check the path, or train a net first", path.display())]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },

    /// The folder lacks one of its files.
    #[error("the checkpoint lacks the file {}; it was written whole, so copy the folder again", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },

    /// The operating system refused to read.
    #[error("cannot read {}; check its permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },

    /// The operating system refused to write.
    #[error("cannot write the checkpoint {}; check permissions and free space", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },

    /// Saving would delete something that is not a checkpoint.
    #[error(
        "{} holds {found}, so it is not a checkpoint, and saving would replace all of it; choose a new or empty folder",
        path.display()
    )]
    NotReplaceable {
        /// The folder.
        path: PathBuf,
        /// What it holds that no checkpoint holds: "no manifest.json", "the folder pictures".
        found: String,
    },

    /// An attachment that would land outside the folder, or on a file of the checkpoint.
    #[error("a checkpoint cannot hold an attachment named \"{name}\"; use a plain file name of its own")]
    AttachmentName {
        /// The name.
        name: String,
    },

    /// A file is longer than it can honestly be; it was not read.
    #[error("{} has {bytes} bytes, and can have {max_bytes} at most; copy the checkpoint again", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },

    /// A JSON file with a syntax error, an unknown field, or a missing one.
    #[error("{} is not the JSON that a checkpoint has there; restore the file as it was saved", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and rule.
        source: serde_json::Error,
    },

    /// Written by another version of this program.
    #[error("{} has checkpoint format {found}, and this program reads format {known}; use the version that wrote it", path.display())]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u32,
    },

    /// The weights are not the ones that were saved.
    #[error(
        "{} ({bytes} bytes) has the sha256 checksum {found}, and the manifest says {expected}: the file was changed or cut \
         short; copy the checkpoint again",
        path.display()
    )]
    Checksum {
        /// The weight file.
        path: PathBuf,
        /// Its length.
        bytes: usize,
        /// Checksum in the manifest, 64 hexadecimal digits.
        expected: String,
        /// Checksum of the file.
        found: String,
    },

    /// The weight file has a header that no net needs.
    #[error("{} has a header of {bytes} bytes, and at most {max_bytes} are read; save the weights again", path.display())]
    HeaderTooLong {
        /// The weight file.
        path: PathBuf,
        /// Header length that it states.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },

    /// The weight file breaks the safetensors format.
    #[error("{} is no safetensors file; save the weights again", path.display())]
    Safetensors {
        /// The weight file.
        path: PathBuf,
        /// The rule it breaks.
        source: safetensors::SafeTensorError,
    },

    /// The manifest lists a parameter that the weights lack.
    #[error("{} lacks the parameter \"{name}\" that the manifest lists; copy the checkpoint again", path.display())]
    MissingParameter {
        /// The weight file.
        path: PathBuf,
        /// The parameter.
        name: String,
    },

    /// The weights hold a parameter that the manifest does not list.
    #[error("{} holds the parameter \"{name}\" that the manifest does not list; copy the checkpoint again", path.display())]
    UnexpectedParameter {
        /// The weight file.
        path: PathBuf,
        /// The parameter.
        name: String,
    },

    /// A parameter has another shape than the manifest says.
    #[error(
        "the parameter \"{name}\" in {} has the shape {found:?}, and the manifest says {expected:?}; copy the checkpoint again",
        path.display()
    )]
    ParameterShape {
        /// The weight file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// Shape in the manifest.
        expected: Vec<usize>,
        /// Shape in the weights.
        found: Vec<usize>,
    },

    /// A parameter has another element type than f32.
    #[error("the parameter \"{name}\" in {} is stored as {found}, and must be F32; convert the weights", path.display())]
    ParameterType {
        /// The weight file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// Its type.
        found: String,
    },

    /// A weight is NaN or infinite as f32.
    #[error(
        "the parameter \"{name}\" of {} is {value} at flat position {position}, and weights must be finite; take an earlier \
         checkpoint, or train with a smaller learning rate",
        path.display()
    )]
    NotFinite {
        /// The weight file.
        path: PathBuf,
        /// The parameter.
        name: String,
        /// Position in the flattened parameter.
        position: usize,
        /// The value.
        value: f32,
    },

    /// A metric that JSON cannot hold.
    #[error(
        "the metric \"{name}\" is {value}, and metrics in a manifest must be finite; leave it out or look where it was computed"
    )]
    MetricNotFinite {
        /// The metric.
        name: String,
        /// NaN or ±infinity.
        value: f64,
    },

    /// No net of this program has these weights.
    #[error("{} describes a net that this program cannot build; use the version that wrote it", path.display())]
    Net {
        /// The manifest.
        path: PathBuf,
        /// The rule it breaks.
        source: Box<crate::Error>,
    },

    /// The net is another one than the manifest says.
    #[error("{} says that the net's {what} is {stated}, and its weights make it {actual}; restore the file as it was saved", path.display())]
    Contradiction {
        /// The manifest.
        path: PathBuf,
        /// "input" or "embedding dimension".
        what: &'static str,
        /// In the manifest.
        stated: String,
        /// By the weights.
        actual: String,
    },
}
