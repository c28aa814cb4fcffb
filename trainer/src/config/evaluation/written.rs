//! An evaluation as people write it: any key may be missing, and some have several forms.

use std::fmt;

use holdfast_attack::{Profile, Protocol};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serializer};

use super::EvaluationConfig;
use crate::error::Result;

/// The keys of an evaluation file, or of the table `[evaluation]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Written {
    profile: Option<ProfileSource>,
    attacks: Option<String>,
    protocol: Option<Protocol>,
    gallery: Option<Limit>,
    queries: Option<Limit>,
    seed: Option<u64>,
    sanity: Option<Looked>,
}

impl Written {
    /// What is written, and where nothing is, `base`.
    pub fn over(self, base: EvaluationConfig) -> Result<EvaluationConfig> {
        let base = match self.profile {
            None => base,
            Some(ProfileSource::Named(name)) => base.under(&name)?,
            Some(ProfileSource::Table(profile)) => EvaluationConfig { profile, ..base },
        };
        Ok(EvaluationConfig {
            attacks: self.attacks.unwrap_or(base.attacks),
            protocol: self.protocol.unwrap_or(base.protocol),
            gallery: self.gallery.map_or(base.gallery, |limit| limit.0),
            queries: self.queries.map_or(base.queries, |limit| limit.0),
            seed: self.seed.or(base.seed),
            sanity: self.sanity.map_or(base.sanity, |looked| looked.0),
            profile: base.profile,
        })
    }

    /// Whether the profile is in another file.
    pub fn names_a_file(&self) -> bool {
        matches!(&self.profile, Some(ProfileSource::Named(name)) if name.ends_with(".toml"))
    }
}

impl TryFrom<Written> for EvaluationConfig {
    type Error = crate::error::Error;

    fn try_from(written: Written) -> Result<Self> {
        written.over(Self::default())
    }
}

/// A published profile's name, an evaluation file, or a table with one's own numbers.
#[derive(Debug)]
enum ProfileSource {
    Named(String),
    Table(Profile),
}

impl<'de> Deserialize<'de> for ProfileSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        // An untagged enum would answer every mistake with "did not match any variant".
        struct NamedOrTable;

        impl<'de> Visitor<'de> for NamedOrTable {
            type Value = ProfileSource;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let presets = Profile::PRESETS.join(", ");
                write!(formatter, "a profile's name ({presets}), an evaluation file or a table")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> std::result::Result<Self::Value, E> {
                Ok(ProfileSource::Named(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Self::Value, A::Error> {
                Profile::deserialize(MapAccessDeserializer::new(map)).map(ProfileSource::Table)
            }
        }

        deserializer.deserialize_any(NamedOrTable)
    }
}

/// At most so many, or `"all"`.
#[derive(Debug)]
struct Limit(usize);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a number, or \"all\"")]
        enum Form {
            Number(i64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => usize::try_from(number)
                .map(Limit)
                .map_err(|_| D::Error::custom(format!("expected a number, or \"all\", got {number}"))),
            Form::Text(text) if text == "all" => Ok(Self(usize::MAX)),
            Form::Text(text) => Err(D::Error::custom(format!("expected a number, or \"all\", got \"{text}\""))),
        }
    }
}

/// Writes a [`Limit`].
pub(super) mod limit {
    use serde::Serializer;

    pub fn serialize<S: Serializer>(value: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        if *value == usize::MAX { serializer.serialize_str("all") } else { serializer.serialize_u64(*value as u64) }
    }
}

/// How many queries are looked at: a number, `false`, or a table.
#[derive(Debug)]
pub(super) struct Looked(pub usize);

impl Default for Looked {
    fn default() -> Self {
        Self(32)
    }
}

impl<'de> Deserialize<'de> for Looked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            queries: usize,
        }
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected { queries = 32 }, a number of queries, or false")]
        enum Form {
            Switch(bool),
            Number(usize),
            Table(Table),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::Switch(true) => Self::default(),
            Form::Switch(false) => Self(0),
            Form::Number(queries) | Form::Table(Table { queries }) => Self(queries),
        })
    }
}

/// Writes [`Looked`] as a table.
pub(super) fn looked<S: Serializer>(queries: &usize, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let mut table = serializer.serialize_map(Some(1))?;
    table.serialize_entry("queries", queries)?;
    table.end()
}
