//! What does a user, and an operator, see?
//!
//! The server keeps a gallery of pictures, finds the ones nearest to a query by their embeddings, and attacks its own live
//! net all the time to show how well it holds up.
//!
//! | module | question |
//! |---|---|
//! | [`config`] | What may an operator choose? |
//! | [`service`] | What happens to items and queries? Knows nothing of HTTP. |
//! | [`http`] | What does the service look like from outside? |
//! | [`ui`] | What does it look like in a browser? |
//! | [`metrics`] | What does an operator see? |
//! | [`client`] | How do our own commands ask a running server? |
//! | [`import`] | How does a folder of pictures get in? |

pub mod client;
pub mod config;
pub mod http;
pub mod import;
pub mod metrics;
pub mod service;
pub mod ui;
