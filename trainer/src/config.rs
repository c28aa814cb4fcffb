//! An experiment as a value: everything that decides a training run, next to its default.
//!
//! Read from TOML, with `key=value` overrides applied before parsing. Unknown keys are refused with the known ones, and
//! [`TrainConfig::validate`] returns every problem at once. The whole value is kept in each checkpoint.

mod data;
mod difference;
mod evaluation;
mod overrides;
mod run;
mod weights;

use std::num::NonZeroUsize;

use holdfast_model::BatchNorm;
use holdfast_model::backbone::{self, Architecture};
use serde::{Deserialize, Serialize};

use crate::defense::DefenseConfig;
use crate::error::{Error, Result};
use crate::optimizer::AdamSettings;

pub use data::{DataConfig, ToyShopConfig};
pub use difference::Difference;
pub use evaluation::EvaluationConfig;
pub use run::{BestBy, OnCollapse};
pub use weights::WeightsConfig;

/// A training run.
///
/// ```
/// use holdfast_trainer::config::TrainConfig;
///
/// let text = r#"
///     steps = 300
///     [defense]
///     name = "hardness_manipulation"
///     source = "softhard"
///     destination = "gradual"
///     pgd = { epsilon = "77/255", alpha = "12/255", steps = 8 }
/// "#;
/// let config = TrainConfig::from_toml(text, &[("pairs", "64"), ("defense.source", "random")])?;
/// assert_eq!((config.steps, config.pairs), (300, 64));
/// # Ok::<(), holdfast_trainer::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// The architecture of the net.
    pub backbone: String,
    /// Pixels of a side of the square pictures that the net takes; absent for the backbone's usual ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_side: Option<usize>,
    /// What normalises in the forward passes of training: a backbone's batch norms are `frozen`, or `live`.
    pub batch_norm: BatchNorm,
    /// Decides the first parameters, the batches and the triplets.
    pub seed: u64,
    /// Training steps.
    pub steps: usize,
    /// Instead of steps: how often every training picture is an anchor. Sets `steps` once the data is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Pairs of pictures a step.
    pub pairs: usize,
    /// Pictures whose activations a step holds at a time; absent, all. Fewer need less memory and a little more time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pictures_at_once: Option<NonZeroUsize>,
    /// Adam's step size.
    pub learning_rate: f64,
    /// How much of a parameter is added to its gradient.
    pub weight_decay: f64,
    /// Steps between two lines of progress.
    pub log_every: usize,
    /// The published weights to start from; absent for fresh ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsConfig>,
    /// Steps between two checkpoints; 0 for one at the end only.
    pub checkpoint_every: usize,
    /// Steps between two looks at held-out pictures; 0 for none.
    pub probe_every: usize,
    /// How many test pictures are held out for that.
    pub probe_pictures: usize,
    /// By what the best net so far is told and kept, beside the last one.
    pub best_by: BestBy,
    /// What to do when a probe finds that the net has collapsed.
    pub on_collapse: OnCollapse,
    /// Under what terms the net may be used, for its model card: an identifier of the Hugging Face Hub, `apache-2.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// What to train on.
    pub data: DataConfig,
    /// How a batch becomes a loss.
    pub defense: DefenseConfig,
    /// How the trained net is measured.
    pub evaluation: EvaluationConfig,
}

impl Default for TrainConfig {
    /// The published setting for 28×28 pictures, with a round number of steps (about two epochs of Fashion-MNIST).
    fn default() -> Self {
        Self {
            backbone: "c2f2".to_owned(),
            input_side: None,
            batch_norm: BatchNorm::Frozen,
            seed: 0,
            steps: 1000,
            epochs: None,
            pairs: 128,
            pictures_at_once: None,
            learning_rate: 1e-3,
            weight_decay: 1e-7,
            log_every: 10,
            weights: None,
            checkpoint_every: 200,
            probe_every: 50,
            probe_pictures: 256,
            best_by: BestBy::default(),
            on_collapse: OnCollapse::default(),
            license: None,
            data: DataConfig::default(),
            defense: DefenseConfig::default(),
            evaluation: EvaluationConfig::default(),
        }
    }
}

