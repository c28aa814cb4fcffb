//! How a batch becomes a loss: the defenses, behind one trait and one registry.
//!
//! A new defense is a file with its settings and its [`Defense`], a variant of [`DefenseConfig`] and a line in
//! [`DEFENSES`]; configuration, logging and the common tests follow from these. [`notation`] knows the papers' names.

pub mod act;
pub mod amd;
pub mod attacked_triplet;
pub mod ca_tride;
mod config;
pub mod embedding_shift;
pub mod est;
pub mod gradual_adversary;
pub mod hardness_manipulation;
pub mod inner_attack;
pub mod intra_class_structure;
pub mod notation;
pub mod rest;
pub mod ses;
pub mod vanilla;

use candle_core::Tensor;
use holdfast_attack::Pgd;
use holdfast_model::{EmbeddingNet, Precision};
use rand::RngCore;

use crate::batch::Batch;
use crate::error::Result;
use crate::triplet::Embedded;
use act::Act;
use amd::Amd;
use ca_tride::CaTride;
use est::Est;
use hardness_manipulation::HardnessManipulation;
use inner_attack::Attacked;
use rest::Rest;
use ses::Ses;
use vanilla::Vanilla;

pub use config::DefenseConfig;

/// Turns batches into losses, one training step after another.
pub trait Defense: Send {
    /// The defense with its settings, as the papers write it: `HM[S,gLGA]&ICS`.
    fn name(&self) -> String;

    /// The loss of one step, a scalar that is differentiable in the net's parameters.
    ///
    /// The parameters are those of `net` at the time of the call and are not changed. All random choices come from
    /// `rng`.
    ///
    /// # Errors
    /// If the net refuses the pictures, a miner finds nothing, or an inner attack meets a number that is not finite.
    fn loss(&mut self, net: &EmbeddingNet, batch: &Batch, rng: &mut dyn RngCore) -> Result<StepLoss>;

    /// The numbers that it carries from one step to the next, by name.
    fn state(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Takes up the numbers that [`state`](Self::state) gave.
    ///
    /// # Errors
    /// If they are not this defense's.
    fn restore(&mut self, _state: &[(String, f64)]) -> Result<()> {
        Ok(())
    }
}

/// The loss of one step and what an observer of the training wants to know about it.
#[derive(Clone, Debug)]
pub struct StepLoss {
    /// The total loss to minimise: a scalar with its graph.
    pub loss: Tensor,
    /// The triplet loss alone.
    pub triplet: f64,
    /// The intra-class structure term before its weight, where the defense has one.
    pub intra_class: Option<f64>,
    /// How hard the triplets were.
    pub hardness: HardnessSummary,
    /// The inner attack, where there was one.
    pub attack: Option<Attacked>,
}

impl StepLoss {
    /// The step of a defense whose loss is the triplet loss of the attacked triplets.
    fn of_attacked(loss: Tensor, benign: &Embedded, attacked: &Embedded, attack: Attacked) -> Result<Self> {
        Ok(Self {
            triplet: mean(&loss)?,
            loss,
            intra_class: None,
            hardness: HardnessSummary {
                source: mean(&benign.hardness()?)?,
                destination: None,
                adversarial: Some(mean(&attacked.hardness()?)?),
            },
            attack: Some(attack),
        })
    }
}

/// Means over the batch of hardness d(a, p) − d(a, n), in [−2, 2].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardnessSummary {
    /// Of the mined triplets, untouched.
    pub source: f64,
    /// That the attack aimed for, where it aimed for one.
    pub destination: Option<f64>,
    /// Of the attacked triplets, where there was an attack.
    pub adversarial: Option<f64>,
}

/// A defense as configuration knows it.
#[derive(Clone, Copy, Debug)]
pub struct DefenseEntry {
    /// The value of `name` in the table `[defense]`.
    pub name: &'static str,
    /// What it does, in a line.
    pub description: &'static str,
    /// Its default settings.
    pub default: fn() -> DefenseConfig,
}

/// All defenses.
pub static DEFENSES: &[DefenseEntry] = &[
    entry("vanilla", Vanilla::DESCRIPTION, || DefenseConfig::Vanilla(Default::default())),
    entry("est", Est::DESCRIPTION, || DefenseConfig::Est(Default::default())),
    entry("rest", Rest::DESCRIPTION, || DefenseConfig::Rest(Default::default())),
    entry("ses", Ses::DESCRIPTION, || DefenseConfig::Ses(Default::default())),
    entry("act", Act::DESCRIPTION, || DefenseConfig::Act(Default::default())),
    entry("amd", Amd::DESCRIPTION, || DefenseConfig::Amd(Default::default())),
    entry("hardness_manipulation", HardnessManipulation::DESCRIPTION, || {
        DefenseConfig::HardnessManipulation(Default::default())
    }),
    entry("ca_tride", CaTride::DESCRIPTION, || DefenseConfig::CaTride(Default::default())),
];

const fn entry(name: &'static str, description: &'static str, default: fn() -> DefenseConfig) -> DefenseEntry {
    DefenseEntry { name, description, default }
}

/// The published budget for 28×28 pictures.
fn published_budget() -> Pgd {
    Pgd { epsilon: 77.0 / 255.0, alpha: 3.0 / 255.0, steps: 32, precision: Precision::default() }
}

/// What is wrong with the budget of an inner attack.
fn attack_problems(pgd: &Pgd) -> Vec<String> {
    pgd.validate().err().map(|error| format!("defense.pgd: {error}")).into_iter().collect()
}

/// The mean of a tensor of any shape as an f64.
pub(crate) fn mean(values: &Tensor) -> holdfast_model::Result<f64> {
    Ok(values.detach().to_dtype(candle_core::DType::F64)?.mean_all()?.to_scalar::<f64>()?)
}
