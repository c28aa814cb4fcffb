//! The training loop.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use holdfast_model::{Embedder, EmbeddingNet};
use rand_chacha::ChaCha8Rng;

use crate::batch::Progress;
use crate::batches::Batches;
use crate::config::TrainConfig;
use crate::dataset::Dataset;
use crate::defense::{Defense, StepLoss, mean};
use crate::error::{Error, Result};
use crate::optimizer::{Adam, Moments};
use crate::random::{Purpose, stream};
use crate::step_log::StepLog;

/// The end of a training run.
#[derive(Debug)]
pub struct Trained {
    /// The net after the last step, its parameters plain tensors.
    pub net: EmbeddingNet,
    /// One entry a step.
    pub log: Vec<StepLog>,
    /// The number of steps made.
    pub steps: usize,
    /// Whether the watcher ended the run before its last step.
    pub interrupted: bool,
}

/// Trains a net on a data set, as the configuration says.
///
/// `watch` sees every step and may end the run after it; what was learned until then is returned. The result depends on
/// the net, the data, and the configuration with its seed, and on nothing else: on the CPU to the last bit.
///
/// # Errors
/// If the configuration or the data cannot train this net, or a loss is not finite.
pub fn train(
    net: EmbeddingNet,
    dataset: &Dataset,
    config: &TrainConfig,
    watch: &mut dyn FnMut(&StepLog) -> ControlFlow<()>,
) -> Result<Trained> {
    let mut trainer = Trainer::new(&net, dataset, config)?;
    drop(net); // its parameters were copied
    while trainer.steps() < config.steps {
        if watch(trainer.step()?).is_break() {
            break;
        }
    }
    let (net, steps) = (trainer.net()?.packed()?, trainer.steps());
    Ok(Trained { net, steps, interrupted: steps < config.steps, log: trainer.log })
}

/// A training run between two steps.
pub struct Trainer {
    learner: EmbeddingNet,
    optimizer: Adam,
    defense: Box<dyn Defense>,
    batches: Batches,
    /// Steps of the whole run.
    length: usize,
    mining: ChaCha8Rng,
    log: Vec<StepLog>,
}

/// What a run needs to go on exactly as if it had never paused. Later steps do not change it.
#[derive(Clone, Debug)]
pub struct TrainingState {
    /// The net, a copy of its own.
    pub net: Arc<EmbeddingNet>,
    /// The optimizer's moments by the name of their parameter.
    pub moments: BTreeMap<String, Moments>,
    /// How many words of its stream the miner has drawn.
    pub mining_position: u128,
    /// What the defense carries from step to step, by name.
    pub defense: Vec<(String, f64)>,
    /// One entry a step made.
    pub log: Vec<StepLog>,
}

impl Trainer {
    /// A run before its first step. The net's parameters are copied.
    ///
    /// # Errors
    /// If the configuration or the data cannot train this net.
    pub fn new(net: &EmbeddingNet, dataset: &Dataset, config: &TrainConfig) -> Result<Self> {
        config.validate()?;
        check(dataset, net)?;
        let (learner, parameters) = net.trainable()?;
        let learner = learner.with_batch_norm(config.batch_norm)?;
        let learner = match config.pictures_at_once {
            Some(pictures) => learner.in_parts(pictures),
            None => learner,
        };
        Ok(Self {
            learner,
            optimizer: Adam::new(parameters, config.adam())?,
            defense: config.defense.build(),
            batches: Batches::starting_at(1, dataset, config),
            length: config.steps,
            mining: stream(config.seed, Purpose::Mining),
            log: Vec::new(),
        })
    }

    /// A run that goes on where this state was taken. Steps already made are not repeated; batches are drawn as if.
    ///
    /// # Errors
    /// As [`Trainer::new`], or if the state is of another net or defense.
    pub fn resume(state: &TrainingState, dataset: &Dataset, config: &TrainConfig) -> Result<Self> {
        let mut trainer = Self::new(&state.net, dataset, config)?;
        trainer.optimizer.restore(state.log.len(), &state.moments)?;
        trainer.defense.restore(&state.defense)?;
        trainer.batches = Batches::starting_at(state.log.len() + 1, dataset, config);
        trainer.mining.set_word_pos(state.mining_position);
        trainer.log.clone_from(&state.log);
        Ok(trainer)
    }

    /// Makes one step and tells of it.
    ///
    /// # Errors
    /// If a loss, a hardness or an embedding is not finite, with the number of the step.
    pub fn step(&mut self) -> Result<&StepLog> {
        let (started, step) = (Instant::now(), self.log.len() + 1);
        let failed = |source| Error::Step { step, source: Box::new(source) };

        let progress = Progress { done: step - 1, steps: self.length };
        let batch = self.batches.next_batch(self.learner.device(), self.learner.dtype()).map_err(failed)?.at(progress);
        let loss = self.defense.loss(&self.learner, &batch, &mut self.mining).and_then(finite).map_err(failed)?;
        self.optimizer.step(&loss.loss.backward()?).map_err(failed)?;

        self.log.push(StepLog::new(step, &loss, started.elapsed(), batch.pictures())?);
        Ok(&self.log[step - 1])
    }

    /// The number of steps made.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.log.len()
    }

    /// One entry a step made.
    #[must_use]
    pub fn log(&self) -> &[StepLog] {
        &self.log
    }

    /// The net as it is now, without a graph. It shares its storage with the learner, so that it sees later steps.
    ///
    /// # Errors
    /// If a tensor operation fails.
    pub fn net(&self) -> Result<EmbeddingNet> {
        Ok(self.learner.frozen()?)
    }

    /// What [`Trainer::resume`] needs.
    ///
    /// # Errors
    /// If there is no memory for a copy of the parameters.
    pub fn state(&self) -> Result<TrainingState> {
        let (copy, _variables) = self.learner.trainable()?;
        Ok(TrainingState {
            net: Arc::new(copy.packed()?),
            moments: self.optimizer.moments()?,
            mining_position: self.mining.get_word_pos(),
            defense: self.defense.state().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            log: self.log.clone(),
        })
    }
}

fn check(dataset: &Dataset, net: &EmbeddingNet) -> Result<()> {
    let refuse = |reason: String| Err(Error::UnsuitableData { name: dataset.name.clone(), reason });
    if dataset.input != net.input() {
        return refuse(format!(
            "its pictures are ({}) and {} takes ({})",
            dataset.input,
            net.backbone_name(),
            net.input()
        ));
    }
    match dataset.labels.first() {
        Some(first) if dataset.labels.iter().any(|label| label != first) => Ok(()),
        _ => refuse("a triplet needs two classes, and it has fewer".to_owned()),
    }
}

fn finite(loss: StepLoss) -> Result<StepLoss> {
    let hardness = loss.hardness.adversarial.unwrap_or(loss.hardness.source);
    // A hinge may turn a NaN into 0, so the hardness below it is looked at too.
    for (what, value) in [("the loss", mean(&loss.loss)?), ("the hardness of the triplets", hardness)] {
        if !value.is_finite() {
            return Err(Error::NotFinite { what, value });
        }
    }
    Ok(loss)
}
