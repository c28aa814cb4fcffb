//! Evaluation profiles: the budget that makes two reports comparable.

use holdfast_model::Precision;
use serde::{Deserialize, Serialize};

use crate::{Error, Pgd, Result, intensity};

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
        let precision = Precision::default();
        Ok(Self { name: name.to_owned(), epsilon, alpha: 0.011_764, steps: 32, batch, precision })
    }

    /// The budget.
    ///
    /// # Errors
    /// If a value is out of range, the batch size included.
    pub fn pgd(&self) -> Result<Pgd> {
        if self.batch == 0 {
            return Err(Error::Parameter { name: "batch", rule: "at least 1", value: 0.0 });
        }
        Ok(Pgd { precision: self.precision, ..Pgd::new(self.epsilon, self.alpha, self.steps)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_reachable_and_valid() {
        for name in Profile::PRESETS {
            Profile::preset(name).unwrap().pgd().unwrap();
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
        assert_eq!(coarse.pgd().unwrap().precision, Precision::Bf16);

        let message = serde_json::from_str::<Profile>(&text.replace("51/255", "far")).unwrap_err().to_string();
        assert!(message.contains("\"far\"") && message.contains("8/255"), "{message}");
        assert!(serde_json::from_str::<Profile>(&text.replace("steps", "setps")).is_err());
    }

    #[test]
    fn a_budget_out_of_range_names_the_setting() {
        let profile = Profile { epsilon: 8.0, ..Profile::preset("rob28").unwrap() };
        assert!(profile.pgd().unwrap_err().to_string().starts_with("epsilon must be"));
    }
}
