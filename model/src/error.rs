//! What can go wrong between pixels and embeddings.

use crate::checkpoint::CheckpointError;
use crate::pixels::PixelsError;
use crate::pretrained::PretrainedError;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between pixels and embeddings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tensor operation failed.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
    /// A picture could not be decoded or resized.
    #[error(transparent)]
    Pixels(#[from] PixelsError),
    /// A checkpoint could not be written or loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Published weights could not be taken as a start.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    /// No backbone has this name.
    #[error("unknown backbone \"{name}\"; known: {known}")]
    UnknownBackbone {
        /// The name asked for.
        name: String,
        /// All registered names.
        known: String,
    },
    /// A backbone needs a parameter that is not there.
    #[error("backbone {backbone} needs the parameter \"{name}\", which is missing")]
    MissingParameter {
        /// The backbone that is being built.
        backbone: &'static str,
        /// The parameter it looked for.
        name: String,
    },
    /// A parameter's shape does not fit the backbone.
    #[error("parameter \"{name}\" of backbone {backbone} must be {expected}, got shape {found:?}")]
    ParameterShape {
        /// The backbone that is being built.
        backbone: &'static str,
        /// The parameter.
        name: String,
        /// What would fit, in words.
        expected: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A parameter that the backbone does not know.
    #[error("backbone {backbone} has no parameter \"{name}\"; it has: {known}")]
    UnknownParameter {
        /// The backbone that is being built.
        backbone: &'static str,
        /// The parameter.
        name: String,
        /// All its parameters.
        known: String,
    },
    /// Pixels of another shape than the network takes.
    #[error("{backbone} takes pixels of shape (B, {expected}), got {found:?}; resize the pictures first")]
    PixelShape {
        /// The backbone.
        backbone: &'static str,
        /// The shape of one picture it takes.
        expected: crate::InputShape,
        /// The shape it got.
        found: Vec<usize>,
    },
    /// A shape of pictures that the network cannot take.
    #[error(
        "{backbone} cannot take pictures of shape ({input}): the usual shape is ({usual}), and sides may be {sides}"
    )]
    InputShape {
        /// The backbone.
        backbone: &'static str,
        /// The shape asked for.
        input: crate::InputShape,
        /// The shape that it takes when nobody asks.
        usual: crate::InputShape,
        /// The sides that it takes.
        sides: crate::backbone::Sides,
    },
    /// Live batch norms were asked of an architecture without any.
    #[error("{backbone} has no batch norm that could be live; those that have: {with}")]
    NoBatchNorm {
        /// The backbone.
        backbone: &'static str,
        /// The backbones that have.
        with: String,
    },
    /// Live batch norms normalise by the whole batch, and a net in parts never sees it.
    #[error(
        "live batch norms need the statistics of all {pictures} pictures of a pass, and the net takes {part} at a time; \
         freeze them, or take all at once"
    )]
    LiveBatchInParts {
        /// Pictures of the pass.
        pictures: usize,
        /// Pictures that the net takes at a time.
        part: usize,
    },
    /// A gradient was asked of a network whose gradients are wrong.
    #[error("{backbone} is for inference only, not to be trained or attacked by its gradients: {reason}")]
    InferenceOnly {
        /// The backbone.
        backbone: &'static str,
        /// What is wrong, and what to take instead.
        reason: &'static str,
    },
    /// Embeddings that do not fit together, or a measure that does not apply to them.
    #[error("{0}")]
    Embeddings(String),
    /// An attack in an arithmetic that the embedder does not know.
    #[error("this embedder knows no {precision:?} arithmetic; attack it in f32")]
    Precision {
        /// The arithmetic asked for.
        precision: crate::Precision,
    },
    /// A device that does not exist here.
    #[error("{0}")]
    Device(String),
}
