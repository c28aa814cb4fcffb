//! The command line. Its help is the doc comments of these structs.

mod config;
mod import;
pub(crate) mod message;
mod restore;
mod search;
mod serve;
mod snapshot;
mod status;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use holdfast_server::client::{ApiKey, Client};

/// Image search that withstands adversarial attack, and measures while serving that it does.
///
/// A checkpoint from `holdfast-trainer` turns pictures into vectors; `serve` answers searches over HTTP, keeps the
/// gallery on disk, and attacks its own live model in the background; `import` fills the gallery from a folder, `search` and
/// `status` ask a running server.
///
/// Exit status: 0 done; 1 some pictures were rejected, or the server is not ready; 2 wrong usage, a wrong configuration, a
/// checkpoint that cannot be loaded, an address that cannot be used, or a server that cannot be reached or refuses.
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
  holdfast search shoe.jpg --limit 5
  holdfast status
  holdfast snapshot --url http://127.0.0.1:8080 --out gallery.tar
  holdfast restore gallery.tar --data-dir new-data
  curl --data-binary @shoe.png -H 'Content-Type: image/png' 'http://127.0.0.1:8080/v1/search?limit=5'";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve search, gallery, robustness monitor and web page over HTTP.
    ///
    /// Runs until SIGTERM or Ctrl-C, then finishes open requests and stops; a second Ctrl-C stops at once. Logs go to
    /// standard error; RUST_LOG chooses them, for example RUST_LOG=holdfast_server=debug for a line per request.
    Serve(ServeArguments),
    /// Store pictures on a running server: a folder, or lines of NDJSON.
    ///
    /// `FOLDER/<class>/<picture>`: the class folder's name becomes `metadata.label`, and the id is `<class>.<file name without
    /// extension>` with anything but A-Z a-z 0-9 . _ : - replaced by a hyphen. Pictures outside of class folders are stored
    /// without a label.
    ///
    /// NDJSON: one item a line, {"id": "boot.7", "image": "boots/7.jpg", "metadata": {"label": "boot", "price": 79.5}}.
    /// `image` is a path, relative to the file's folder, or {"base64": "…"}.
    ///
    /// Importing again sends only what is missing or different: the server is asked for the checksum and metadata that it has.
    /// So an import that was interrupted simply goes on. While the server is busy, the import waits as long as it says.
    /// Pictures that the server refuses are listed at the end, and the exit status is 1 if there are any.
    Import(ImportArguments),
    /// Find the nearest pictures on a running server, and print them as a table.
    Search(SearchArguments),
    /// Say how a running server is doing: readiness, generation, items, model, robustness.
    ///
    /// The exit status is 0 if it is ready, 1 if it answers and is not ready, and 2 if it does not answer.
    Status(StatusArguments),
    /// Save the whole gallery of a running server to one file.
    ///
    /// The server takes the snapshot while it goes on serving, reads it back and compares; its checksum is compared once more
    /// when it has arrived. Afterwards the copy on the server is deleted, unless --keep is given.
    Snapshot(SnapshotArguments),
    /// Fill an empty data folder with a snapshot. The server that uses the folder must not be running.
    ///
    /// A snapshot that is broken in any way is refused as a whole, and leaves the folder as it was.
    Restore(RestoreArguments),
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

/// Which server to ask, and as whom.
#[derive(Debug, Args)]
struct ConnectionArguments {
    /// Address of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// API key, where the server wants one. Better in the environment: other users of this machine see command lines.
    #[arg(long, value_name = "KEY", env = "HOLDFAST_API_KEY", hide_env_values = true)]
    api_key: Option<ApiKey>,
}

impl ConnectionArguments {
    fn client(&self) -> Client {
        Client::new(&self.url, self.api_key.clone())
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast import pictures/
  holdfast import items.ndjson --url https://search.example --concurrency 8 --report rejected.ndjson")]
struct ImportArguments {
    /// A folder of pictures, or a file of NDJSON.
    #[arg(value_name = "FOLDER|NDJSON")]
    source: PathBuf,
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Requests at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
    /// Most pictures in one request; one that is too large for the server is sent again in halves.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch: u16,
    /// Write rejected pictures to this file as they occur: {"source", "id", "code", "detail"}, one a line.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("subject").args(["picture", "id"]).required(true), after_help = "\
Examples:
  holdfast search shoe.jpg --limit 5
  holdfast search shoe.jpg --filter '{\"must\": [{\"key\": \"price\", \"range\": {\"lt\": 100}}]}'
  holdfast search --id boot.7 --json | jq -r '.hits[].id'")]
struct SearchArguments {
    /// Search by this picture file.
    picture: Option<PathBuf>,
    /// Search by an item of the gallery instead: more like this.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Most hits.
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: u32,
    /// Only items whose metadata meet this filter, JSON as in the API.
    #[arg(long, value_name = "JSON", value_parser = search::parse_filter)]
    filter: Option<serde_json::Value>,
    /// Compare with every item, instead of asking the graph.
    #[arg(long)]
    exact: bool,
    /// Print the server's reply as it is.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct StatusArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// Print one JSON object: what /healthz, /readyz, /v1/generations and /v1/robustness answer.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SnapshotArguments {
    /// Address of the server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Where to save it; a file of this name is replaced.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Leave a copy on the server, under its `data_dir`.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Args)]
struct RestoreArguments {
    /// The snapshot, as `holdfast snapshot` saved it.
    file: PathBuf,
    /// Becomes the data folder of a server; must be empty or absent.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
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
        Command::Search(arguments) => search::run(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::Snapshot(arguments) => snapshot::run(arguments),
        Command::Restore(arguments) => restore::run(arguments),
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
    fn a_key_on_the_command_line_is_not_shown_by_debug_output() {
        let cli = Cli::try_parse_from(["holdfast", "status", "--api-key", "secret-key"]).unwrap();
        assert!(!format!("{cli:?}").contains("secret"));
    }

    #[test]
    fn a_search_needs_exactly_one_of_picture_and_id() {
        for arguments in
            [&["search"][..], &["search", "x.png", "--id", "boot.7"], &["search", "x.png", "--filter", "{"]]
        {
            let parsed = Cli::try_parse_from(["holdfast"].iter().chain(arguments));
            assert_eq!(parsed.unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn an_address_without_a_port_is_refused_while_parsing() {
        let parsed = Cli::try_parse_from(["holdfast", "serve", "--config", "x.toml", "--bind", "127.0.0.1"]);
        assert_eq!(parsed.unwrap_err().exit_code(), 2);
    }
}
