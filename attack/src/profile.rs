//! Evaluation profiles: the budget that makes two reports comparable.

use holdfast_model::Precision;
use serde::{Deserialize, Serialize};

use crate::{Conformance, Error, Nes, Pgd, Result, Rules, intensity};

/// A named budget and the batch size, which matters because reported numbers are means of batch means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// "rob28", "rob224", or a name of one's own.
    pub name: String,
    /// L∞ radius, a pixel intensity in (0, 1].
    #[serde(with = "intensity")]
    pub epsilon: f64,
    /// Step size, a pixel intensity in (0, 1].
    #[serde(with = "intensity")]
    pub alpha: f64,
    /// PGD updates.
    pub steps: usize,
    /// Pictures a batch.
    pub batch: usize,
    /// The arithmetic of the net while it is attacked. Published numbers are of "f32".
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// Whose reading of the attacks is carried out. Published numbers are of "reference".
    #[serde(default)]
    pub conformance: Conformance,
    /// What black-box attacks may ask of the net.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nes: Nes,
    /// k of SPQA: 2e4 for MNIST, 4e4 for Fashion-MNIST and CUB, 7e4 for Cars and SOP.
    #[serde(default = "semantics_exponent", skip_serializing_if = "is_published_exponent")]
    pub semantics_exponent: f64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn semantics_exponent() -> f64 {
    Rules::SEMANTICS_EXPONENT
}

fn is_published_exponent(value: &f64) -> bool {
    *value == Rules::SEMANTICS_EXPONENT
}

impl Profile {
    /// The names of the published profiles.
    pub const PRESETS: [&str; 2] = ["rob28", "rob224"];

    /// A published profile. Its numbers are the typed decimals of the reference, not the fractions of 255 that they
    /// round.
    ///
    /// # Errors
    /// If the name is not known; the message lists the choices.
    ///
    /// Source: robrank's evaluation profiles. rob224 steps 3/255 in code, where the literature quotes 1/255.
    pub fn preset(name: &str) -> Result<Self> {
        let (epsilon, batch) = match name {
            "rob28" => (0.30196, 128),
            "rob224" => (0.03137, 112),
            _ => {
                let known = Self::PRESETS.join(", ");
                return Err(Error::Unknown { kind: "profile", name: name.to_owned(), known });
            }
        };
        Ok(Self {
            name: name.to_owned(),
            epsilon,
            alpha: 0.011_764,
            steps: 32,
            batch,
            precision: Precision::default(),
            conformance: Conformance::default(),
            nes: Nes::default(),
            semantics_exponent: Rules::SEMANTICS_EXPONENT,
        })
    }

    /// What attacks go by.
    ///
    /// # Errors
    /// If a value is out of range, the batch size included.
    pub fn rules(&self) -> Result<Rules> {
        self.problems().into_iter().next().map_or_else(|| Ok(self.unchecked()), Err)
    }

    /// Every value out of range.
    #[must_use]
    pub fn problems(&self) -> Vec<Error> {
        let mut problems = self.unchecked().problems();
        if self.batch == 0 {
            problems.push(Error::Parameter { name: "batch", rule: "at least 1", value: 0.0 });
        }
        problems
    }

    fn unchecked(&self) -> Rules {
        let Self { epsilon, alpha, steps, precision, conformance, nes, semantics_exponent, .. } = *self;
        Rules { pgd: Pgd { epsilon, alpha, steps, precision }, conformance, nes, semantics_exponent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_reachable_and_valid() {
        for name in Profile::PRESETS {
            Profile::preset(name).unwrap().rules().unwrap();
        }
        let message = Profile::preset("rob32").unwrap_err().to_string();
        assert!(message.contains("rob28, rob224"), "{message}");
    }

    #[test]
    fn budgets_are_numbers_or_fractions_and_unknown_keys_are_refused() {
        let text = r#"{"name": "mine", "epsilon": "51/255", "alpha": 0.01, "steps": 3, "batch": 5}"#;
        let profile: Profile = serde_json::from_str(text).unwrap();
        assert_eq!((profile.epsilon, profile.precision), (0.2, Precision::F32));
        let coarse: Profile = serde_json::from_str(&text.replace('}', ", \"precision\": \"bf16\"}")).unwrap();
        assert_eq!(coarse.rules().unwrap().pgd.precision, Precision::Bf16);

        let message = serde_json::from_str::<Profile>(&text.replace("51/255", "far")).unwrap_err().to_string();
        assert!(message.contains("\"far\"") && message.contains("8/255"), "{message}");
        assert!(serde_json::from_str::<Profile>(&text.replace("steps", "setps")).is_err());
    }

    #[test]
    fn a_budget_out_of_range_names_the_setting() {
        let profile = Profile { epsilon: 8.0, ..Profile::preset("rob28").unwrap() };
        assert!(profile.rules().unwrap_err().to_string().starts_with("epsilon must be"));
    }
}
