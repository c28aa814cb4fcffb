//! The program `holdfast`: serves image search that keeps attacking itself, and fills its gallery.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::run(&cli::Cli::parse()).unwrap_or_else(|error| {
        eprintln!("error: {}", cli::message::for_people(&error));
        ExitCode::from(2)
    })
}
