//! What an evaluation measures on: labelled pictures, and who searches where.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Whether the queries are themselves items of the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// They are: one set is searched by each of its pictures, and a query's own row is left out where a neighbour is
    /// meant. Fashion-MNIST, CUB, Cars and SOP are measured like this.
    #[default]
    LeaveOneOut,
    /// They are strangers to it, as In-Shop's queries are, and a server's: every row counts, and nothing is left out.
    QueryGallery,
}

/// Labelled pictures.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    /// (N, C, H, W) in [0, 1].
    pub pixels: &'a Tensor,
    /// N class numbers.
    pub labels: &'a [u32],
}

/// The pictures of an evaluation.
#[derive(Debug, Clone, Copy)]
pub enum TestSet<'a> {
    /// One set, each of whose pictures searches among all others: [`Protocol::LeaveOneOut`].
    LeaveOneOut(Labelled<'a>),
    /// Two sets: [`Protocol::QueryGallery`]. Every class of the queries needs a picture in the gallery.
    QueryGallery {
        /// What is searched by, and attacked.
        queries: Labelled<'a>,
        /// What is searched, always clean.
        gallery: Labelled<'a>,
    },
}

impl<'a> TestSet<'a> {
    /// What is searched by.
    #[must_use]
    pub fn queries(&self) -> Labelled<'a> {
        match *self {
            Self::LeaveOneOut(set) => set,
            Self::QueryGallery { queries, .. } => queries,
        }
    }

    /// What is searched.
    #[must_use]
    pub fn gallery(&self) -> Labelled<'a> {
        match *self {
            Self::LeaveOneOut(set) => set,
            Self::QueryGallery { gallery, .. } => gallery,
        }
    }

    /// Whether the queries are in the gallery.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::LeaveOneOut(_) => Protocol::LeaveOneOut,
            Self::QueryGallery { .. } => Protocol::QueryGallery,
        }
    }

    /// Checks that there are pictures, and a label for each.
    ///
    /// # Errors
    /// If not.
    pub(crate) fn check(&self) -> Result<()> {
        for (what, Labelled { pixels, labels }) in [("query", self.queries()), ("gallery item", self.gallery())] {
            let pictures = pixels.dim(0)?;
            if pictures != labels.len() {
                return Err(Error::LabelCount { pictures, labels: labels.len() });
            }
            if pictures == 0 {
                return Err(Error::Empty { what });
            }
        }
        Ok(())
    }
}
