//! The settings of hardness manipulation: which triplets, how hard, and what else counts.

use std::fmt;

use holdfast_attack::Pgd;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::defense::gradual_adversary::{Boosted, Gradual};
use crate::defense::intra_class_structure::IntraClassStructure;
use crate::defense::{attack_problems, published_budget};
use crate::miner::Hardness;

/// How hard the attack makes the triplets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// As hard as the batch's triplets of another miner, row by row.
    Mined(Hardness),
    /// As hard as this, in [−2, 2].
    Constant(f64),
    /// From −0.2 towards 0 as the adversarial loss falls.
    Gradual(Gradual),
    /// As hard as mined triplets, and harder as the adversarial loss falls.
    Boosted(Boosted),
}

/// The settings of [`HardnessManipulation`](super::HardnessManipulation).
#[doc(alias = "HM")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HardnessManipulationConfig {
    /// Which triplets to attack and train on.
    pub source: Hardness,
    /// How hard to make them: `"gradual"`, `{ gradual = { shape = "square", u = 0.2 } }`, `{ mined = "semihard" }`,
    /// `{ boosted = { mined = "semihard", xi = 0.1 } }` or `{ constant = -0.1 }`.
    pub destination: Destination,
    /// The intra-class structure term; absent, there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intra_class_structure: Option<IntraClassStructure>,
    /// Whether the attack ends when an update no longer changes its objective by 1e-7, as in the published code; the
    /// paper has no such rule.
    pub early_stop: bool,
    /// The attack's budget.
    pub pgd: Pgd,
}

impl Default for HardnessManipulationConfig {
    /// `HM[S,gLGA]` with the published budget for 28×28 pictures.
    fn default() -> Self {
        Self {
            source: Hardness::Softhard,
            destination: Destination::Gradual(Gradual::default()),
            intra_class_structure: None,
            early_stop: true,
            pgd: published_budget(),
        }
    }
}

impl HardnessManipulationConfig {
    /// Every value that makes no sense, named by its key.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = attack_problems(&self.pgd);
        problems.extend(self.destination_problems());
        if let Some(structure) = self.intra_class_structure {
            problems.extend(structure.problems());
        }
        problems
    }

    fn destination_problems(&self) -> Vec<String> {
        let positive = |key: &str, u: f64| {
            let sensible = u.is_finite() && u > 0.0;
            (!sensible).then(|| format!("defense.destination.{key}.u must be above 0, got {u}"))
        };
        match self.destination {
            Destination::Mined(_) => Vec::new(),
            Destination::Constant(hardness) if (-2.0..=2.0).contains(&hardness) => Vec::new(),
            Destination::Constant(hardness) => {
                vec![format!("defense.destination.constant must be a hardness in [-2, 2], got {hardness}")]
            }
            Destination::Gradual(Gradual { u, .. }) => positive("gradual", u).into_iter().collect(),
            Destination::Boosted(Boosted { mined, xi, u }) => {
                let mut problems: Vec<String> = positive("boosted", u).into_iter().collect();
                if !(0.0..=2.0).contains(&xi) {
                    problems.push(format!("defense.destination.boosted.xi must lie in [0, 2], got {xi}"));
                }
                if mined == self.source {
                    problems.push(
                        "defense.destination.boosted.mined is the source's miner, for which the method attacks nothing: \
                         name another"
                            .to_owned(),
                    );
                }
                problems
            }
        }
    }
}

/// A destination as it is written down: the same variants, each with its value.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Mined(Hardness),
    Constant(f64),
    Gradual(Gradual),
    Boosted(Boosted),
}

impl From<Written> for Destination {
    fn from(written: Written) -> Self {
        match written {
            Written::Mined(miner) => Self::Mined(miner),
            Written::Constant(hardness) => Self::Constant(hardness),
            Written::Gradual(gradual) => Self::Gradual(gradual),
            Written::Boosted(boosted) => Self::Boosted(boosted),
        }
    }
}

impl<'de> Deserialize<'de> for Destination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrTable;

        impl<'de> Visitor<'de> for WordOrTable {
            type Value = Destination;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "\"gradual\", or one of the tables { gradual = … }, { mined = … }, { boosted = … }, { constant = … }",
                )
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Destination, E> {
                match word {
                    "gradual" => Ok(Destination::Gradual(Gradual::default())),
                    _ => Written::deserialize(StrDeserializer::new(word)).map(Destination::from),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Destination, A::Error> {
                Written::deserialize(MapAccessDeserializer::new(map)).map(Destination::from)
            }
        }

        deserializer.deserialize_any(WordOrTable)
    }
}
