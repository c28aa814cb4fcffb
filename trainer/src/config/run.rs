//! A run as a job: how long it is, what is kept on the way, and what happens when the net collapses.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::TrainConfig;
use crate::defense::DefenseConfig;
use crate::error::{Error, Result};
use crate::probe::Probe;

/// The two ways to say how long a run is.
const LENGTHS: [&str; 2] = ["steps", "epochs"];

/// By what the best net so far is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BestBy {
    /// Only the last net is kept.
    #[default]
    Nothing,
    /// The highest R@1 on the held-out pictures.
    #[serde(rename = "recall_at_1")]
    RecallAt1,
    /// The highest robustness score: every probe makes all attacks of the evaluation's profile on 32 queries among the
    /// first `probe_pictures` test pictures.
    Ers,
}

/// What to do when a probe finds that the net has collapsed. Every answer leaves a warning with the net.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCollapse {
    /// Go on.
    #[default]
    Warn,
    /// End the run. The checkpoint is of the last probe that found the net sound.
    Stop,
    /// Go back to the last probe that found the net sound, halve the steps of the inner attack, and go on from there; end
    /// the run where there is no attack to make easier.
    LowerHardness,
}

impl BestBy {
    /// The value of a probe, higher is better; nothing if the best is not kept.
    #[must_use]
    pub fn value(self, probe: &Probe) -> Option<f64> {
        match self {
            Self::Nothing => None,
            Self::RecallAt1 => Some(probe.recall_at_1),
            Self::Ers => probe.ers,
        }
    }
}

impl TrainConfig {
    /// Turns `epochs` into steps, for this number of training pictures: one epoch has every picture as an anchor once, and
    /// its last batch may be smaller.
    pub fn settle_steps(&mut self, pictures: usize) {
        if let Some(epochs) = self.epochs {
            self.steps = epochs * pictures.div_ceil(self.pairs);
        }
    }

    /// The same defense with half as many steps of its inner attack; nothing if it has no attack, or one of one step.
    #[must_use]
    pub fn softened_defense(&self) -> Option<(DefenseConfig, usize)> {
        let mut settings = serde_json::to_value(&self.defense).ok()?;
        let steps = settings.pointer_mut("/pgd/steps")?;
        let halved = usize::try_from(steps.as_u64()?).ok()? / 2;
        if halved == 0 {
            return None;
        }
        *steps = halved.into();
        Some((serde_json::from_value(settings).ok()?, halved))
    }

    pub(super) fn run_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.epochs == Some(0) {
            problems.push("epochs must be at least 1, got 0".to_owned());
        }
        if self.probe_pictures < 2 {
            problems.push(format!("probe_pictures must be at least 2, got {}", self.probe_pictures));
        }
        let needs_probes =
            [(self.best_by != BestBy::Nothing, "best_by"), (self.on_collapse != OnCollapse::Warn, "on_collapse")];
        for (is_set, key) in needs_probes {
            if is_set && self.probe_every == 0 {
                problems.push(format!("{key} needs probes, and probe_every is 0; set it to 50, for instance"));
            }
        }
        problems
    }
}

/// An override of one length takes the place of the other.
pub(super) fn replace_other_length(table: &mut Table, key: &str) {
    if LENGTHS.contains(&key) {
        LENGTHS.iter().filter(|&&other| other != key).for_each(|&other| drop(table.remove(other)));
    }
}

pub(super) fn refuse_two_lengths(table: &Table) -> Result<()> {
    if LENGTHS.iter().all(|&length| table.contains_key(length)) {
        return Err(Error::UnreadableConfig {
            detail: "it has both steps and epochs, and either says how long the run is; remove one of them".to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str, overrides: &[(&str, &str)]) -> Result<TrainConfig> {
        TrainConfig::from_toml(text, overrides)
    }

    #[test]
    fn an_epoch_has_every_picture_as_an_anchor_once() {
        let mut config = config("epochs = 3\npairs = 8", &[]).unwrap();

        config.settle_steps(20);

        assert_eq!(config.steps, 9, "two batches of 8 and one of 4, three times");
    }

    #[test]
    fn steps_and_epochs_exclude_each_other_and_an_override_replaces_either() {
        let both = config("epochs = 3\nsteps = 8", &[]).unwrap_err().to_string();
        assert!(both.contains("both steps and epochs"), "{both}");
        assert!(config("steps = 8", &[("epochs", "2"), ("pairs", "3")]).unwrap().epochs == Some(2));
        let steps = config("epochs = 3", &[("steps", "7")]).unwrap();
        assert_eq!((steps.steps, steps.epochs), (7, None));
    }

    #[test]
    fn an_attack_is_softened_by_half_until_it_has_one_step() {
        let text = "[defense]\nname = \"hardness_manipulation\"\npgd = { epsilon = 0.1, alpha = 0.05, steps = 5 }";
        let mut config = config(text, &[]).unwrap();

        let mut steps = Vec::new();
        while let Some((defense, halved)) = config.softened_defense() {
            config.defense = defense;
            steps.push(halved);
        }

        assert_eq!(steps, [2, 1]);
        config.validate().unwrap();
        config.defense = toml::from_str("name = \"vanilla\"").unwrap();
        assert_eq!(config.softened_defense(), None);
    }

    #[test]
    fn what_needs_probes_says_so() {
        let problems = |text| config(text, &[]).unwrap().validate().unwrap_err().to_string();

        let text = problems("probe_every = 0\nprobe_pictures = 1\non_collapse = \"stop\"\nbest_by = \"ers\"");

        for key in ["probe_pictures must", "best_by needs", "on_collapse needs"] {
            assert!(text.contains(key), "{key} is missing in {text}");
        }
        config("probe_every = 0", &[]).unwrap().validate().unwrap();
    }
}
