//! Backbones against torchvision's numbers: published weights in use, and batch norms in training.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

mod drawn;
mod live_batch_norm;
mod published;
