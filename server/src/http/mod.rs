//! HTTP: the only folder that may name actix. Handlers translate; what happens is in [`crate::service`].
//!
//! | file | question |
//! |---|---|
//! | `routes` | Which path and method is whose? |
//! | `items`, `batch`, `list`, `search`, `search_batch`, `embed`, `embeddings`, `health`, `models`, `robustness`, `snapshots` | One family of routes each: wire types and handlers. |
//! | `openapi` | What does the API look like, for machines and at /docs? |
//! | `upload` | How does a picture, and the JSON beside it, come out of a body? |
//! | `filter` | How is a filter written? |
//! | `thumbnail` | How does a stored picture get smaller? |
//! | `error`, `problem` | Which status and code has a cause, and how is it written? |
//! | `observe` | What happens around every request: id, metrics, log? |
//! | `state`, `server` | What do handlers share; how does the server start and stop? |

mod batch;
mod embed;
mod embeddings;
mod error;
mod filter;
mod health;
mod items;
mod list;
mod models;
mod observe;
mod openapi;
mod problem;
mod robustness;
mod routes;
mod search;
mod search_batch;
mod server;
mod snapshots;
mod state;
mod thumbnail;
mod upload;

pub use openapi::openapi_json;
pub use server::{ListenError, listen, run, start};
pub use state::AppState;