impl TrainConfig {
    /// Reads a configuration, with overrides of single values applied to the text's table first.
    ///
    /// An override is a dotted key (`defense.pgd.steps`) and a TOML value; text that is no TOML value, such as
    /// `softhard` or `8/255`, is taken as a string.
    ///
    /// # Errors
    /// If the text is not TOML, an override leads through a value that is no table, or a key or value is not known. The
    /// values' sense is checked by [`TrainConfig::validate`].
    pub fn from_toml(text: &str, overrides: &[(&str, &str)]) -> Result<Self> {
        let unreadable = |error: toml::de::Error| Error::UnreadableConfig { detail: error.to_string() };
        let mut table: toml::Table = toml::from_str(text).map_err(unreadable)?;
        if overrides.is_empty() {
            run::refuse_two_lengths(&table)?;
            // Only the text itself knows the line of an error.
            return toml::from_str(text).map_err(unreadable);
        }
        spell_out_defense(&mut table, overrides);
        for (key, value) in overrides {
            run::replace_other_length(&mut table, key);
            overrides::apply(&mut table, key, value)?;
        }
        run::refuse_two_lengths(&table)?;
        table.try_into().map_err(unreadable)
    }

    /// Reads a configuration whose epochs were [turned into steps](Self::settle_steps), so that it has both.
    ///
    /// # Errors
    /// As [`TrainConfig::from_toml`].
    pub fn resolved_from_toml(text: &str, overrides: &[(&str, &str)]) -> Result<Self> {
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| Error::UnreadableConfig { detail: error.to_string() })?;
        if table.contains_key("epochs") {
            drop(table.remove("steps"));
        }
        Self::from_toml(&table.to_string(), overrides)
    }

    /// Checks that the values make sense together.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with every problem.
    pub fn validate(&self) -> Result<()> {
        let mut problems = self.own_problems();
        problems.extend(self.weights.iter().flat_map(WeightsConfig::problems));
        problems.extend(self.data.problems());
        problems.extend(self.defense.problems());
        problems.extend(self.evaluation.problems());
        if problems.is_empty() { Ok(()) } else { Err(Error::InvalidConfig { problems }) }
    }

    /// What the optimizer needs to know.
    #[must_use]
    pub fn adam(&self) -> AdamSettings {
        AdamSettings { learning_rate: self.learning_rate, weight_decay: self.weight_decay }
    }

    fn own_problems(&self) -> Vec<String> {
        let mut problems = self.run_problems();
        match backbone::architecture(&self.backbone) {
            Err(_) => problems.push(format!(
                "backbone \"{}\" is not known; known: {}",
                self.backbone,
                backbone::names().join(", ")
            )),
            Ok(architecture) => {
                problems.extend(architecture.inference_only().map(|reason| {
                    format!("backbone {} is for inference only, and cannot be trained: {reason}", self.backbone)
                }));
                problems.extend(self.problem_of_input_side(architecture));
                problems.extend(self.problems_of_batch_norm(architecture));
            }
        }
        for (key, value) in [("steps", self.steps), ("pairs", self.pairs), ("log_every", self.log_every)] {
            if value == 0 {
                problems.push(format!("{key} must be at least 1, got 0"));
            }
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            problems.push(format!("learning_rate must be above 0, got {}", self.learning_rate));
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            problems.push(format!("weight_decay must be 0 or above, got {}", self.weight_decay));
        }
        problems
    }

    fn problems_of_batch_norm(&self, architecture: &dyn Architecture) -> Vec<String> {
        let mut problems = Vec::new();
        if self.batch_norm == BatchNorm::Frozen {
            return problems;
        }
        if !architecture.has_batch_norm() {
            let with = backbone::with_batch_norm();
            problems.push(format!(
                "batch_norm = \"live\" needs a backbone with batch norm ({with}), and {} has none, or has it folded into its \
                 convolutions; remove the key",
                self.backbone
            ));
        }
        if self.pictures_at_once.is_some() {
            problems.push(
                "batch_norm = \"live\" needs the statistics of whole batches, and pictures_at_once takes them apart; remove \
                 one of the two keys"
                    .to_owned(),
            );
        }
        problems
    }

    fn problem_of_input_side(&self, architecture: &dyn Architecture) -> Option<String> {
        let (side, usual) = (self.input_side?, architecture.input());
        let fits = architecture.sides().allow(side, usual.height) && architecture.sides().allow(side, usual.width);
        let rule = || format!("input_side of {} may be {}, got {side}", self.backbone, architecture.sides());
        (!fits).then(rule)
    }
}

