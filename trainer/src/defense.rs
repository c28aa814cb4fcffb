//! How a batch becomes a loss: the defenses, behind one trait and one registry.
//!
//! A new defense is a file with its settings and its [`Defense`], a variant of [`DefenseConfig`] and a line in
//! [`DEFENSES`]; configuration, logging and the common tests follow from these.

pub mod gradual_adversary;
pub mod hardness_manipulation;
pub mod intra_class_structure;
pub mod vanilla;

use candle_core::Tensor;
use holdfast_model::EmbeddingNet;
use rand::RngCore;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::error::Result;
use hardness_manipulation::{HardnessManipulation, HardnessManipulationConfig};
use vanilla::{Vanilla, VanillaConfig};

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
    /// How many pixel updates the inner attack made.
    pub pgd_steps: usize,
}

/// Means over the batch of hardness d(a, p) − d(a, n), in [−2, 2].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardnessSummary {
    /// Of the mined triplets, untouched.
    pub source: f64,
    /// That the attack aimed for, where there was one.
    pub destination: Option<f64>,
    /// Of the attacked triplets, where there was an attack.
    pub adversarial: Option<f64>,
}

/// The settings of a defense: the table `[defense]`, whose `name` decides which other keys exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum DefenseConfig {
    /// No defense.
    Vanilla(VanillaConfig),
    /// Hardness manipulation.
    HardnessManipulation(HardnessManipulationConfig),
}

/// What each variant of [`DefenseConfig`] can do.
pub trait Settings {
    /// Every value that makes no sense, named by its key.
    fn problems(&self) -> Vec<String>;

    /// The defense in its state before the first step.
    fn build(&self) -> Box<dyn Defense>;
}

impl DefenseConfig {
    /// Every value that makes no sense, named by its key below `defense`.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.settings().problems()
    }

    /// The defense in its state before the first step.
    #[must_use]
    pub fn build(&self) -> Box<dyn Defense> {
        self.settings().build()
    }

    fn settings(&self) -> &dyn Settings {
        match self {
            Self::Vanilla(settings) => settings,
            Self::HardnessManipulation(settings) => settings,
        }
    }
}

impl Default for DefenseConfig {
    fn default() -> Self {
        Self::HardnessManipulation(HardnessManipulationConfig::default())
    }
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
    DefenseEntry {
        name: "vanilla",
        description: Vanilla::DESCRIPTION,
        default: || DefenseConfig::Vanilla(VanillaConfig::default()),
    },
    DefenseEntry {
        name: "hardness_manipulation",
        description: HardnessManipulation::DESCRIPTION,
        default: || DefenseConfig::HardnessManipulation(HardnessManipulationConfig::default()),
    },
];

/// The mean of a tensor of any shape as an f64.
pub(crate) fn mean(values: &Tensor) -> holdfast_model::Result<f64> {
    Ok(values.detach().to_dtype(candle_core::DType::F64)?.mean_all()?.to_scalar::<f64>()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_each_is_reachable_from_configuration() {
        let names: BTreeSet<&str> = DEFENSES.iter().map(|entry| entry.name).collect();

        assert_eq!(names.len(), DEFENSES.len());
        for entry in DEFENSES {
            let read: DefenseConfig = toml::from_str(&format!("name = \"{}\"", entry.name)).unwrap();
            assert_eq!(read, (entry.default)());
            assert!(read.problems().is_empty(), "{}: {:?}", entry.name, read.problems());
        }
    }

    #[test]
    fn an_unknown_defense_or_key_is_refused_with_the_known_ones() {
        let unknown_name = toml::from_str::<DefenseConfig>("name = \"hope\"").unwrap_err().to_string();
        let unknown_key = toml::from_str::<DefenseConfig>("name = \"vanilla\"\nepsilon = 0.1").unwrap_err().to_string();

        assert!(unknown_name.contains("`hope`") && unknown_name.contains("`hardness_manipulation`"), "{unknown_name}");
        assert!(unknown_key.contains("`epsilon`") && unknown_key.contains("`source`"), "{unknown_key}");
    }
}
