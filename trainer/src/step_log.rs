//! What a training run reports of each step.

use std::time::Duration;

use serde::Serialize;

use crate::defense::{StepLoss, mean};
use crate::error::Result;

/// What happened in one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepLog {
    /// The step, from 1.
    pub step: usize,
    /// The total loss.
    pub loss: f64,
    /// The triplet loss alone.
    pub triplet: f64,
    /// The intra-class structure term before its weight, where there is one.
    pub intra_class: Option<f64>,
    /// Mean hardness of the mined triplets.
    pub source_hardness: f64,
    /// Mean hardness that the attack aimed for, where there was one.
    pub destination_hardness: Option<f64>,
    /// Mean hardness of the attacked triplets, where there was an attack.
    pub adversarial_hardness: Option<f64>,
    /// Pixel updates of the attack.
    pub pgd_steps: usize,
    /// Duration of the step.
    pub seconds: f64,
    /// Pictures in the batch.
    pub pictures: usize,
}

impl StepLog {
    pub(crate) fn new(step: usize, loss: &StepLoss, duration: Duration, pictures: usize) -> Result<Self> {
        Ok(Self {
            step,
            loss: mean(&loss.loss)?,
            triplet: loss.triplet,
            intra_class: loss.intra_class,
            source_hardness: loss.hardness.source,
            destination_hardness: loss.hardness.destination,
            adversarial_hardness: loss.hardness.adversarial,
            pgd_steps: loss.attack.as_ref().map_or(0, |attack| attack.objectives.len()),
            seconds: duration.as_secs_f64(),
            pictures,
        })
    }
}
