//! The command line: what can be asked for, and what the program answers with.

mod compare;
mod data;
mod evaluate;
mod export;
mod failure;
mod interrupt;
mod scores;
mod selection;
mod test_pictures;
mod train;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use holdfast_ops::Math;

/// Trains image-embedding nets that withstand adversarial queries, and measures how well they do.
#[derive(Debug, Parser)]
#[command(name = "holdfast-trainer", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// On a GPU, round factors to 10 bits of mantissa and multiply on tensor cores (TF32): faster, less exact.
    #[arg(long, global = true)]
    tf32: bool,
}

const EXAMPLES: &str = "\
Examples:
  Train on the procedural toy shop, which needs no data:
    holdfast-trainer train --config configs/train/toy-shop.toml --out nets/robust
  Measure a net on other pictures, one folder a class:
    holdfast-trainer evaluate --checkpoint nets/robust --data my-pictures --out report.json
  See two nets side by side:
    holdfast-trainer compare nets/undefended nets/robust

Exit codes: 0 done, 2 wrong input (told on stderr), 3 the trained net has collapsed, 130 interrupted by Ctrl-C.";

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Arguments),
    Evaluate(evaluate::Arguments),
    Compare(compare::Arguments),
    Export(export::Arguments),
}

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Done,
    /// A net was trained and is of no use.
    Collapsed,
    Interrupted,
}

/// Where results go. Progress goes to stderr.
struct Screen {
    out: io::Stdout,
    colours: bool,
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads the command line, does what it says, and returns the exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Nobody is left to tell if the terminal is gone; help and version are "errors" with code 0.
            drop(message.print());
            return if message.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let out = io::stdout();
    let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut screen = Screen { out, colours };
    if cli.tf32 {
        Math::Tf32.set();
    }
    let ending = match cli.command {
        Command::Train(arguments) => train::run(&arguments, &mut screen),
        Command::Evaluate(arguments) => evaluate::run(&arguments, &mut screen),
        Command::Compare(arguments) => compare::run(&arguments, &mut screen),
        Command::Export(arguments) => export::run(&arguments, &mut screen),
    };
    match ending {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Collapsed) => ExitCode::from(3),
        Ok(Ending::Interrupted) => ExitCode::from(130),
        // `holdfast-trainer … | head` has all it wants.
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", failure::message(&error));
            ExitCode::from(2)
        }
    }
}
