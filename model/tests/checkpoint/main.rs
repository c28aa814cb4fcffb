//! Checkpoints: what comes back, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod desk;
mod loading;
mod saving;
