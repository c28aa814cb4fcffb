//! The attack inside a training step: pictures moved along the gradient of an objective of their embeddings.

use std::ops::ControlFlow;

use candle_core::Tensor;
use holdfast_attack::{Pgd, Step};
use holdfast_model::{Embedder, EmbeddingNet};

/// What an attack lowers: gets the number of updates made and the embeddings (B, D), returns a scalar.
pub type Objective<'a> = dyn FnMut(usize, &Tensor) -> holdfast_model::Result<Tensor> + 'a;

/// Sees each pixel update.
pub type Observer<'a> = dyn FnMut(&Step<'_>) + 'a;

/// The run of an attack, from its start to its end.
#[derive(Clone, Debug)]
pub struct Attacked {
    /// The pictures before the attack: (B, C, H, W).
    pub benign: Tensor,
    /// The same pictures after it, detached.
    pub pixels: Tensor,
    /// The objective before each update that was made.
    pub objectives: Vec<f64>,
}

impl Attacked {
    /// Pictures (B, C, H, W) that nobody attacked.
    #[must_use]
    pub fn untouched(benign: Tensor) -> Self {
        Self { pixels: benign.clone(), benign, objectives: Vec::new() }
    }
}

/// An attack on a net that is being trained: it sees the net's latest parameters and computes no gradient of them.
#[derive(Clone, Copy, Debug)]
pub struct InnerAttack<'a> {
    /// The net under attack.
    pub net: &'a EmbeddingNet,
    /// The budget.
    pub pgd: &'a Pgd,
    /// The attack ends where its objective is below this, before another update is made; with none, it never does.
    pub enough: Option<f64>,
}

impl InnerAttack<'_> {
    /// Attacks benign pictures (B, C, H, W).
    ///
    /// # Errors
    /// If the pictures do not fit the net, or an objective or gradient is not finite.
    pub fn run(
        &self,
        benign: &Tensor,
        objective: &mut Objective<'_>,
        observe: &mut Observer<'_>,
    ) -> holdfast_attack::Result<Attacked> {
        let net = self.net.frozen_in(self.pgd.precision)?;
        let mut evaluations = 0..;
        let mut loss = |pixels: &Tensor| {
            let updates = evaluations.next().expect("the range has no end. This is a bug.");
            Ok(objective(updates, &net.embed(pixels)?)?)
        };
        let mut attacked = Attacked::untouched(benign.clone());
        self.pgd.perturb_observed(benign, &mut loss, &mut |step| {
            if self.enough.is_some_and(|enough| step.objective < enough) {
                // The loop shows an update after it was made: this one is left out.
                return ControlFlow::Break(());
            }
            attacked.pixels = step.pixels.clone();
            attacked.objectives.push(step.objective);
            observe(step);
            ControlFlow::Continue(())
        })?;
        Ok(attacked)
    }
}
