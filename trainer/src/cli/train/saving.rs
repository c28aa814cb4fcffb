//! What a run leaves on disk: checkpoints that know how they came about, and how to go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use holdfast_attack::Report;
use holdfast_model::checkpoint::{self, DatasetFingerprint, NewCheckpoint};
use holdfast_trainer::config::{BestBy, TrainConfig};
use holdfast_trainer::probe::Probe;
use holdfast_trainer::train::TrainingState;
use holdfast_trainer::training_state::{LOG, RECORD, Record, Softened, TENSORS, log_to_bytes, tensors_to_bytes};

use crate::cli::scores;
use crate::curves;

/// What describes a run, whatever it learns.
pub struct Run<'a> {
    pub config: &'a TrainConfig,
    pub dataset: DatasetFingerprint,
    pub defense: String,
    pub out: &'a Path,
}

/// What a run has seen of itself.
#[derive(Clone, Default)]
pub struct History {
    pub probes: Vec<Probe>,
    pub softened: Vec<Softened>,
    /// Where a collapse ended the run.
    pub ended_at: Option<usize>,
}

impl History {
    /// The history up to a step that the run went back to, or was saved at.
    pub fn until(&self, step: usize) -> Self {
        let probes = self.probes.iter().filter(|probe| probe.step <= step).cloned().collect();
        Self { probes, softened: self.softened.clone(), ended_at: self.ended_at }
    }

    /// The step and value of the best probe of a trained net, by what the best is told.
    pub fn best(&self, by: BestBy) -> Option<(usize, f64)> {
        let trained = self.probes.iter().filter(|probe| probe.step > 0 && !probe.collapsed);
        let values = trained.filter_map(|probe| Some((probe.step, by.value(probe)?)));
        // The first of equals, which is the one that was kept.
        values.reduce(|best, next| if next.1 > best.1 { next } else { best })
    }

    /// Whether the latest probe found a collapsed net.
    pub fn is_collapsed(&self) -> bool {
        self.probes.last().is_some_and(|probe| probe.collapsed)
    }

    /// What whoever uses the net must know.
    pub fn warnings(&self) -> Vec<String> {
        let went_back = |softened: &Softened| {
            let Softened { collapsed_at, back_to, attack_steps } = softened;
            format!(
                "At step {collapsed_at} the net had collapsed. Training went back to step {back_to}, and from there on with \
                 {attack_steps} steps of the inner attack instead of those in the configuration."
            )
        };
        let mut warnings: Vec<String> = self.softened.iter().map(went_back).collect();
        warnings.extend(self.ended_at.map(|step| {
            format!(
                "At step {step} the net had collapsed, and training ended. This is the last net that was found sound."
            )
        }));
        let seen = |probe: &Probe| {
            format!(
                "R@1 on held-out pictures {:.1} % where chance is {:.1} %, mean distance of two embeddings {:.4}",
                probe.recall_at_1, probe.chance, probe.mean_distance
            )
        };
        let collapsed: Vec<&Probe> = self.probes.iter().filter(|probe| probe.collapsed).collect();
        match (collapsed.last(), self.is_collapsed()) {
            (Some(probe), true) => warnings.push(format!(
                "The net has collapsed (step {}: {}): it cannot tell pictures apart, and no robustness score makes it \
                 useful. Train with a weaker inner attack, another destination or a lower learning rate.",
                probe.step,
                seen(probe)
            )),
            (Some(probe), false) => {
                warnings.push(format!(
                    "The net had collapsed at step {} ({}), and recovered.",
                    probe.step,
                    seen(probe)
                ));
            }
            (None, _) => {}
        }
        warnings
    }
}

impl Run<'_> {
    /// Where the best net so far is kept: beside the last one, `robust.best` for `robust`.
    pub fn best(&self) -> PathBuf {
        let mut name = self.out.file_name().unwrap_or(self.out.as_os_str()).to_owned();
        name.push(".best");
        self.out.with_file_name(name)
    }

    /// Writes a checkpoint of this state to `folder`, with the report if there is one.
    ///
    /// # Errors
    /// If a weight is not finite, or the disk refuses; an older checkpoint there is then untouched.
    pub fn save(
        &self,
        folder: &Path,
        state: &TrainingState,
        history: &History,
        report: Option<&Report>,
    ) -> anyhow::Result<()> {
        let (steps, history) = (state.log.len(), history.until(state.log.len()));
        let title = format!("{} on {}, {steps} steps", self.defense, self.dataset.name);
        let curves = curves::draw(&title, &state.log).map_err(anyhow::Error::msg).context("drawing the curves")?;
        let report_json = report.map(serde_json::to_value).transpose().context("writing the report as JSON")?;
        let record = Record::new(state, self.config, &history.probes, &history.softened);
        let record = Record { ended_at: history.ended_at, ..record };
        let record = serde_json::to_vec_pretty(&record).context("writing the training state as JSON")?;
        let (tensors, log) = (tensors_to_bytes(state)?, log_to_bytes(&state.log));
        let new = NewCheckpoint {
            net: &state.net,
            config: &serde_json::to_value(self.config).context("writing the configuration as JSON")?,
            seed: self.config.seed,
            steps: steps as u64,
            defense: &self.defense,
            dataset: &self.dataset,
            metrics: &report.map(headlines).unwrap_or_default(),
            warnings: &history.warnings(),
            created: jiff::Timestamp::now(),
            report: report_json.as_ref(),
            attachments: &[("curves.svg", curves.as_bytes()), (LOG, &log), (TENSORS, &tensors), (RECORD, &record)],
        };
        checkpoint::save(folder, &new).context("saving the checkpoint")?;
        Ok(())
    }
}

/// The numbers that the manifest and the model card show.
fn headlines(report: &Report) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::from([
        ("recall_at_1".to_owned(), report.recall_at_1),
        ("recall_at_2".to_owned(), report.recall_at_2),
        ("mean_average_precision".to_owned(), report.mean_average_precision),
    ]);
    let shared = report.normalized_mutual_information;
    metrics.extend(shared.map(|shared| ("normalized_mutual_information".to_owned(), shared)));
    metrics.extend(scores::worst_recall_at_1(report).map(|recall| ("recall_at_1_under_attack".to_owned(), recall)));
    metrics.extend(report.attacks.iter().map(|(name, attack)| (format!("score {name}"), attack.score)));
    metrics.extend(report.ers.map(|ers| ("ers".to_owned(), ers)));
    metrics
}
