//! How do I get a more robust embedder?
//!
//! A run is a [`TrainConfig`](config::TrainConfig), a data set and a net. Each step draws pairs of one class, mines
//! triplets, lets a defense make a loss of them, and moves the parameters; [`train`](train::train) is that loop.
//!
//! ```
//! use holdfast_trainer::config::TrainConfig;
//!
//! let config = TrainConfig::from_toml("[defense]\nname = \"vanilla\"\nsource = \"softhard\"", &[("steps", "20")])?;
//! config.validate()?;
//! assert_eq!(config.defense.build().name(), "N/A[S]");
//! # Ok::<(), holdfast_trainer::Error>(())
//! ```
//!
//! | module | question |
//! |---|---|
//! | [`config`] | what decides a run? |
//! | [`sampler`], [`batch`], [`batches`] | which pictures come together? |
//! | [`miner`], [`triplet`] | which triplets are compared, and how hard are they? |
//! | [`defense`] | how does a batch become a loss? One defense a file, the registry [`DEFENSES`](defense::DEFENSES) |
//! | [`optimizer`] | how do the parameters move? |
//! | [`random`] | which random numbers are for what? |
//! | [`train`], [`step_log`] | what happens in a step, and what is told of it? |
//! | [`weights`] | where do published weights lie? |
//! | [`training_state`] | how does a run pause and go on? |
//! | [`probe`] | is the net still worth training? |
//! | [`dataset`] | which pictures are there? |

pub mod batch;
pub mod batches;
pub mod config;
pub mod dataset;
pub mod defense;
pub mod error;
pub mod miner;
pub mod optimizer;
pub mod probe;
pub mod random;
pub mod sampler;
pub mod step_log;
pub mod train;
pub mod training_state;
pub mod triplet;
pub mod weights;

pub use error::{Error, Result};
