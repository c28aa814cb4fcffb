//! Which items are nearest?
//!
//! A [`VectorIndex`] keeps one unit vector for each item and finds the items whose vectors are nearest to a query. It knows
//! ids and slices of floats; pictures, models and storage are other crates' business.
//!
//! ```
//! use holdfast_index::{IndexConfig, ItemId, SearchOptions, build};
//!
//! let index = build("exact", &IndexConfig::new(2))?;
//! index.upsert(ItemId(7), &[1.0, 0.0])?;
//! index.upsert(ItemId(8), &[0.0, 1.0])?;
//!
//! let hits = index.search(&[0.8, 0.6], 1, &SearchOptions::default())?;
//! assert_eq!(hits[0].id, ItemId(7));
//! # Ok::<(), holdfast_index::Error>(())
//! ```
//!
//! | module | question |
//! |---|---|
//! | `config` | What may be tuned, and what is a legal value? |
//! | `error` | What can be wrong with a call? |
//! | `vectors` | Where are the vectors, and which are nearest when all are looked at? |
//! | `exact` | Engine: look at all of them. |
//! | `hnsw` | Engine: walk a graph, and look at all of them where that is better. |

mod config;
mod error;
mod exact;
mod hnsw;
mod vectors;

pub use config::{IndexConfig, MAX_EF};
pub use error::{Error, Result};

/// The number under which an item is known to an index; its owner maps it to the item's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub u64);

/// An item found by a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The item.
    pub id: ItemId,
    /// Euclidean distance between the unit vectors of query and item, 0 to 2.
    pub distance: f32,
}

/// Says which items a search may return.
pub type Filter<'a> = dyn Fn(ItemId) -> bool + Sync + 'a;

/// How to search.
#[derive(Clone, Copy, Default)]
pub struct SearchOptions<'a> {
    /// Look at every vector instead of asking the graph.
    pub exact: bool,
    /// How many candidates a graph keeps while it searches, 1 to [`MAX_EF`]; more finds more and takes longer. The engine's
    /// configured value if absent; engines without a graph ignore it.
    pub ef: Option<usize>,
    /// Only items for which this is true are returned. It must give the same answer throughout one search.
    pub filter: Option<&'a Filter<'a>>,
}

/// One unit vector for each item, and search among them.
///
/// Every method may be called from any thread at any time. A call that returns `Ok` is seen by each search that starts after
/// it; a search sees an update of an item whole or not at all, never the item missing or twice. Input is checked before
/// anything is touched: after an error, the index is as it was.
pub trait VectorIndex: Send + Sync {
    /// Inserts an item, or replaces its vector.
    ///
    /// # Errors
    /// If the vector has another dimension than the index, is not finite, or its norm is further than 1e-3 from 1.
    fn upsert(&self, id: ItemId, vector: &[f32]) -> Result<()>;

    /// Removes an item; false if there was none.
    ///
    /// # Errors
    /// Only engines that keep vectors elsewhere can fail.
    fn remove(&self, id: ItemId) -> Result<bool>;

    /// The `k` nearest items that pass the filter, nearest first, ties by id; fewer only if fewer pass.
    ///
    /// # Errors
    /// For the query as for [`upsert`](Self::upsert); if `k` is 0, or `ef` is outside 1 to [`MAX_EF`].
    fn search(&self, query: &[f32], k: usize, options: &SearchOptions<'_>) -> Result<Vec<Hit>>;

    /// The `k` nearest of these items, nearest first, ties by id, by looking at each of them; fewer only if there are fewer.
    /// Items that the index does not have are passed over.
    ///
    /// # Errors
    /// As for [`search`](Self::search).
    fn nearest_among(&self, query: &[f32], k: usize, items: &[ItemId]) -> Result<Vec<Hit>>;

    /// Says whether [`upsert`](Self::upsert) would take the vector, without storing it.
    ///
    /// # Errors
    /// As for [`upsert`](Self::upsert).
    fn check(&self, vector: &[f32]) -> Result<()>;

    /// The vector of an item.
    fn vector(&self, id: ItemId) -> Option<Vec<f32>>;

    /// Number of items.
    fn len(&self) -> usize;

    /// Whether there is no item.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Vectors that were replaced or removed and still take up memory.
    fn tombstones(&self) -> usize;

    /// An estimate of the memory in use, in bytes.
    fn memory_bytes(&self) -> usize;

    /// Whether [`maintain`](Self::maintain) would find something to do.
    fn needs_maintenance(&self) -> bool {
        false
    }

    /// Does the slow work that upserts and removals leave behind, while searches and changes go on.
    ///
    /// Results are right before, during and after; this makes them cheaper. It may take minutes on a large index, and
    /// returns early, at a consistent point, soon after `proceed` gives false. Calls from several threads take turns.
    fn maintain(&self, proceed: &(dyn Fn() -> bool + Sync)) {
        let _ = proceed;
    }
}

/// An entry of [`ENGINES`].
pub struct Engine {
    /// The name used in configuration.
    pub name: &'static str,
    /// One sentence for people who choose.
    pub description: &'static str,
    /// Makes an empty index from a configuration that was validated.
    build: fn(&IndexConfig) -> Box<dyn VectorIndex>,
}

/// Every engine.
pub static ENGINES: &[Engine] = &[exact::ENGINE, hnsw::ENGINE];

/// The names of [`ENGINES`].
#[must_use]
pub fn engine_names() -> Vec<&'static str> {
    ENGINES.iter().map(|engine| engine.name).collect()
}

/// An empty index of the engine called `name`.
///
/// # Errors
/// If there is no such engine, or the configuration is not valid.
pub fn build(name: &str, config: &IndexConfig) -> Result<Box<dyn VectorIndex>> {
    let Some(engine) = ENGINES.iter().find(|engine| engine.name == name) else {
        return Err(Error::UnknownEngine { name: name.to_owned() });
    };
    config.validate()?;
    Ok((engine.build)(config))
}
