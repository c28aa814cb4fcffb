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
//! | [`gradient`], [`nes`] | in which direction: exactly, or as a black box lets one guess? |
//! | [`rules`], [`conformance`] | what may an attacker do, and whose reading of an attack is it? |
//! | [`attacks`] | what does an attacker want, and did they get it? The registries [`ERS_ATTACKS`] and [`FURTHER_ATTACKS`] |
//! | [`queries`], [`distances`] | where does a batch stand in the gallery before and after? |
//! | [`test_set`] | what searches in what: one set, or queries in a gallery of others |
//! | [`batch`] | one batch under one attack, for evaluation and for a server's monitor |
//! | [`evaluate`](mod@evaluate), [`report`] | a whole labelled set under a [`Profile`], and what was found |
//! | [`sanity`] | is there reason not to believe it? |
//! | [`clustering`] | do clusters of embeddings match the classes? |
//! | [`ers`](mod@ers) | ten outcomes as scores, and their mean |
//! | [`intensity`] | `"8/255"` in configuration |

pub mod attacks;
pub mod batch;
pub mod clustering;
pub mod conformance;
pub mod distances;
pub mod error;
pub mod ers;
pub mod evaluate;
pub mod gradient;
pub mod intensity;
pub mod nes;
pub mod pgd;
pub mod profile;
pub mod queries;
pub mod report;
mod retrieval;
pub mod rules;
pub mod sanity;
mod tensors;
pub mod test_set;

pub use attacks::{
    Aim, ERS_ATTACKS, FURTHER_ATTACKS, Goal, Knowledge, Outcome, RankingAttack, Reached, Role, by_names,
};
pub use batch::{AttackedBatch, Benign, Pictures, Pursuit, attack_batch, attack_queries, pursue, pursue_blindly};
pub use conformance::Conformance;
pub use distances::Distances;
pub use error::{Error, Result};
pub use ers::{ERS_TERMS, ers, score};
pub use evaluate::{EvaluateOptions, Progress, evaluate};
pub use gradient::{Gradient, GradientSource};
pub use nes::Nes;
pub use pgd::{Loss, Observer, Pgd, Step};
pub use profile::Profile;
pub use queries::Queries;
pub use report::{AttackScore, Averaging, Report};
pub use rules::Rules;
pub use sanity::{Flag, Sanity, Suspicion};
pub use test_set::{Labelled, Protocol, TestSet};
