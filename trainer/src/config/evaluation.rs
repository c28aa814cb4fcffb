//! How a trained net is measured.

use std::fs;
use std::path::Path;

use holdfast_attack::{Profile, Protocol, by_names};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

mod written;

use written::{Looked, Written};

/// The evaluation at the end of a run: the table `[evaluation]`, or an evaluation file.
///
/// ```toml
/// attacks = "all"            # the attacks of the robustness score; others by name: "all,NES"
/// protocol = "leave_one_out" # or "query_gallery"
/// gallery = 2000
/// queries = "all"
/// seed = 1
/// sanity = { queries = 32 }  # or false
///
/// [profile]                  # or a name, or an evaluation file: profile = "configs/attack/ers-28.toml"
/// name = "mine"
/// epsilon = "8/255"
/// alpha = "1/255"
/// steps = 32
/// batch = 128
/// conformance = "reference"  # or "corrected"
/// ```
///
/// Where `profile` names an evaluation file, what the file says holds, unless the table says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct EvaluationConfig {
    /// The attacks' budget and reading.
    pub profile: Profile,
    /// `"all"` for those of the robustness score, or names with commas between: `"QA+,ES"`.
    pub attacks: String,
    /// Whether each test picture searches among all others (`"leave_one_out"`), or, in data that tells queries from gallery,
    /// the ones among the others (`"query_gallery"`).
    pub protocol: Protocol,
    /// At most so many test pictures, from the first, are the gallery, and at most so many others search in it; `usize::MAX`,
    /// written `"all"`, for no limit.
    #[serde(with = "written::limit")]
    pub gallery: usize,
    /// At most so many of those that search are attacked, from the first; `usize::MAX`, written `"all"`, for no limit.
    #[serde(with = "written::limit")]
    pub queries: usize,
    /// Decides the attacks' random targets; absent: the seed of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How many queries are looked at for signs that robustness is not real; 0, also written `false`, for none.
    #[serde(serialize_with = "written::looked")]
    pub sanity: usize,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            profile: Profile::preset("rob28").expect("rob28 is a published profile. This is a bug."),
            attacks: "all".to_owned(),
            protocol: Protocol::LeaveOneOut,
            gallery: 2000,
            queries: 128,
            seed: None,
            sanity: Looked::default().0,
        }
    }
}

impl EvaluationConfig {
    /// This evaluation under another profile: a published one's name, or an evaluation file, whose other keys hold too.
    ///
    /// # Errors
    /// If the name is neither, or the file cannot be read or holds an unknown key.
    pub fn under(self, profile: &str) -> Result<Self> {
        if !profile.ends_with(".toml") {
            let unknown = |error| Error::UnreadableConfig {
                detail: format!("{error}; or give an evaluation file, such as configs/attack/ers-28.toml"),
            };
            return Ok(Self { profile: Profile::preset(profile).map_err(unknown)?, ..self });
        }
        let unreadable = |reason: String| Error::UnreadableConfig {
            detail: format!("in the evaluation file {profile}: {}", reason.trim_end()),
        };
        let text = fs::read_to_string(Path::new(profile)).map_err(|error| unreadable(error.to_string()))?;
        let written: Written = toml::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if written.names_a_file() {
            return Err(unreadable(
                "its profile is another file; name a published profile or write a table".to_owned(),
            ));
        }
        written.over(self)
    }

    /// Checks that the values make sense.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with every problem.
    pub fn validate(&self) -> Result<()> {
        let problems = self.problems();
        if problems.is_empty() { Ok(()) } else { Err(Error::InvalidConfig { problems }) }
    }

