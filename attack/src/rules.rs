//! What an attacker may do, and how an attack is read: all that carrying one out needs beside pictures and a name.

use crate::{Conformance, Error, Nes, Pgd};

/// The rules of an attack. From a [`Pgd`] alone, everything else is as published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// How far pixels may move, and how often.
    pub pgd: Pgd,
    /// Whose reading of the attacks is carried out.
    pub conformance: Conformance,
    /// What an attacker may ask who sees no gradient.
    pub nes: Nes,
    /// How steeply SPQA pays for rankings that it spoils, see
    /// [`semantics_preserving`](crate::attacks::semantics_preserving).
    pub semantics_exponent: f64,
}

impl Rules {
    /// SPQA's exponent for Fashion-MNIST and CUB; MNIST has 2e4, Cars and SOP have 7e4.
    pub const SEMANTICS_EXPONENT: f64 = 4e4;

    /// Every value out of range.
    #[must_use]
    pub fn problems(&self) -> Vec<Error> {
        let mut problems = self.pgd.problems();
        problems.extend(self.nes.problems());
        let value = self.semantics_exponent;
        if !(value.is_finite() && value >= 0.0) {
            problems.push(Error::Parameter { name: "semantics_exponent", rule: "0 or above", value });
        }
        problems
    }
}

impl From<Pgd> for Rules {
    fn from(pgd: Pgd) -> Self {
        Self {
            pgd,
            conformance: Conformance::default(),
            nes: Nes::default(),
            semantics_exponent: Self::SEMANTICS_EXPONENT,
        }
    }
}
