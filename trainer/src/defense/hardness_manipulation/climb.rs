//! The inner attack of hardness manipulation: move pixels until triplets are as hard as their destination.
//!
//! J = mean over T of max(0, destination − H)². A triplet that has arrived has no gradient, so its pixels stay, so it
//! has no gradient in any later step either: the attack ends for it, triplet by triplet.

use std::ops::ControlFlow;

use candle_core::Tensor;
use holdfast_attack::Pgd;
use holdfast_model::{Embedder, EmbeddingNet, Result};

use crate::defense::inner_attack::{Attacked, Observer};
use crate::miner::rows;
use crate::triplet::Embedded;

/// Which triplets the forward passes of an attack embed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All, in every step: the definition.
    Every,
    /// Those that have not arrived: the same pixels for less work.
    Moving,
}

/// An attack under way.
#[derive(Debug)]
pub struct Climb {
    net: EmbeddingNet,
    destination: Tensor,
    coverage: Coverage,
    triplets: usize,
    moving: Vec<usize>,
}

impl Climb {
    /// An attack on this net towards one hardness a triplet: (T).
    ///
    /// The net's weights are detached here, so that no step computes their gradients.
    ///
    /// # Errors
    /// If the destination is no vector.
    pub fn new(net: &EmbeddingNet, destination: &Tensor, coverage: Coverage) -> Result<Self> {
        let triplets = destination.dims1()?;
        Ok(Self {
            net: net.packed()?,
            destination: destination.detach(),
            coverage,
            triplets,
            moving: (0..triplets).collect(),
        })
    }

    /// Leaves out the triplets whose benign hardness (T), known from elsewhere, has arrived already.
    ///
    /// They would be left out after the first step, which is the largest.
    ///
    /// # Errors
    /// If there is not one hardness a triplet.
    pub fn starting_at(mut self, hardness: &Tensor) -> Result<Self> {
        if self.coverage == Coverage::Moving {
            self.drop_arrived(&shortfall(hardness, &self.destination)?)?;
        }
        Ok(self)
    }

    /// Attacks benign pictures `[anchors; positives; negatives]` (3T, C, H, W).
    ///
    /// With `early_stop`, the attack ends once two consecutive objectives differ by less than 1e-7; the update that
    /// revealed it stays.
    ///
    /// # Errors
    /// If the pictures do not fit the net or the destination, or an objective or gradient is not finite.
    pub fn run(
        mut self,
        pgd: &Pgd,
        benign: &Tensor,
        early_stop: bool,
        observe: &mut Observer<'_>,
    ) -> holdfast_attack::Result<Attacked> {
        const STANDSTILL: f64 = 1e-7;
        self.net = self.net.frozen_in(pgd.precision)?;
        let mut objectives: Vec<f64> = Vec::with_capacity(pgd.steps);
        let pixels = pgd.perturb_observed(benign, &mut |pixels| Ok(self.objective(pixels)?), &mut |step| {
            observe(step);
            let previous = objectives.last().copied();
            objectives.push(step.objective);
            match previous {
                Some(previous) if early_stop && (previous - step.objective).abs() < STANDSTILL => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        })?;
        Ok(Attacked { benign: benign.clone(), pixels, objectives })
    }

    /// The objective J of these pixels (3T, C, H, W): a scalar, differentiable in them.
    ///
    /// # Errors
    /// If the pictures do not fit the net or the destination.
    pub fn objective(&mut self, pixels: &Tensor) -> Result<Tensor> {
        if self.moving.is_empty() {
            // All have arrived: J = 0 with a gradient of 0. Times 0, candle would cut the path to the pixels.
            let pixel = pixels.flatten_all()?.get(0)?;
            return Ok(pixel.sub(&pixel)?);
        }
        let (pixels, destination) = self.covered(pixels)?;
        let hardness = Embedded::split(&self.net.embed(&pixels)?)?.hardness()?;
        let missing = shortfall(&hardness, &destination)?;
        if self.coverage == Coverage::Moving {
            self.drop_arrived(&missing)?;
        }
        mean_square(&missing, self.triplets)
    }

    fn covered(&self, pixels: &Tensor) -> Result<(Tensor, Tensor)> {
        if self.moving.len() == self.triplets {
            return Ok((pixels.clone(), self.destination.clone()));
        }
        let part = |offset: usize| self.moving.iter().map(move |triplet| triplet + offset);
        let stack: Vec<usize> = part(0).chain(part(self.triplets)).chain(part(2 * self.triplets)).collect();
        Ok((rows(pixels, &stack)?, rows(&self.destination, &self.moving)?))
    }

    fn drop_arrived(&mut self, missing: &Tensor) -> Result<()> {
        let missing = missing.detach().to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()?;
        let mut missing = missing.iter();
        self.moving.retain(|_| missing.next() != Some(&0.0));
        Ok(())
    }
}

/// max(0, destination − hardness), triplet by triplet: 0 for those that have arrived, and their gradient with it.
///
/// # Errors
/// If the two have different lengths.
pub fn shortfall(hardness: &Tensor, destination: &Tensor) -> Result<Tensor> {
    Ok(holdfast_ops::relu(&(destination - hardness)?)?)
}

/// The mean square over `triplets` of shortfalls, of which any that are left out are 0: a scalar.
///
/// # Errors
/// If a tensor operation fails.
pub fn mean_square(shortfalls: &Tensor, triplets: usize) -> Result<Tensor> {
    Ok((shortfalls.sqr()?.sum_all()? / triplets as f64)?)
}
