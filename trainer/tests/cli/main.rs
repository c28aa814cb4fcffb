//! The program as a user runs it: what it writes, what it prints, and what it says about wrong input.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod collapse;
mod export;
mod interrupt;
mod job;
mod nets;
mod pretrained;
mod wrong_input;

use std::fs;
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;

/// A run of seconds: four small classes to train, four to test.
const CONFIG: &str = r#"
backbone = "c3f1"
steps = 3
pairs = 4
log_every = 2
data.toy_shop = { classes = 8, pictures_per_class = 5, seed = 3 }

[defense]
name = "hardness_manipulation"
source = "semihard"
destination = "gradual"
pgd = { epsilon = "8/255", alpha = "4/255", steps = 2 }

[evaluation]
profile = { name = "tiny", epsilon = "8/255", alpha = "4/255", steps = 2, batch = 4 }
attacks = "QA+,ES"
gallery = 12
queries = 4
"#;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-trainer"));
    // A backtrace that candle puts into its messages must not reach people.
    command.env("RUST_BACKTRACE", "1");
    command
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a run that must end with exit code 2: one "error: …", no panic, no backtrace.
fn fail(arguments: &[&str]) -> String {
    let output = run(arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert_eq!(message.matches("error: ").count(), 1, "{message}");
    assert!(!message.contains("panicked") && !message.contains("  0: "), "{message}");
    message
}

struct Nets {
    folder: TempDir,
}

impl Nets {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

/// A folder with the configuration, trained once for all tests as `robust`, and undefended as `vanilla`.
fn nets() -> &'static Nets {
    static NETS: OnceLock<Nets> = OnceLock::new();
    NETS.get_or_init(|| {
        let nets = Nets { folder: TempDir::new().unwrap() };
        fs::write(nets.path("config.toml"), CONFIG).unwrap();
        let (config, robust, vanilla) = (nets.path("config.toml"), nets.path("robust"), nets.path("vanilla"));
        succeed(&["train", "--config", &config, "--out", &robust, "--device", "cpu"]);
        let undefended = "defense={ name = \"vanilla\", source = \"semihard\" }";
        succeed(&["train", "--config", &config, "--out", &vanilla, "--set", undefended, "--seed", "9"]);
        nets
    })
}
