//! The smaller tables of the serving configuration: HTTP, pictures, embedding batches, search, index.

use holdfast_index::IndexConfig;
use holdfast_model::pixels::DecodeLimits;
use serde::{Deserialize, Serialize};

use super::Problems;

const MEBIBYTE: usize = 1024 * 1024;

/// `[http]`: limits of the HTTP side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Largest request body of every route but the batch import, in bytes (1 KiB to 1 GiB). Refused before it is read.
    pub max_body_bytes: usize,
    /// Largest body of `POST /v1/items:batch`, in bytes (1 KiB to 4 GiB). The whole body is held in memory.
    pub max_batch_body_bytes: usize,
    /// Most items in one `POST /v1/items:batch` (1 to 10 000).
    pub max_batch_items: usize,
    /// Threads that read requests and write replies (1 to 256).
    pub workers: usize,
    /// Requests that are worked on at once (1 to 4096), each on a thread of its own. It bounds the memory that decoded
    /// pictures take.
    pub max_concurrent: usize,
    /// Requests that are worked on or wait for a thread (1 to 100 000); more are answered 429.
    pub max_in_flight: usize,
    /// Seconds that open requests get to finish after SIGTERM or Ctrl-C (0 to 3600).
    pub shutdown_seconds: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            // Base64 makes a picture a third larger: this admits the largest picture in every wire form.
            max_body_bytes: 32 * MEBIBYTE,
            max_batch_body_bytes: 128 * MEBIBYTE,
            max_batch_items: 256,
            workers: 2,
            max_concurrent: 64,
            max_in_flight: 1024,
            shutdown_seconds: 30,
        }
    }
}

impl HttpConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.range("http.max_body_bytes", self.max_body_bytes, 1024, 1024 * MEBIBYTE);
        problems.range("http.max_batch_body_bytes", self.max_batch_body_bytes, 1024, 4096 * MEBIBYTE);
        problems.range("http.max_batch_items", self.max_batch_items, 1, 10_000);
        problems.range("http.workers", self.workers, 1, 256);
        problems.range("http.max_concurrent", self.max_concurrent, 1, 4096);
        problems.range("http.max_in_flight", self.max_in_flight, 1, 100_000);
        problems.range("http.shutdown_seconds", self.shutdown_seconds, 0, 3600);
    }
}

/// `[pictures]`: limits of one uploaded picture, checked before it is decoded.
pub(super) fn validate_pictures(limits: &DecodeLimits, problems: &mut Problems) {
    problems.range("pictures.max_bytes", limits.max_bytes, 1024, 1024 * MEBIBYTE);
    problems.range("pictures.max_pixels", limits.max_pixels, 1, 1_000_000_000);
    problems.range("pictures.max_aspect", limits.max_aspect, 1, 100_000);
}

/// `[embed]`: how pictures wait for the embedder and are grouped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbedConfig {
    /// Most pictures in one forward pass (1 to 1024).
    pub max_batch: usize,
    /// How long the first picture of a batch may wait for others, in milliseconds (0 to 1000).
    pub max_wait_milliseconds: u64,
    /// Most pictures waiting; beyond it requests are answered 429 (1 to 100 000).
    pub max_queue: usize,
}

impl Default for EmbedConfig {
    fn default() -> Self {
        EmbedConfig { max_batch: 32, max_wait_milliseconds: 2, max_queue: 1024 }
    }
}

impl EmbedConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.range("embed.max_batch", self.max_batch, 1, 1024);
        problems.range("embed.max_wait_milliseconds", self.max_wait_milliseconds, 0, 1000);
        problems.range("embed.max_queue", self.max_queue, 1, 100_000);
        if self.max_queue < self.max_batch {
            problems.push(format!(
                "embed.max_queue must be at least embed.max_batch = {}, got {}",
                self.max_batch, self.max_queue
            ));
        }
    }
}