/// Makes a table of a defense written as one string, where a key below it is to be set.
fn spell_out_defense(table: &mut toml::Table, overrides: &[(&str, &str)]) {
    let below = overrides.iter().any(|(key, _)| key.trim().starts_with("defense."));
    if below && let Some(name @ toml::Value::String(_)) = table.get("defense").cloned() {
        table.insert("defense".to_owned(), toml::Table::from_iter([("name".to_owned(), name)]).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defense::hardness_manipulation::{Destination, HardnessManipulationConfig};
    use crate::defense::intra_class_structure::IntraClassStructure;
    use crate::miner::Hardness;

    fn hardness_manipulation(config: &TrainConfig) -> &HardnessManipulationConfig {
        match &config.defense {
            DefenseConfig::HardnessManipulation(defense) => defense,
            other => panic!("not hardness manipulation: {other:?}"),
        }
    }

    #[test]
    fn an_experiment_reads_as_the_paper_writes_it() {
        let text = r#"
            [defense]
            name = "hardness_manipulation"
            source = "softhard"
            destination = { mined = "semihard" }
            intra_class_structure = { weight = 0.25 }
            early_stop = false
            [defense.pgd]
            epsilon = "77/255"
            alpha = "12/255"
            steps = 8
        "#;

        let config = TrainConfig::from_toml(text, &[]).unwrap();

        let defense = hardness_manipulation(&config);
        assert_eq!(defense.destination, Destination::Mined(Hardness::Semihard));
        assert_eq!(defense.intra_class_structure, Some(IntraClassStructure { weight: 0.25, margin: 0.0 }));
        assert_eq!((defense.pgd.epsilon, defense.pgd.alpha, defense.pgd.steps), (77.0 / 255.0, 12.0 / 255.0, 8));
        assert!(!defense.early_stop);
        assert_eq!(config.defense.build().name(), "HM[S,M]&ICS(lambda=0.25)");
        config.validate().unwrap();
    }

    #[test]
    fn destinations_are_gradual_or_mined_or_constant_and_nothing_else() {
        let read = |destination: &str| {
            let text = format!("defense = {{ name = \"hardness_manipulation\", destination = {destination} }}");
            TrainConfig::from_toml(&text, &[]).map(|config| config.defense.build().name())
        };

        assert_eq!(read("\"gradual\"").unwrap(), "HM[S,gLGA]");
        assert_eq!(read("{ gradual = { shape = \"square\" } }").unwrap(), "HM[S,g2]");
        assert_eq!(read("{ gradual = { shape = \"square_root\", u = 2.2 } }").unwrap(), "HM[S,g1/2](u=2.2)");
        assert_eq!(read("{ boosted = { mined = \"semihard\", xi = 0.3 } }").unwrap(), "HM[S,gB(M)](xi=0.3)");
        assert_eq!(read("{ mined = \"hardest\" }").unwrap(), "HM[S,H]");
        assert_eq!(read("{ constant = -0.1 }").unwrap(), "HM[S,-0.1]");
        assert_eq!(read("{ constant = 0 }").unwrap(), "HM[S,0]");
        assert!(read("{ constant = 0.0, mined = \"hardest\" }").is_err());
        for wrong in ["\"semihard\"", "\"mined\"", "-0.1", "{ gradual = { shap = \"square\" } }", "{ boosted = {} }"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_known_ones() {
        for (text, overrides) in [("learning_rat = 0.1", vec![]), ("", vec![("learning_rat", "0.1")])] {
            let message = TrainConfig::from_toml(text, &overrides).unwrap_err().to_string();
            assert!(message.contains("`learning_rat`") && message.contains("`learning_rate`"), "{message}");
        }
        let nested = TrainConfig::from_toml("steps = 1", &[("data.toy_shop.colour", "1")]).unwrap_err().to_string();
        assert!(nested.contains("`colour`") && nested.contains("data.toy_shop"), "{nested}");
    }

    #[test]
    fn overrides_replace_single_values_of_the_text() {
        let text = "steps = 5\n[defense]\nname = \"hardness_manipulation\"\nsource = \"random\"";
        let overrides = [
            ("steps", "7"),
            ("defense.source", "semihard"),
            ("defense.destination", "{ constant = -0.2 }"),
            ("data.path", "some/folder"),
        ];

        let config = TrainConfig::from_toml(text, &overrides).unwrap();

        assert_eq!(config.steps, 7);
        assert_eq!(hardness_manipulation(&config).source, Hardness::Semihard);
        assert_eq!(hardness_manipulation(&config).destination, Destination::Constant(-0.2));
        assert_eq!(config.data.path.unwrap().to_str(), Some("some/folder"));
    }

    #[test]
    fn an_override_names_a_defense_as_the_paper_does_or_changes_one_that_a_file_names_so() {
        let budget = |config: &TrainConfig| match &config.defense {
            DefenseConfig::Act(act) => act.pgd.steps,
            other => panic!("not ACT: {other:?}"),
        };
        let table = "[defense]\nname = \"HM[S,gLGA]&ICS\"\npgd = { epsilon = \"8/255\", alpha = \"1/255\", steps = 8 }";

        let whole = TrainConfig::from_toml(table, &[("defense", "ACT[R]")]).unwrap();
        let name_alone = TrainConfig::from_toml(table, &[("defense.name", "ACT[R]")]).unwrap();
        let margin = TrainConfig::from_toml("defense = \"ACT[M]\"", &[("defense.mining_margin", "0.2")]).unwrap();

        assert_eq!((budget(&whole), budget(&name_alone)), (32, 8));
        assert_eq!(margin.defense.build().name(), "ACT[M]");
        assert!(matches!(margin.defense, DefenseConfig::Act(act) if act.mining_margin == 0.2));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let text = r#"
            backbone = "vgg"
            steps = 0
            learning_rate = nan
            [data]
            train_share = 1.5
            [defense]
            name = "hardness_manipulation"
            destination = { constant = 3.0 }
            pgd = { epsilon = 0.0, alpha = "1/255", steps = 8 }
            [evaluation]
            attacks = "QA+,XYZ"
        "#;

        let message = TrainConfig::from_toml(text, &[]).unwrap().validate().unwrap_err().to_string();

        let expected = ["7 problem(s)", "vgg", "steps", "learning_rate", "train_share", "constant", "epsilon", "XYZ"];
        for part in expected {
            assert!(message.contains(part), "\"{part}\" is missing in {message}");
        }
    }

    #[test]
    fn live_batch_norms_need_a_backbone_that_has_them_and_whole_batches() {
        let config = TrainConfig::from_toml("backbone = \"c2f2\"\nbatch_norm = \"live\"\npictures_at_once = 8", &[]);
        let text = config.unwrap().validate().unwrap_err().to_string();
        assert!(text.contains("(resnet18, resnet50), and c2f2 has none"), "{text}");
        assert!(text.contains("pictures_at_once takes them apart"), "{text}");

        let config = TrainConfig::from_toml("backbone = \"resnet50\"\nbatch_norm = \"live\"", &[]).unwrap();
        config.validate().unwrap();
    }

    #[test]
    fn a_backbone_for_inference_only_is_refused_with_its_reason() {
        let config = TrainConfig::from_toml("backbone = \"candle_dinov2_vits14\"", &[]).unwrap();
        let text = config.validate().unwrap_err().to_string();
        assert!(text.contains("for inference only") && text.contains("train dinov2_vits14"), "{text}");
    }

    #[test]
    fn the_defaults_are_valid_and_survive_being_written_down() {
        let config = TrainConfig::default();

        config.validate().unwrap();
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<TrainConfig>(json).unwrap(), config);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(TrainConfig::from_toml(&text, &[]).unwrap(), config);
    }
}
