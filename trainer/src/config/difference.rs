//! What differs between the configuration of a paused run and the one that it is to go on with.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::{OnCollapse, TrainConfig};
use crate::defense::DefenseConfig;

/// A key with two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The dotted key.
    pub key: String,
    /// Its value so far, as JSON; nothing if the key was not there.
    pub before: Option<String>,
    /// Its value now.
    pub now: Option<String>,
}

/// What is measured, told and kept of a run, and how its batches are prepared. The training pictures are compared by their
/// checksum, not by where they lie.
const HARMLESS: [&str; 8] =
    ["log_every", "checkpoint_every", "best_by", "license", "evaluation.", "data.path", "data.format", "data.prefetch"];
/// How long the run is: harmless unless the defense follows the run's length.
const LENGTH: [&str; 2] = ["steps", "epochs"];
/// Harmless as long as a collapse does not change the course of the run.
const PROBES: [&str; 3] = ["probe_every", "probe_pictures", "on_collapse"];

impl TrainConfig {
    /// The keys that differ from `before` and would change what the next steps learn.
    #[must_use]
    pub fn conflicts(&self, before: &Self) -> Vec<Difference> {
        let changes_course = [self, before].iter().any(|config| config.on_collapse == OnCollapse::LowerHardness);
        let follows_length = [self, before].iter().any(|config| matches!(config.defense, DefenseConfig::CaTride(_)));
        let harmless = |key: &str| {
            let listed = |keys: &[&str]| {
                keys.iter().any(|&known| key == known || known.ends_with('.') && key.starts_with(known))
            };
            listed(&HARMLESS) || (!follows_length && listed(&LENGTH)) || (!changes_course && listed(&PROBES))
        };
        let (before, now) = (leaves(before), leaves(self));
        let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter()
            .filter(|key| before.get(*key) != now.get(*key) && !harmless(key))
            .map(|key| Difference { key: key.clone(), before: before.get(key).cloned(), now: now.get(key).cloned() })
            .collect()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{}: {} before, {} now", self.key, value(&self.before), value(&self.now))
    }
}

/// Every value that is no table, as JSON, by its dotted key.
fn leaves(config: &TrainConfig) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    let value = serde_json::to_value(config).expect("a configuration has string keys. This is a bug.");
    collect("", &value, &mut leaves);
    leaves
}

fn collect(key: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    let Value::Object(fields) = value else {
        leaves.insert(key.to_owned(), value.to_string());
        return;
    };
    for (name, value) in fields {
        let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
        collect(&key, value, leaves);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflicts(before: &str, now: &str) -> Vec<String> {
        let read = |text| TrainConfig::from_toml(text, &[]).unwrap();
        read(now).conflicts(&read(before)).into_iter().map(|difference| difference.key).collect()
    }

    #[test]
    fn what_changes_the_result_is_a_conflict() {
        let now = "seed = 3\npairs = 4\n[defense]\nname = \"hardness_manipulation\"\nsource = \"random\"\n\
                   intra_class_structure = { weight = 0.5 }";

        let structure = ["defense.intra_class_structure.margin", "defense.intra_class_structure.weight"];
        assert_eq!(conflicts("", now), [&structure[..], &["defense.source", "pairs", "seed"]].concat());
    }

    #[test]
    fn what_is_measured_told_and_kept_is_none() {
        let now = "steps = 5\nlog_every = 1\ncheckpoint_every = 7\nprobe_every = 3\nbest_by = \"ers\"\n\
                   on_collapse = \"stop\"\n[evaluation]\nqueries = 3\n[data]\npath = \"elsewhere\"\nprefetch = 0";

        assert_eq!(conflicts("", now), [""; 0]);
    }

    #[test]
    fn the_length_matters_where_the_defense_follows_it() {
        let defense = "defense = \"CA-TRIDE\"";

        assert_eq!(conflicts(&format!("steps = 8\n{defense}"), &format!("steps = 9\n{defense}")), ["steps"]);
    }

    #[test]
    fn probes_matter_where_a_collapse_changes_the_course() {
        let lower = "on_collapse = \"lower_hardness\"";

        assert_eq!(conflicts(lower, &format!("{lower}\nprobe_every = 3")), ["probe_every"]);
        assert_eq!(conflicts("", lower), ["on_collapse"]);
    }

    #[test]
    fn a_difference_reads_as_a_line() {
        let difference = Difference { key: "seed".into(), before: Some("1".into()), now: None };

        assert_eq!(difference.to_string(), "seed: 1 before, nothing now");
    }
}
