//! How a trained net is measured.

use std::fmt;

use holdfast_attack::Profile;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The evaluation at the end of a run: the table `[evaluation]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// The attacks' budget: a published profile's name (`"rob28"`, `"rob224"`) or a table with one's own numbers.
    #[serde(deserialize_with = "named_or_written_out")]
    pub profile: Profile,
    /// `"all"`, or names with commas between: `"QA+,ES"`.
    pub attacks: String,
    /// At most so many test pictures, from the first, are the gallery.
    pub gallery: usize,
    /// At most so many pictures of the gallery are attacked.
    pub queries: usize,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            profile: Profile::preset("rob28").expect("rob28 is a published profile. This is a bug."),
            attacks: "all".to_owned(),
            gallery: 2000,
            queries: 128,
        }
    }
}

impl EvaluationConfig {
    /// Every value that makes no sense.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = self.profile.pgd() {
            problems.push(format!("evaluation.profile: {error}"));
        }
        if let Err(error) = holdfast_attack::by_names(&self.attacks) {
            problems.push(format!("evaluation.attacks: {error}"));
        }
        for (key, value) in [("gallery", self.gallery), ("queries", self.queries)] {
            if value == 0 {
                problems.push(format!("evaluation.{key} must be at least 1, got 0"));
            }
        }
        problems
    }
}

fn named_or_written_out<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Profile, D::Error> {
    // An untagged enum would answer every mistake with "did not match any variant".
    struct NamedOrWrittenOut;

    impl<'de> Visitor<'de> for NamedOrWrittenOut {
        type Value = Profile;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a profile's name ({}) or a table", Profile::PRESETS.join(", "))
        }

        fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Profile, E> {
            Profile::preset(name).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Profile, A::Error> {
            Profile::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(NamedOrWrittenOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_a_name_or_a_table_and_mistakes_say_what_is_known() {
        let read = |text: &str| toml::from_str::<EvaluationConfig>(text);

        assert_eq!(read("profile = \"rob224\"").unwrap().profile, Profile::preset("rob224").unwrap());
        let own = "profile = { name = \"toy\", epsilon = \"8/255\", alpha = \"2/255\", steps = 8, batch = 64 }";
        assert_eq!(read(own).unwrap().profile.epsilon, 8.0 / 255.0);

        let unknown = read("profile = \"rob32\"").unwrap_err().to_string();
        assert!(unknown.contains("rob32") && unknown.contains("rob28"), "{unknown}");
        let wrong_type = read("profile = 28").unwrap_err().to_string();
        assert!(wrong_type.contains("a profile's name (rob28, rob224) or a table"), "{wrong_type}");
        let misspelt = read(&own.replace("steps", "stps")).unwrap_err().to_string();
        assert!(misspelt.contains("`stps`"), "{misspelt}");
    }
}
