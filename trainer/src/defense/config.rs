//! The settings of a defense: the table `[defense]`, or the paper's notation in one string.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::act::Act;
use super::amd::Amd;
use super::attacked_triplet::{AttackedTriplet, AttackedTripletConfig};
use super::ca_tride::{CaTride, CaTrideConfig};
use super::embedding_shift::EmbeddingShiftConfig;
use super::est::Est;
use super::hardness_manipulation::{HardnessManipulation, HardnessManipulationConfig};
use super::rest::Rest;
use super::ses::Ses;
use super::vanilla::{Vanilla, VanillaConfig};
use super::{DEFENSES, Defense, notation};

/// A defense and its settings.
///
/// Written as a table, whose `name` decides which other keys exist; or as the paper's [notation], for the whole or as
/// `name` next to the keys that the notation does not decide.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "name", rename_all = "snake_case")]
pub enum DefenseConfig {
    /// No defense.
    Vanilla(VanillaConfig),
    /// The embedding-shifted triplet.
    Est(EmbeddingShiftConfig),
    /// The embedding-shifted triplet on mined triplets.
    Rest(AttackedTripletConfig),
    /// Benign triplets, and attacked pictures held near themselves.
    Ses(EmbeddingShiftConfig),
    /// The anti-collapse triplet.
    Act(AttackedTripletConfig),
    /// The min-max triplet.
    Amd(AttackedTripletConfig),
    /// Hardness manipulation.
    HardnessManipulation(HardnessManipulationConfig),
    /// Collapse-aware triplet decoupling.
    CaTride(CaTrideConfig),
}

impl DefenseConfig {
    /// Every value that makes no sense, named by its key below `defense`.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        match self {
            Self::Vanilla(_) => Vec::new(),
            Self::Est(config) | Self::Ses(config) => config.problems(),
            Self::Rest(config) | Self::Act(config) | Self::Amd(config) => config.problems(),
            Self::HardnessManipulation(config) => config.problems(),
            Self::CaTride(config) => config.problems(),
        }
    }

    /// The defense in its state before the first step.
    #[must_use]
    pub fn build(&self) -> Box<dyn Defense> {
        match self {
            Self::Vanilla(config) => Box::new(Vanilla::new(config.clone())),
            Self::Est(config) => Box::new(Est::new(config.clone())),
            Self::Rest(config) => Box::new(AttackedTriplet::new(config.clone(), Rest)),
            Self::Ses(config) => Box::new(Ses::new(config.clone())),
            Self::Act(config) => Box::new(AttackedTriplet::new(config.clone(), Act)),
            Self::Amd(config) => Box::new(AttackedTriplet::new(config.clone(), Amd)),
            Self::HardnessManipulation(config) => Box::new(HardnessManipulation::new(config.clone())),
            Self::CaTride(config) => Box::new(CaTride::new(config.clone())),
        }
    }
}

impl Default for DefenseConfig {
    fn default() -> Self {
        Self::HardnessManipulation(HardnessManipulationConfig::default())
    }
}

impl Serialize for DefenseConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for DefenseConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NotationOrTable;

        impl<'de> Visitor<'de> for NotationOrTable {
            type Value = DefenseConfig;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str("a defense in the paper's notation, such as \"HM[S,gLGA]&ICS\", or a table with a name")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<DefenseConfig, E> {
                named(text).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DefenseConfig, A::Error> {
                let table = toml::Table::deserialize(MapAccessDeserializer::new(map))?;
                let spelt = spelt_out(table).map_err(A::Error::custom)?;
                DefenseConfig::deserialize(toml::Value::Table(spelt)).map_err(|error| A::Error::custom(error.message()))
            }
        }

        deserializer.deserialize_any(NotationOrTable)
    }
}

/// The defense that a text names: a registered one with its default settings, or one in the paper's notation.
fn named(text: &str) -> crate::Result<DefenseConfig> {
    match DEFENSES.iter().find(|entry| entry.name == text) {
        Some(entry) => Ok((entry.default)()),
        None => notation::parse(text),
    }
}

