//! The empirical robustness score: ten attack scores, 0 to 100 nominally, and their mean.
//!
//! Higher is better for the defender. A net that maps everything to one point scores about 30, so R@1 belongs beside it.
//!
//! Source: arXiv 2106.03614.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// The ten terms. The list is closed: another attack never changes what the score means.
pub const ERS_TERMS: [&str; 10] = ["CA+", "CA-", "QA+", "QA-", "TMA", "ES:D", "ES:R", "LTM", "GTM", "GTT"];

/// The score of a mean raw outcome (percent, cosine or distance), or nothing for a name that no attack reports.
///
/// Outcomes of attacks outside the score are scored as the terms that they resemble.
///
/// Not clipped: above 100 or below 0 where the attack backfires.
#[must_use]
pub fn score(name: &str, raw_mean: f64) -> Option<f64> {
    match name {
        // A rank of 50 % is what a random position would give.
        "CA+" | "QA+" | "SPQA+" => Some(2.0 * raw_mean),
        "CA-" | "QA-" | "SPQA-" => Some(100.0 - raw_mean),
        "TMA" => Some(100.0 * (1.0 - raw_mean)),
        // No two points of the unit sphere are farther apart than 2.
        "ES:D" | "NES:D" => Some(100.0 * (2.0 - raw_mean) / 2.0),
        "ES:R" | "NES:R" | "LTM" | "GTM" | "GTT" => Some(raw_mean),
        _ => None,
    }
}

/// The empirical robustness score of the ten scores by name.
///
/// # Errors
/// If one is missing: a mean of fewer is another number and is not called ERS.
pub fn ers(scores: &BTreeMap<String, f64>) -> Result<f64> {
    let missing: Vec<_> = ERS_TERMS.into_iter().filter(|&term| !scores.contains_key(term)).collect();
    if !missing.is_empty() {
        return Err(Error::Incomplete { missing });
    }
    let sum: f64 = ERS_TERMS.iter().map(|&term| scores[term]).sum();
    Ok(sum / ERS_TERMS.len() as f64)
}
