//! The whole product, used as people use it: real programs, real folders, real HTTP, and a browser.
//!
//! One test binary, so that it is linked once. Each module is one flow.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// Which crate may know of which.
mod architecture;
// Which golden files are compared with.
mod fixtures;

mod flows {
    // A browser opens the page.
    mod browser;
    // The examples of the documentation are run.
    mod examples;
    // The process is killed while it writes.
    mod crash;
    // The disk is full, or may not be written.
    mod full_disk;
    // The power is cut while it writes.
    mod power;
    // Input that must be refused, and what must not happen then.
    mod bad_input;
    // The server attacks itself.
    mod monitor_flow;
    // A net is trained, served and searched.
    mod train_flow;
    // Items go in and are found again.
    mod query_flow;
}
