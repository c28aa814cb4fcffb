//! The command line. Its help is the doc comments of these structs.

mod config;
mod import;
pub(crate) mod message;
mod serve;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Image search that withstands adversarial attack, and measures while serving that it does.
///
/// A checkpoint from `holdfast-trainer` turns pictures into vectors; `serve` answers searches over HTTP, keeps the
/// gallery on disk, and attacks its own live model in the background; `import` fills the gallery from a folder.
///
/// Exit status: 0 done; 1 some pictures were rejected; 2 wrong usage, a wrong configuration, a checkpoint that
/// cannot be loaded, an address that cannot be used, or a server that cannot be reached.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  holdfast serve --config configs/serve/holdfast.toml --checkpoint runs/robust
  holdfast import pictures/ --url http://127.0.0.1:8080
  curl --data-binary @shoe.png -H 'Content-Type: image/png' 'http://127.0.0.1:8080/v1/search?limit=5'";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve search, gallery, robustness monitor and web page over HTTP.
    ///
    /// Runs until SIGTERM or Ctrl-C, then finishes open requests and stops; a second Ctrl-C stops at once. Logs go to
    /// standard error; RUST_LOG chooses them, for example RUST_LOG=holdfast_server=debug for a line per request.
    Serve(ServeArguments),
    /// Store a folder of pictures on a running server.
    ///
    /// Expects `FOLDER/<class>/<picture>`. The class folder's name becomes `metadata.label`, and the id is
    /// `<class>.<file name without extension>` with anything but A-Z a-z 0-9 . _ : - replaced by a hyphen. Importing a
    /// folder again updates the same items. Pictures that the server refuses are listed at the end.
    Import(ImportArguments),
    /// Look at a configuration without serving.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the OpenAPI description of the HTTP API as JSON.
    ///
    /// The same as a running server gives at /openapi.json.
    Openapi,
}

#[derive(Debug, Args)]
struct ServeArguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// How log lines are written.
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    log_format: LogFormat,
}

/// A configuration file and what overrides it.
#[derive(Debug, Args)]
struct SettingsArguments {
    /// TOML file; configs/serve/holdfast.toml shows every key with its default.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder of the catalog and the pictures, created if absent [overrides `data_dir`].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Address and port to listen on, such as 127.0.0.1:8080 [overrides `bind`].
    #[arg(long, value_name = "ADDR")]
    bind: Option<SocketAddr>,
    /// Folder of the checkpoint to serve [overrides `checkpoint`].
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Allow an address that other machines can reach.
    ///
    /// There are no API keys yet: whoever reaches the address may read, change and delete everything.
    #[arg(long)]
    insecure: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

#[derive(Debug, Args)]
struct ImportArguments {
    /// Holds one folder per class.
    folder: PathBuf,
    /// Address of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Requests at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
    /// Most pictures in one request; the server takes 256 by default.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether a configuration is valid, and if not, everything that is wrong.
    Check(SettingsArguments),
}

/// Does what the command line says.
///
/// # Errors
/// Anything that the person who typed the command can mend.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Config(ConfigCommand::Check(settings)) => config::check(settings),
        Command::Openapi => {
            writeln!(std::io::stdout(), "{}", holdfast_server::http::openapi_json())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_without_a_port_is_refused_while_parsing() {
        let parsed = Cli::try_parse_from(["holdfast", "serve", "--config", "x.toml", "--bind", "127.0.0.1"]);
        assert_eq!(parsed.unwrap_err().exit_code(), 2);
    }
}
