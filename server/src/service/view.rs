//! What callers of the service give and get.

use std::time::Duration;

use jiff::Timestamp;

use super::filter::Filter;
use super::metadata::Metadata;
use crate::metrics::Stage;

/// An item to store.
#[derive(Debug, Clone, PartialEq)]
pub struct NewItem {
    /// 1 to 128 bytes of `A-Za-z0-9._:-`. The same id again is an update.
    pub id: String,
    /// The bytes of a picture file.
    pub picture: Vec<u8>,
    /// What is known about it.
    pub metadata: Metadata,
}

/// An item as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemView {
    /// Its id.
    pub id: String,
    /// What is known about it.
    pub metadata: Metadata,
    /// Media type of the picture, told by its content.
    pub content_type: String,
    /// Length of the picture file.
    pub bytes: u64,
    /// Checksum of the picture file, 64 hexadecimal digits.
    pub sha256: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How often the item was written, from 1.
    pub revision: u64,
    /// When it was last written.
    pub updated: Timestamp,
}

/// The picture of an item, as it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPicture {
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// What to search by.
    pub by: SearchBy,
    /// Most hits, at least 1.
    pub limit: usize,
    /// Compare with every item instead of asking the graph.
    pub exact: bool,
    /// Candidates that the graph keeps while searching; the configured number if absent.
    pub ef: Option<usize>,
    /// Whether hits carry their vectors.
    pub include_vector: bool,
    /// Only items that match are hits.
    pub filter: Option<Filter>,
}

/// What a search starts from.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchBy {
    /// The bytes of a picture file.
    Picture(Vec<u8>),
    /// An item, which is its own nearest hit.
    Id(String),
    /// A vector of the current generation. Any finite vector but zero will do: only its direction counts.
    Vector(Vec<f32>),
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchReply {
    /// The generation that answered.
    pub generation: String,
    /// Nearest first, ties in the order in which the items were first stored.
    pub hits: Vec<HitView>,
    /// Where the time went.
    pub stages: Stages,
}

/// An item found.
#[derive(Debug, Clone, PartialEq)]
pub struct HitView {
    /// Its id.
    pub id: String,
    /// Euclidean distance between unit vectors, 0 to 2.
    pub distance: f32,
    /// Cosine similarity, 1 − distance²/2.
    pub score: f32,
    /// What is known about it.
    pub metadata: Metadata,
    /// Its vector, if asked for.
    pub vector: Option<Vec<f32>>,
}

/// Pictures as vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The generation whose net embedded them.
    pub generation: String,
    /// A unit vector for each picture, in order.
    pub vectors: Vec<Vec<f32>>,
}

/// The stages that a request went through, in order, and how long each took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stages(Vec<(Stage, Duration)>);

impl Stages {
    /// The stages in order.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, Duration)> + '_ {
        self.0.iter().copied()
    }

    pub(super) fn push(&mut self, stage: Stage, duration: Duration) {
        self.0.push((stage, duration));
    }
}

/// Some items, in the order in which they were first stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items; fewer than asked for at the end, or where items changed while the page was read.
    pub items: Vec<ItemView>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
}

/// A place between items in the order in which they were first stored. Writes do not move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(pub(super) u64);

impl Place {
    /// As a number, to be given back to [`from_number`](Self::from_number).
    pub fn number(self) -> u64 {
        self.0
    }

    /// The place with this number; every number is a place.
    pub fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// Whether the service can do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Reads and writes are served.
    Ready,
    /// [`shutdown`](super::Service::shutdown) was called.
    Stopping,
    /// The disk refused a write: reads are served, writes fail. Needs an operator.
    WritesFail,
}

impl Readiness {
    /// Whether traffic should come here.
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }
}
