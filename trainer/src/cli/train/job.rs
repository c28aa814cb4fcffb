//! A run under way: steps, probes, checkpoints, and what happens when the net collapses.

use anyhow::Context;
use holdfast_model::EmbeddingNet;
use holdfast_trainer::config::{BestBy, EvaluationConfig, OnCollapse, TrainConfig};
use holdfast_trainer::dataset::Splits;
use holdfast_trainer::probe::HeldOut;
use holdfast_trainer::train::{Trainer, TrainingState};
use holdfast_trainer::training_state::Softened;

use super::saving::{History, Run};
use crate::cli::interrupt::Interrupt;
use crate::cli::{evaluate, failure};
use crate::progress::Training;

/// Queries of the attacks by which the best net is told.
const ERS_QUERIES: usize = 32;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    AllSteps,
    Interrupted,
    Collapsed,
}

/// A training run with its surroundings.
pub struct Job<'a> {
    run: &'a Run<'a>,
    splits: &'a Splits,
    /// As configured, but for the steps of the inner attack once it was softened.
    config: TrainConfig,
    trainer: Trainer,
    held_out: Option<HeldOut>,
    history: History,
    /// The state at the latest probe that found the net sound, where a collapse leads back to it.
    sound: Option<TrainingState>,
    /// Steps made by the net that lies on disk.
    saved: Option<usize>,
}

impl<'a> Job<'a> {
    /// A run before its first step.
    ///
    /// # Errors
    /// If the configuration or the data cannot train this net.
    pub fn fresh(run: &'a Run<'a>, splits: &'a Splits, net: &EmbeddingNet) -> anyhow::Result<Self> {
        let trainer = Trainer::new(net, &splits.train, run.config)?;
        let mut job = Self::with(run, splits, run.config.clone(), trainer, History::default())?;
        job.probe()?;
        Ok(job)
    }

    /// A run that goes on from this state.
    ///
    /// # Errors
    /// If the state does not fit the configuration or the data.
    pub fn resumed(
        run: &'a Run<'a>,
        splits: &'a Splits,
        state: TrainingState,
        history: History,
    ) -> anyhow::Result<Self> {
        let mut config = run.config.clone();
        for _softened in &history.softened {
            config.defense = config.softened_defense().map_or(config.defense, |(defense, _)| defense);
        }
        let trainer = Trainer::resume(&state, &splits.train, &config)?;
        let mut job = Self::with(run, splits, config, trainer, history)?;
        job.saved = Some(state.log.len());
        job.sound = Some(state).filter(|_| job.goes_back());
        Ok(job)
    }

    fn with(
        run: &'a Run<'a>,
        splits: &'a Splits,
        config: TrainConfig,
        trainer: Trainer,
        history: History,
    ) -> anyhow::Result<Self> {
        let held_out = match config.probe_every {
            0 => None,
            _ => HeldOut::choose(&splits.test, config.probe_pictures, &trainer.net()?)?,
        };
        if let Some(shared) = held_out.as_ref().map(|set| set.shared_with_evaluation(config.evaluation.gallery))
            && shared > 0
        {
            eprintln!(
                "note: {shared} of the held-out pictures are in the evaluation's gallery too: the test set is small"
            );
        }
        Ok(Self { run, splits, config, trainer, held_out, history, sound: None, saved: None })
    }

    /// Steps, probes and checkpoints until the last step, Ctrl-C, or a collapse that ends the run.
    ///
    /// # Errors
    /// If a number is not finite, or the last checkpoint cannot be written; the message says what is on disk.
    pub fn go(&mut self, interrupt: &Interrupt) -> anyhow::Result<Ended> {
        let mut progress = Training::new(self.config.steps, self.config.log_every);
        let ended = self.steps(interrupt, &mut progress);
        progress.finish();
        let ended = ended.with_context(|| format!("training the net ({})", self.on_disk()))?;
        self.save().with_context(|| format!("after {} steps ({})", self.trainer.steps(), self.on_disk()))?;
        Ok(ended)
    }

    fn steps(&mut self, interrupt: &Interrupt, progress: &mut Training) -> anyhow::Result<Ended> {
        while self.trainer.steps() < self.config.steps {
            progress.step(self.trainer.step()?);
            let step = self.trainer.steps();
            let is_last = step == self.config.steps;
            if (is_last || self.is_due(self.config.probe_every)) && self.probe()? && !self.answer_collapse()? {
                return Ok(Ended::Collapsed);
            }
            if interrupt.pressed() {
                return Ok(Ended::Interrupted);
            }
            if !is_last && self.is_due(self.config.checkpoint_every) {
                self.save_or_tell();
            }
        }
        Ok(Ended::AllSteps)
    }

    fn is_due(&self, every: usize) -> bool {
        every > 0 && self.trainer.steps().is_multiple_of(every)
    }

