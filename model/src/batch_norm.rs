//! What training does with the statistics of batch norms.

use serde::{Deserialize, Serialize};

/// What normalises a batch in the forward passes of a training step. Elsewhere, in attacks and in use, running statistics do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchNorm {
    /// The running statistics of the checkpoint, which stay as they are.
    #[default]
    Frozen,
    /// The batch's own statistics; the running ones follow them, as in PyTorch's training mode with its momentum of 0.1.
    Live,
}