/// The table with a registered name, where it had one in the paper's notation.
///
/// The notation decides some keys, so that none of them may stand next to it. Other keys keep the table's values.
fn spelt_out(mut table: toml::Table) -> crate::Result<toml::Table> {
    let Some(toml::Value::String(name)) = table.get("name") else { return Ok(table) };
    if DEFENSES.iter().any(|entry| entry.name == name) {
        return Ok(table);
    }
    let name = name.clone();
    let config = notation::parse(&name)?;
    if let Some(key) = notation::DECIDES.iter().find(|key| table.contains_key(**key)) {
        return Err(notation::unreadable(
            &name,
            format!("it decides `{key}`, which stands next to it once more: leave one of the two out"),
        ));
    }
    let spelt = toml::Value::try_from(Written(&config)).expect("settings are a table. This is a bug.");
    let toml::Value::Table(spelt) = spelt else { unreachable!("settings are a table. This is a bug.") };
    table.remove("name");
    Ok(spelt.into_iter().chain(table).collect())
}

/// The settings as the table that they are written as.
struct Written<'a>(&'a DefenseConfig);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        DefenseConfig::serialize(self.0, serializer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn read(text: &str) -> Result<DefenseConfig, String> {
        #[derive(Debug, Deserialize)]
        struct Document {
            defense: DefenseConfig,
        }
        toml::from_str::<Document>(text).map(|document| document.defense).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_unique_and_each_is_reachable_from_configuration() {
        let names: BTreeSet<&str> = DEFENSES.iter().map(|entry| entry.name).collect();

        assert_eq!(names.len(), DEFENSES.len());
        for entry in DEFENSES {
            let table = read(&format!("[defense]\nname = \"{}\"", entry.name)).unwrap();
            let word = read(&format!("defense = \"{}\"", entry.name)).unwrap();
            assert_eq!(table, (entry.default)());
            assert_eq!(word, table);
            assert!(table.problems().is_empty(), "{}: {:?}", entry.name, table.problems());
        }
    }

    #[test]
    fn an_unknown_defense_or_key_is_refused_with_the_known_ones() {
        let unknown_key = read("[defense]\nname = \"vanilla\"\nepsilon = 0.1").unwrap_err();

        assert!(unknown_key.contains("`epsilon`") && unknown_key.contains("`source`"), "{unknown_key}");
        for text in ["defense = \"hope\"", "[defense]\nname = \"hope\""] {
            let unknown_name = read(text).unwrap_err();
            assert!(
                unknown_name.contains("\"hope\"") && unknown_name.contains("hardness_manipulation"),
                "{unknown_name}"
            );
        }
        let nameless = read("[defense]\nsource = \"random\"").unwrap_err();
        assert!(nameless.contains("`name`"), "{nameless}");
    }

    #[test]
    fn the_notation_stands_for_the_whole_or_next_to_the_keys_that_it_leaves_open() {
        let whole = read("defense = \"HM[S,M]&ICS\"").unwrap();
        let named = read("[defense]\nname = \"HM[S,M]&ICS\"").unwrap();
        let opened =
            read("[defense]\nname = \"ACT[M]\"\nmining_margin = 0.2\npgd = { epsilon = 0.1, alpha = 0.05, steps = 4 }");

        assert_eq!(whole, named);
        assert_eq!(whole.build().name(), "HM[S,M]&ICS");
        let DefenseConfig::Act(act) = opened.unwrap() else { panic!("ACT[M] is no ACT") };
        assert_eq!((act.mining_margin, act.pgd.steps, act.source.letter()), (0.2, 4, 'M'));
    }

    #[test]
    fn what_the_notation_decides_cannot_be_decided_twice() {
        for (name, key) in [
            ("HM[S,M]", "source = \"random\""),
            ("HM[S,M]", "destination = \"gradual\""),
            ("HM[S,M]", "intra_class_structure = { weight = 0.1 }"),
            ("CA-TRIDE(lambda=2)", "far_mean = { temperature = 3.0 }"),
        ] {
            let message = read(&format!("[defense]\nname = \"{name}\"\n{key}")).unwrap_err();
            let key = key.split(' ').next().unwrap();
            assert!(message.contains(&format!("`{key}`")) && message.contains(name), "{message}");
        }
    }
}
