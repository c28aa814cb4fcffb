//! `holdfast-trainer`: trains embedding nets, measures them, compares them, and writes pictures for demonstrations.

mod cli;
mod curves;
mod progress;

use std::process::ExitCode;

fn main() -> ExitCode {
    holdfast_ops::keep_freed_memory();
    cli::run()
}