    /// Looks at the held-out pictures, keeps what is worth keeping, and tells whether the net has collapsed.
    fn probe(&mut self) -> anyhow::Result<bool> {
        let Some(held_out) = &self.held_out else { return Ok(false) };
        let (net, step) = (self.trainer.net()?, self.trainer.steps());
        let mut probe = held_out.probe(&net, step, &self.history.probes)?;
        if self.config.best_by == BestBy::Ers {
            let attacks = "all".to_owned();
            let evaluation = EvaluationConfig {
                attacks,
                gallery: self.config.probe_pictures,
                queries: ERS_QUERIES,
                ..self.config.evaluation.clone()
            };
            probe.ers = evaluate::measure(&net, &self.splits.test, &evaluation, self.config.seed)?.ers;
        }
        let collapsed = probe.collapsed;
        self.history.probes.push(probe);
        let is_best = self.history.best(self.config.best_by).is_some_and(|(best, _)| best == step);
        if !collapsed && self.goes_back() {
            self.sound = Some(self.trainer.state()?);
        }
        if is_best && let Err(error) = self.run.save(&self.run.best(), &self.trainer.state()?, &self.history, None) {
            eprintln!("warning: the best net so far was not saved: {}", failure::message(&error));
        }
        Ok(collapsed)
    }

    fn goes_back(&self) -> bool {
        self.config.on_collapse != OnCollapse::Warn
    }

    /// Does what the configuration says about a collapse; returns whether training goes on.
    fn answer_collapse(&mut self) -> anyhow::Result<bool> {
        let step = self.trainer.steps();
        match self.config.on_collapse {
            OnCollapse::Warn => {
                eprintln!("warning: {}", self.history.warnings().last().map_or("", |warning| warning));
                Ok(true)
            }
            OnCollapse::Stop => {
                eprintln!("the net has collapsed at step {step}: training ends");
                self.end(step);
                Ok(false)
            }
            OnCollapse::LowerHardness => self.soften(step),
        }
    }

    /// Leaves the last sound net as the result, if there is one.
    fn end(&mut self, step: usize) {
        if let Some(sound) = &self.sound {
            self.history = self.history.until(sound.log.len());
            self.history.ended_at = Some(step);
        }
    }

    /// Goes back to where the net was sound, and on with half the steps of the inner attack, if there is such a place and
    /// such an attack.
    fn soften(&mut self, step: usize) -> anyhow::Result<bool> {
        let (Some(sound), Some((defense, attack_steps))) = (&self.sound, self.config.softened_defense()) else {
            eprintln!("the net has collapsed at step {step}, and no inner attack can be made easier: training ends");
            self.end(step);
            return Ok(false);
        };
        let back_to = sound.log.len();
        self.config.defense = defense;
        self.trainer = Trainer::resume(sound, &self.splits.train, &self.config)?;
        self.history = self.history.until(back_to);
        self.history.softened.push(Softened { collapsed_at: step, back_to, attack_steps });
        eprintln!(
            "the net has collapsed at step {step}: back to step {back_to}, and on with {attack_steps} steps of the inner \
             attack"
        );
        Ok(true)
    }

    /// A checkpoint on the way. A full disk now may have room again at the next one, so that it does not end the run.
    fn save_or_tell(&mut self) {
        if let Err(error) = self.save() {
            eprintln!(
                "warning: no checkpoint after step {}: {} ({}); training goes on",
                self.trainer.steps(),
                failure::message(&error),
                self.on_disk()
            );
        }
    }

    /// Saves the net as it is; where a collapse leads back, as it was when it was last found sound, so that a run which
    /// goes on from the checkpoint can go back just as this one can.
    fn save(&mut self) -> anyhow::Result<()> {
        let state = self.state()?;
        self.run.save(self.run.out, &state, &self.history, None)?;
        self.saved = Some(state.log.len());
        Ok(())
    }

    /// What a checkpoint holds now.
    ///
    /// # Errors
    /// If there is no memory for a copy of the parameters.
    pub fn state(&self) -> anyhow::Result<TrainingState> {
        match &self.sound {
            Some(sound) if self.trainer.steps() < self.config.steps || self.history.ended_at.is_some() => {
                Ok(sound.clone())
            }
            _ => Ok(self.trainer.state()?),
        }
    }

    /// What was seen of the net.
    pub fn history(&self) -> &History {
        &self.history
    }

    fn on_disk(&self) -> String {
        let out = self.run.out.display();
        match self.saved {
            Some(steps) => format!(
                "the checkpoint in {out} holds the net after {steps} steps; holdfast-trainer train --resume {out} goes on \
                 from there"
            ),
            None => "no checkpoint was written yet".to_owned(),
        }
    }
}
