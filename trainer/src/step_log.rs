//! What a training run reports of each step.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::defense::{StepLoss, mean};
use crate::error::Result;

/// What happened in one step.
///
/// Numbers have nine significant digits, all that an f32 has, so that they are the same after a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
            loss: rounded(mean(&loss.loss)?),
            triplet: rounded(loss.triplet),
            intra_class: loss.intra_class.map(rounded),
            source_hardness: rounded(loss.hardness.source),
            destination_hardness: loss.hardness.destination.map(rounded),
            adversarial_hardness: loss.hardness.adversarial.map(rounded),
            pgd_steps: loss.attack.as_ref().map_or(0, |attack| attack.objectives.len()),
            seconds: rounded(duration.as_secs_f64()),
            pictures,
        })
    }
}

/// The number with nine significant digits that is nearest: few enough for JSON readers to give back the same bits.
pub(crate) fn rounded(value: f64) -> f64 {
    format!("{value:.8e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_a_file_to_the_last_bit() {
        for value in [1.0 / 3.0, -2e-7 / 3.0, 0.1f64 + 0.2, 0.0, 1234.567890123, f64::from(0.1f32)] {
            let written = rounded(value);

            let read: f64 = serde_json::from_str(&serde_json::to_string(&written).unwrap()).unwrap();

            assert_eq!(read.to_bits(), written.to_bits());
            assert!((written - value).abs() <= 5e-9 * value.abs());
        }
    }
}
