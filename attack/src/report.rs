//! What an evaluation found: a value to save, compare and print.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Profile, Protocol, Sanity};

/// Retrieval and robustness of one embedder on one labelled set. All shares are percentages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The budget of the attacks.
    pub profile: Profile,
    /// Whether the queries are in the gallery. Reports that do not say are of one set.
    #[serde(default)]
    pub protocol: Protocol,
    /// Determines every target; other attacks in the same run do not.
    pub seed: u64,
    /// Number of gallery items.
    pub gallery: usize,
    /// Number of pictures attacked, the first of the queries.
    pub queries: usize,
    /// How numbers per picture became one.
    pub averaging: Averaging,
    /// Benign R@1 of all queries, attacked or not.
    pub recall_at_1: f64,
    /// Benign R@2 of all queries, attacked or not.
    pub recall_at_2: f64,
    /// Benign mAP of all queries, attacked or not.
    pub mean_average_precision: f64,
    /// Benign mAP@R10 of all queries. Absent in older reports, as the following two.
    #[serde(default)]
    pub mean_average_precision_at_10: Option<f64>,
    /// The mean position, from 0, of the first hit of the query's class ("r@M").
    #[serde(default)]
    pub mean_rank: Option<f64>,
    /// NMI of the gallery's classes and as many clusters of its embeddings.
    #[serde(default)]
    pub normalized_mutual_information: Option<f64>,
    /// Benign R@1 of the attacked pictures alone: what [`AttackScore::recall_at_1`] started from.
    pub queries_recall_at_1: f64,
    /// By outcome: "CA+", "QA-", "TMA", "ES:D", "ES:R", …
    pub attacks: BTreeMap<String, AttackScore>,
    /// The empirical robustness score; present only if all ten terms were measured.
    pub ers: Option<f64>,
    /// Whether the figures are to be trusted; absent if nobody looked.
    #[serde(default)]
    pub sanity: Option<Sanity>,
}

/// How numbers per picture become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// The unweighted mean over batches of their means; a short last batch counts like a full one. This is what
    /// published tables hold.
    BatchMeans,
}

/// One outcome of one attack.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackScore {
    /// As published tables print it: a rank or R@1 in percent, a cosine ("TMA"), a distance ("ES:D").
    pub raw: f64,
    /// The term of the robustness score: 0 to 100 nominally, higher is better for the defender.
    pub score: f64,
    /// R@1 of the perturbed queries; absent for attacks on candidates.
    pub recall_at_1: Option<f64>,
    /// Distance between the final and the clean embedding, in [0, 2].
    pub embedding_shift: f64,
    /// Pictures that the net was asked about for each picture attacked; absent where the attacker saw gradients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_queries: Option<usize>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Profile { name, epsilon, alpha, steps, batch, precision, conformance, .. } = &self.profile;
        write!(f, "profile {name}: epsilon {epsilon}, alpha {alpha}, {steps} steps, batches of {batch}")?;
        write!(f, "{}", if precision.is_default() { "" } else { ", attacked in bf16" })?;
        writeln!(f, ", conformance {conformance}")?;
        let gallery = match self.protocol {
            Protocol::LeaveOneOut => "gallery",
            Protocol::QueryGallery => "separate gallery",
        };
        let Self { queries, gallery: items, seed, .. } = self;
        writeln!(f, "{queries} queries, {gallery} of {items}, seed {seed}; means of batch means")?;
        writeln!(
            f,
            "benign: R@1 {:.1} %, R@2 {:.1} %, mAP {:.1} %; R@1 of the attacked queries {:.1} %",
            self.recall_at_1, self.recall_at_2, self.mean_average_precision, self.queries_recall_at_1
        )?;
        let further = [
            ("mAP@R10", self.mean_average_precision_at_10, " %"),
            ("NMI", self.normalized_mutual_information, " %"),
            ("mean rank", self.mean_rank, ""),
        ];
        for (name, value, unit) in further {
            value.map_or(Ok(()), |value| writeln!(f, "{name} {value:.1}{unit}"))?;
        }
        writeln!(f, "{:<8}{:>9}{:>9}{:>18}{:>9}", "attack", "raw", "score", "R@1 under attack", "shift")?;
        for (name, attack) in &self.attacks {
            let raw = match name.as_str() {
                "TMA" | "ES:D" | "NES:D" => format!("{:.3}", attack.raw),
                _ => format!("{:.1} %", attack.raw),
            };
            let recall = attack.recall_at_1.map_or_else(|| "-".to_owned(), |recall| format!("{recall:.1} %"));
            writeln!(f, "{name:<8}{raw:>9}{:>9.1}{recall:>18}{:>9.3}", attack.score, attack.embedding_shift)?;
        }
        for flag in self.sanity.iter().flat_map(|sanity| &sanity.flags) {
            writeln!(f, "suspicious, {}: {}", flag.suspicion, flag.explanation)?;
        }
        match self.ers {
            Some(ers) => write!(f, "ERS {ers:.1}"),
            None => write!(f, "no ERS: it needs all ten terms"),
        }
    }
}
