//! Errors as people read them: one paragraph, causes included, no backtrace.

use std::io;

/// The error and its causes, joined by ": "; a cause that the message before already tells is left out.
pub fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain() {
        let text = without_backtrace(&cause.to_string());
        if message.is_empty() {
            message = text;
        } else if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
    }
    message
}

/// Whether the reader of our output has gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The text up to its first stack frame: candle appends a backtrace to its messages where RUST_BACKTRACE is set.
fn without_backtrace(text: &str) -> String {
    let is_frame = |line: &str| {
        let (number, name) = line.trim_start().split_once(": ").unwrap_or((line, ""));
        line.starts_with(' ') && !name.is_empty() && number.parse::<u32>().is_ok()
    };
    let lines: Vec<&str> = text.lines().take_while(|line| !is_frame(line)).collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_follow_the_message_and_are_not_repeated() {
        let error = Err::<(), _>(anyhow!("disk full"))
            .context("cannot write x: disk full")
            .context("saving the checkpoint")
            .unwrap_err();

        assert_eq!(message(&error), "saving the checkpoint: cannot write x: disk full");
    }

    #[test]
    fn a_backtrace_in_a_message_is_cut_off() {
        let text = "shape mismatch in add\n   0: candle_core::error::Error::bt\n             at /src/error.rs:264:25\n   1: main";

        assert_eq!(message(&anyhow!(text.to_owned())), "shape mismatch in add");
    }

    #[test]
    fn lists_in_a_message_stay() {
        let text = "2 problems:\n  - steps is 0\n  - pairs is 0";

        assert_eq!(message(&anyhow!(text)), text);
    }
}