/// `[search]`: bounds of what one search may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchLimits {
    /// Hits returned when a search names no `limit` (1 to `max_limit`).
    pub default_limit: usize,
    /// Largest `limit` (1 to 10 000).
    pub max_limit: usize,
    /// Largest `ef` (1 to 10 000).
    pub max_ef: usize,
    /// Most searches in one `POST /v1/search:batch` (1 to 10 000).
    pub max_batch: usize,
    /// Most conditions in one filter, each value of an `any` counted (1 to 100 000).
    pub max_filter_conditions: usize,
    /// A filter that at most this share of the items match is answered by looking at each of them; above it, by a walk over
    /// the graph (0 to 1). The bench `selectivity` times both.
    pub scan_share: f64,
    /// One of so many searches is also answered exactly, beside the traffic, for the metric `ann_recall`; 0 for none.
    pub recall_sample: u64,
}

impl Default for SearchLimits {
    fn default() -> Self {
        SearchLimits {
            default_limit: 10,
            max_limit: 1000,
            max_ef: 2000,
            max_batch: 64,
            max_filter_conditions: 256,
            scan_share: 0.1,
            recall_sample: 100,
        }
    }
}

impl SearchLimits {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.range("search.max_limit", self.max_limit, 1, 10_000);
        problems.range("search.default_limit", self.default_limit, 1, self.max_limit);
        problems.range("search.max_ef", self.max_ef, 1, holdfast_index::MAX_EF);
        problems.range("search.max_batch", self.max_batch, 1, 10_000);
        problems.range("search.max_filter_conditions", self.max_filter_conditions, 1, 100_000);
        problems.range("search.scan_share", self.scan_share, 0.0, 1.0);
    }
}

/// `[index]`: the nearest-neighbour engine and its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IndexOptions {
    /// "hnsw" (approximate, fast) or "exact" (compares with every item).
    pub engine: String,
    /// hnsw: links that a node keeps (2 to 128). More: better recall, more memory.
    pub m: usize,
    /// hnsw: candidates looked at when an item is added (`m` to 10 000). More: better graph, slower writes.
    pub ef_construction: usize,
    /// hnsw: candidates looked at by a search that names no `ef` (1 to 10 000). More: better recall, slower.
    pub ef: usize,
    /// hnsw: up to this many items no graph is made, because comparing with all of them is as fast, and exact.
    pub exact_below: usize,
    /// hnsw: the graph is made anew when more than this share of it is deleted items (above 0, below 1).
    pub compact_above: f64,
    /// hnsw: threads that build the graph (1 to 1024); with 1, equal input gives an equal graph.
    pub build_threads: usize,
}

impl Default for IndexOptions {
    fn default() -> Self {
        let IndexConfig { dim: _, m, ef_construction, ef, exact_below, compact_above, build_threads } =
            IndexConfig::new(1);
        let engine = "hnsw".to_owned();
        IndexOptions { engine, m, ef_construction, ef, exact_below, compact_above, build_threads }
    }
}

impl IndexOptions {
    /// The same for vectors of `dim` numbers, as the index wants it.
    pub fn for_dim(&self, dim: usize) -> IndexConfig {
        let IndexOptions { engine: _, m, ef_construction, ef, exact_below, compact_above, build_threads } = *self;
        IndexConfig { dim, m, ef_construction, ef, exact_below, compact_above, build_threads }
    }

    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.one_of("index.engine", &self.engine, &holdfast_index::engine_names());
        // The index owns the rules of its parameters; the dimension comes from the checkpoint and is not at stake here.
        if let Err(holdfast_index::Error::InvalidConfig { problems: found }) = self.for_dim(1).validate() {
            found.into_iter().for_each(|problem| problems.push(format!("index.{problem}")));
        }
    }
}

/// `[store]`: the disk under the catalog and the pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// New pictures are refused (507) while fewer bytes than this are free on the disk of `data_dir` (0 to 1 TiB). Deletes
    /// are not, so that room can be made.
    pub min_free_bytes: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig { min_free_bytes: 64 << 20 }
    }
}

impl StoreConfig {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.range("store.min_free_bytes", self.min_free_bytes, 0, 1 << 40);
    }
}
