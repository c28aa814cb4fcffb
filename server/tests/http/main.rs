//! The HTTP API and the program, as a client and an operator meet them: a real server on a free port, with a small
//! untrained net, asked over real connections.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

mod asking;
mod command;
mod filters;
mod import;
mod items;
mod operation;
mod refusals;
mod search;
mod shutdown;
mod snapshots;
mod support;
