//! The binaries under test, as cargo built them beside the test.

use std::path::PathBuf;
use std::process::{Command, Output};

/// A binary of this workspace, ready for arguments.
///
/// It comes from the folder that holds the running test, so it is of the same profile. Backtraces are asked for, so that a
/// test sees whether one would reach a user.
///
/// # Panics
/// If it is not built.
pub fn program(name: &str) -> Command {
    let path = path_of(name);
    assert!(
        path.is_file(),
        "{} is not there: `cargo test -p holdfast-tests` does not build the programs that it tests; \
         run `cargo build --release --workspace` first, or `make test`, which does",
        path.display()
    );
    let mut command = Command::new(path);
    command.env("RUST_BACKTRACE", "1").env_remove("RUST_LOG");
    command
}

fn path_of(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let dependencies = test.parent().expect("a program lies in a folder");
    let profile = dependencies.parent().expect("cargo puts tests into target/<profile>/deps");
    profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// How a program that refused to work ended.
#[derive(Debug)]
pub struct Ending {
    /// Exit code; absent if a signal ended it.
    pub code: Option<i32>,
    /// Everything it wrote to standard error.
    pub stderr: String,
}

impl From<Output> for Ending {
    fn from(output: Output) -> Self {
        Self { code: output.status.code(), stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }
}

/// Whether people were shown what only programmers read.
pub fn shows_its_insides(stderr: &str) -> bool {
    let lowered = stderr.to_lowercase();
    ["panicked", "backtrace", "core::ops::function", "/rustc/"].iter().any(|trace| lowered.contains(trace))
}
