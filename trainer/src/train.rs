//! The training loop.

use std::ops::ControlFlow;
use std::time::Instant;

use holdfast_model::{Embedder, EmbeddingNet};

use crate::batch::Progress;
use crate::batches::Batches;
use crate::config::TrainConfig;
use crate::dataset::Dataset;
use crate::defense::{StepLoss, mean};
use crate::error::{Error, Result};
use crate::optimizer::Adam;
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
    config.validate()?;
    check(dataset, &net)?;
    let (learner, parameters) = net.trainable()?;
    let learner = match config.pictures_at_once {
        Some(pictures) => learner.in_parts(pictures),
        None => learner,
    };
    drop(net); // its parameters were copied
    let mut optimizer = Adam::new(parameters, config.adam())?;
    let mut defense = config.defense.build();
    let mut batches = Batches::starting_at(1, dataset, config);
    let mut mining = stream(config.seed, Purpose::Mining);
    let mut log: Vec<StepLog> = Vec::new();

    for step in 1..=config.steps {
        let started = Instant::now();
        let failed = |source| Error::Step { step, source: Box::new(source) };

        let progress = Progress { done: step - 1, steps: config.steps };
        let batch = batches.next_batch(learner.device(), learner.dtype()).map_err(failed)?.at(progress);
        let loss = defense.loss(&learner, &batch, &mut mining).and_then(finite).map_err(failed)?;
        optimizer.step(&loss.loss.backward()?).map_err(failed)?;

        log.push(StepLog::new(step, &loss, started.elapsed(), batch.pictures())?);
        if watch(&log[step - 1]).is_break() {
            break;
        }
    }
    Ok(Trained { net: learner.packed()?, steps: log.len(), interrupted: log.len() < config.steps, log })
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
