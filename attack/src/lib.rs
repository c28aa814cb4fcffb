//! How does an embedder hold up, untouched and under attack?
//!
//! There is one gradient loop against pixels, [`Pgd`]. A ranking attack is a choice of targets and a loss handed to
//! that loop; adversarial training hands it other losses.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use holdfast_attack::Pgd;
//!
//! # fn main() -> holdfast_attack::Result<()> {
//! let picture = Tensor::full(0.5, (1, 1, 2, 2), &Device::Cpu)?; // (B, C, H, W) in [0, 1]
//! let pgd = Pgd::new(8.0 / 255.0, 1.0 / 255.0, 10)?;
//!
//! let darker = pgd.perturb(&picture, &mut |pixels| Ok(pixels.sum_all()?))?;
//!
//! let moved = (picture - darker)?.mean_all()?.to_scalar::<f64>()?;
//! assert!((moved - 8.0 / 255.0).abs() < 1e-12); // as far as the ball allows
//! # Ok(())
//! # }
//! ```
//!
//! | module | question |
//! |---|---|
//! | [`pgd`] | how do pixels move? |
//! | [`attacks`] | what does an attacker want, and did they get it? The registry [`ATTACKS`] |
//! | [`queries`], [`distances`] | where does a batch stand in the gallery before and after? |
//! | [`batch`] | one batch under one attack, for evaluation and for a server's monitor |
//! | [`evaluate`](mod@evaluate), [`report`] | a whole labelled set under a [`Profile`], and what was found |
//! | [`ers`](mod@ers) | ten outcomes as scores, and their mean |
//! | [`intensity`] | `"8/255"` in configuration |

pub mod attacks;
pub mod batch;
pub mod distances;
pub mod error;
pub mod ers;
pub mod evaluate;
pub mod intensity;
pub mod pgd;
pub mod profile;
pub mod queries;
pub mod report;
mod tensors;

pub use attacks::{ATTACKS, Aim, Goal, Outcome, RankingAttack, Reached, Role, by_names};
pub use batch::{AttackedBatch, Benign, Pictures, Pursuit, attack_batch, attack_queries, pursue};
pub use distances::Distances;
pub use error::{Error, Result};
pub use ers::{ERS_TERMS, ers, score};
pub use evaluate::{EvaluateOptions, Progress, evaluate};
pub use pgd::{Loss, Observer, Pgd, Step};
pub use profile::Profile;
pub use queries::{Membership, Queries};
pub use report::{AttackScore, Averaging, Report};
