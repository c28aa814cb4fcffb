//! Where the reference's code and the literature disagree.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose reading of an attack is carried out. The two give different scores, which must not be compared.
///
/// | attack | `reference` | `corrected` |
/// |---|---|---|
/// | GTM | approaches the k-th item of the gallery, where the nearest unmatched item is the k-th unmatched one: generally neither near nor unmatched | approaches the nearest unmatched item |
/// | LTM | the query's own row counts as the nearest item of its class | the query's own row is left out |
/// | ES:D | the shift one update before the end | the shift of the final pixels |
///
/// Source: arXiv 2106.03614 and its code, robrank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conformance {
    /// The reference's code, on which all published numbers rest.
    #[default]
    Reference,
    /// The attacks as the literature describes them.
    Corrected,
}

impl fmt::Display for Conformance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reference => "reference",
            Self::Corrected => "corrected",
        })
    }
}
