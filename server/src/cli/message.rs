//! Errors as people read them: the chain of causes in one line each, without backtraces.

/// The causes, outermost first, joined by colons; a cause that its wrapper already tells is not repeated.
pub(crate) fn for_people(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| {
        let cause = without_backtrace(&cause.to_string());
        match told.as_str() {
            "" => cause,
            told if told.contains(&cause) => told.to_owned(),
            told => format!("{told}: {cause}"),
        }
    })
}

/// candle writes the whole backtrace into the message of an error when RUST_BACKTRACE is set; frames look like
/// `   3: core::ops::function` and `             at src/lib.rs:7:1`.
fn without_backtrace(text: &str) -> String {
    let is_frame = |line: &str| {
        let line = line.trim_start();
        line.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok()) || line == "Stack backtrace:"
    };
    let lines: Vec<&str> = text.lines().take_while(|line| !is_frame(line)).collect();
    lines.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_backtrace_inside_a_message_is_cut() {
        let error = anyhow!("shape mismatch\n   0: candle_core::error::bt\n             at src/error.rs:1:2\n");
        assert_eq!(for_people(&error.context("loading runs/a")), "loading runs/a: shape mismatch");
    }

    #[test]
    fn a_cause_that_the_wrapper_tells_is_not_repeated() {
        let error = anyhow!("no such file").context("cannot read x: no such file");
        assert_eq!(for_people(&error), "cannot read x: no such file");
    }

    #[test]
    fn lists_of_problems_stay_whole() {
        let error = anyhow!("2 problem(s):\n  index.m must be 2\n  index.ef must be 3");
        assert!(for_people(&error).ends_with("index.ef must be 3"));
    }
}
