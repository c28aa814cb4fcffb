//! What the end-to-end tests stand on: the real programs on ephemeral ports with folders of their own, pictures to feed
//! them, and a browser to look at them.
//!
//! | module | question |
//! |---|---|
//! | [`programs`] | Where are the binaries under test, and how do they end? |
//! | [`server`] | How is a server started, asked, stopped and killed? |
//! | [`world`] | What does a server need: checkpoint, configuration, folders? |
//! | [`oracle`] | What must be there after the server was killed? |
//! | [`mount`] | How is a disk made that is small, read-only or loses its power? |
//! | [`pictures`] | What is searched for? |
//! | [`browser`] | What does a user see? |

#[path = "support/browser.rs"]
pub mod browser;
#[path = "support/mount.rs"]
pub mod mount;
#[path = "support/oracle.rs"]
pub mod oracle;
#[path = "support/pictures.rs"]
pub mod pictures;
#[path = "support/programs.rs"]
pub mod programs;
#[path = "support/server.rs"]
pub mod server;
#[path = "support/world.rs"]
pub mod world;

use std::thread;
use std::time::{Duration, Instant};

/// Asks again and again until there is an answer.
///
/// For what happens in another process and cannot be waited for; everything else is waited for by reading.
///
/// # Panics
/// If there is no answer within `patience`.
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < patience, "waited {} s in vain for {what}", patience.as_secs());
        thread::sleep(Duration::from_millis(50));
    }
}
