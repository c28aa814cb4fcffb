//! Where training and test pictures come from.

use std::path::PathBuf;

use holdfast_model::pixels::DecodeLimits;
use serde::{Deserialize, Serialize};

use crate::dataset::{self, Framing};

/// Each batch that waits takes memory, and more than a few save no time.
const MOST_PREFETCHED: usize = 64;

/// The data set of a run: the table `[data]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// How the data at `path` is stored: one of [`formats`](crate::dataset::formats), or `"auto"` for whatever it looks
    /// like (the toy shop where there is no path).
    pub format: String,
    /// A folder; absent for the toy shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The share of the classes, in (0, 1), that trains; the other classes test. Not for data with an official split.
    pub train_share: f64,
    /// Which part of a picture the net sees. Absent: windows for nets that take 128 × 128 or more, all of it for smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framing: Option<Framing>,
    /// Batches that are prepared ahead of the training step; 0 prepares each when it is needed.
    pub prefetch: usize,
    /// Decoded pictures of both splits that take more than this, in MiB, are not kept in memory: their files are
    /// decoded again for each use.
    pub memory_mib: usize,
    /// Which toy shop to draw, where there is no `path`.
    pub toy_shop: ToyShopConfig,
    /// What a picture of a folder may cost to decode.
    pub limits: DecodeLimits,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            format: dataset::AUTO.to_owned(),
            path: None,
            train_share: 0.5,
            framing: None,
            prefetch: 2,
            memory_mib: 512,
            toy_shop: ToyShopConfig::default(),
            limits: DecodeLimits::default(),
        }
    }
}

/// The toy shop's size and variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToyShopConfig {
    /// Kinds of products; training and test share none.
    pub classes: usize,
    /// Pictures of each.
    pub pictures_per_class: usize,
    /// Decides every picture.
    pub seed: u64,
}

impl Default for ToyShopConfig {
    fn default() -> Self {
        Self { classes: 80, pictures_per_class: 40, seed: 1 }
    }
}

impl DataConfig {
    /// Every value that makes no sense.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let (format, formats) = (self.format.as_str(), dataset::formats());
        if !formats.contains(&format) {
            problems.push(format!("data.format \"{format}\" is not known; known: {}", formats.join(", ")));
        } else if ![dataset::AUTO, dataset::TOY_SHOP].contains(&format) && self.path.is_none() {
            problems.push(format!("data.path is missing: the data.format \"{format}\" reads files"));
        }
        if format == dataset::TOY_SHOP && self.path.is_some() {
            problems
                .push("data.path has no meaning for the toy shop, which is drawn: remove one of the two".to_owned());
        }
        if !(self.train_share > 0.0 && self.train_share < 1.0) {
            problems.push(format!("data.train_share must lie between 0 and 1, got {}", self.train_share));
        }
        if self.prefetch > MOST_PREFETCHED {
            problems.push(format!("data.prefetch must be at most {MOST_PREFETCHED} batches, got {}", self.prefetch));
        }
        if self.toy_shop.classes < 4 {
            problems.push(format!(
                "data.toy_shop.classes must be at least 4, two to train and two to test, got {}",
                self.toy_shop.classes
            ));
        }
        if self.toy_shop.pictures_per_class < 2 {
            problems.push(format!(
                "data.toy_shop.pictures_per_class must be at least 2, got {}",
                self.toy_shop.pictures_per_class
            ));
        }
        problems
    }
}
