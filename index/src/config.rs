//! What may be tuned in an index, and what is a legal value.

use crate::{Error, Result};

/// The largest `ef` a search may ask for; beyond it, looking at every vector is the better answer.
pub const MAX_EF: usize = 10_000;

/// Links a node: hnsw_rs ends the process above 256 and divides by ln(1) = 0 at 1; above 128 nothing is gained.
const M_RANGE: std::ops::RangeInclusive<usize> = 2..=128;

/// The configuration of an index. Engines without a graph use only `dim`.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexConfig {
    /// Numbers in a vector.
    pub dim: usize,
    /// Links a graph node has in each upper layer; twice as many in the lowest. Default 16.
    pub m: usize,
    /// Candidates kept while a node is linked. Default 200.
    pub ef_construction: usize,
    /// Candidates kept while searching, unless a search says otherwise. Default 64.
    pub ef: usize,
    /// Up to this many items no graph is made: looking at all of them is as fast, and exact. Default 2,000.
    pub exact_below: usize,
    /// The graph is made anew when more than this share of its nodes are tombstones, in (0, 1). Default 0.3.
    pub compact_above: f64,
    /// Threads that build the graph; with 1, equal input gives an equal graph. Default 1.
    pub build_threads: usize,
}

impl IndexConfig {
    /// The defaults, for vectors of `dim` numbers.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        Self { dim, m: 16, ef_construction: 200, ef: 64, exact_below: 2_000, compact_above: 0.3, build_threads: 1 }
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// If a rule is broken; the error lists all that are.
    pub fn validate(&self) -> Result<()> {
        let ratio_is_legal = self.compact_above > 0.0 && self.compact_above < 1.0;
        let rules = [
            ((1..=65_536).contains(&self.dim), format!("dim must be in 1..=65536, got {}", self.dim)),
            (M_RANGE.contains(&self.m), format!("m must be in {M_RANGE:?}, got {}", self.m)),
            (
                (1..=MAX_EF).contains(&self.ef_construction),
                format!("ef_construction must be in 1..={MAX_EF}, got {}", self.ef_construction),
            ),
            ((1..=MAX_EF).contains(&self.ef), format!("ef must be in 1..={MAX_EF}, got {}", self.ef)),
            (ratio_is_legal, format!("compact_above must be between 0 and 1, got {}", self.compact_above)),
            (
                (1..=1_024).contains(&self.build_threads),
                format!("build_threads must be in 1..=1024, got {}", self.build_threads),
            ),
        ];
        let problems: Vec<String> = rules.into_iter().filter(|(holds, _)| !holds).map(|(_, problem)| problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::InvalidConfig { problems }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_legal() {
        assert_eq!(IndexConfig::new(512).validate(), Ok(()));
    }

    #[test]
    fn every_broken_rule_is_reported() {
        let config = IndexConfig {
            dim: 0,
            m: 257,
            ef_construction: 0,
            ef: 0,
            compact_above: f64::NAN,
            build_threads: 0,
            ..IndexConfig::new(8)
        };

        let Err(Error::InvalidConfig { problems }) = config.validate() else {
            panic!("six broken rules must be an error")
        };

        for field in ["dim", "m", "ef_construction", "ef", "compact_above", "build_threads"] {
            let named = problems.iter().any(|p| p.starts_with(&format!("{field} ")));
            assert!(named, "no problem names {field}: {problems:?}");
        }
    }
}