    /// Every value that makes no sense.
    pub(super) fn problems(&self) -> Vec<String> {
        let profile = self.profile.problems();
        let mut problems: Vec<String> =
            profile.iter().map(|problem| format!("evaluation.profile: {problem}")).collect();
        if let Err(error) = by_names(&self.attacks) {
            problems.push(format!("evaluation.attacks: {error}"));
        }
        for (key, value) in [("gallery", self.gallery), ("queries", self.queries)] {
            if value == 0 {
                problems.push(format!("evaluation.{key} must be at least 1, or \"all\", got 0"));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use holdfast_attack::Conformance;

    use super::*;

    fn read(text: &str) -> EvaluationConfig {
        toml::from_str(text).unwrap()
    }

    fn refusal(text: &str) -> String {
        toml::from_str::<EvaluationConfig>(text).unwrap_err().to_string()
    }

    /// A file of this repository, as a configuration names it.
    fn shipped(name: &str) -> String {
        format!("{}/../configs/attack/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn a_profile_is_a_name_or_a_table_and_mistakes_say_what_is_known() {
        assert_eq!(read("profile = \"rob224\"").profile, Profile::preset("rob224").unwrap());
        let own = "profile = { name = \"toy\", epsilon = \"8/255\", alpha = \"2/255\", steps = 8, batch = 64 }";
        assert_eq!(read(own).profile.epsilon, 8.0 / 255.0);

        let unknown = refusal("profile = \"rob32\"");
        assert!(unknown.contains("rob32") && unknown.contains("rob28") && unknown.contains("ers-28.toml"), "{unknown}");
        let wrong_type = refusal("profile = 28");
        assert!(wrong_type.contains("a profile's name (rob28, rob224), an evaluation file or a table"), "{wrong_type}");
        let misspelt = refusal(&own.replace("steps", "stps"));
        assert!(misspelt.contains("`stps`"), "{misspelt}");
        let elsewhere = refusal("galery = 5");
        assert!(elsewhere.contains("`galery`") && elsewhere.contains("`gallery`"), "{elsewhere}");
    }

    #[test]
    fn the_shipped_files_are_the_published_evaluations() {
        for (file, preset) in [("ers-28.toml", "rob28"), ("ers-224.toml", "rob224")] {
            let evaluation = EvaluationConfig::default().under(&shipped(file)).unwrap();

            evaluation.validate().unwrap();
            assert_eq!(evaluation.profile, Profile::preset(preset).unwrap(), "{file}");
            assert_eq!(evaluation.profile.conformance, Conformance::Reference);
            assert_eq!((evaluation.gallery, evaluation.queries), (usize::MAX, usize::MAX), "{file}");
            assert_eq!((evaluation.attacks.as_str(), evaluation.sanity), ("all", 32), "{file}");
        }
    }

    #[test]
    fn a_table_may_name_a_file_and_say_otherwise() {
        let evaluation = read(&format!("profile = \"{}\"\nqueries = 64\nattacks = \"ES\"", shipped("ers-224.toml")));

        assert_eq!(evaluation.profile, Profile::preset("rob224").unwrap());
        assert_eq!((evaluation.gallery, evaluation.queries, evaluation.attacks.as_str()), (usize::MAX, 64, "ES"));
    }

    #[test]
    fn a_file_that_is_missing_or_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml").display().to_string();
        let refused = |text: &str| {
            fs::write(&path, text).unwrap();
            let message = EvaluationConfig::default().under(&path).unwrap_err().to_string();
            assert!(message.contains("mine.toml"), "{message}");
            message
        };

        assert!(refused("stepz = 3").contains("`stepz`"));
        assert!(refused("profile = \"other.toml\"").contains("another file"));
        assert!(refused("queries = -1").contains("-1"));
        let missing = EvaluationConfig::default().under("/nowhere/mine.toml").unwrap_err().to_string();
        assert!(missing.contains("/nowhere/mine.toml"), "{missing}");
    }

    #[test]
    fn limits_are_numbers_or_all_and_sanity_can_be_switched_off() {
        let evaluation = read("gallery = \"all\"\nqueries = 7\nsanity = false");
        assert_eq!((evaluation.gallery, evaluation.queries, evaluation.sanity), (usize::MAX, 7, 0));
        assert_eq!((read("sanity = true").sanity, read("sanity = { queries = 0 }").sanity), (32, 0));
        assert_eq!((read("").sanity, read("sanity = 5").sanity), (32, 5));

        assert!(refusal("queries = \"some\"").contains("a number, or \"all\""));
        assert!(refusal("sanity = \"yes\"").contains("{ queries = 32 }"));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = r#"
            queries = 0
            gallery = 0
            attacks = "XYZ"
            [profile]
            name = "mine"
            epsilon = -0.1
            alpha = 2.0
            steps = 0
            batch = 0
            nes = { samples = 3 }
        "#;

        let message = read(text).validate().unwrap_err().to_string();

        for part in ["8 problem(s)", "epsilon", "alpha", "steps", "batch", "nes.samples", "XYZ", "gallery", "queries"] {
            assert!(message.contains(part), "\"{part}\" is missing in {message}");
        }
    }

    #[test]
    fn what_is_written_down_reads_the_same() {
        for text in ["", "gallery = \"all\"\nsanity = false\nseed = 4", "profile = \"rob224\"\nqueries = 9"] {
            let evaluation = read(text);
            assert_eq!(read(&toml::to_string(&evaluation).unwrap()), evaluation);
            let json = serde_json::to_value(&evaluation).unwrap();
            assert_eq!(serde_json::from_value::<EvaluationConfig>(json).unwrap(), evaluation);
        }
    }
}
