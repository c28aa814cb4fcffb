//! What an operator may choose: the TOML file of `holdfast serve`, parsed and checked before anything starts.
//!
//! Unknown keys are errors, defaults stand beside the fields, and [`ServeConfig::validate`] reports every problem at
//! once. Relative paths are taken from the working directory of the process.

mod monitor;
mod sections;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use holdfast_model::pixels::DecodeLimits;
use serde::{Deserialize, Serialize};

pub use monitor::MonitorConfig;
pub use sections::{EmbedConfig, HttpConfig, IndexOptions, SearchLimits, StoreConfig};

/// Everything that `holdfast serve` can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeConfig {
    /// Folder of the checkpoint to serve, as the trainer wrote it. Required, here or as `--checkpoint`.
    pub checkpoint: PathBuf,
    /// Folder of the catalog and the pictures; created if absent.
    pub data_dir: PathBuf,
    /// Address and port to listen on; port 0 lets the system choose one.
    pub bind: SocketAddr,
    /// Where embeddings are computed: "cpu", "cuda:0" (any number) or "auto".
    pub device: String,
    /// Limits of the HTTP side.
    pub http: HttpConfig,
    /// Limits of one uploaded picture: `max_bytes`, `max_pixels`, `max_aspect`.
    pub pictures: DecodeLimits,
    /// How queries and uploads are grouped into batches for the embedder.
    pub embed: EmbedConfig,
    /// Bounds of what one search may ask for.
    pub search: SearchLimits,
    /// The nearest-neighbour engine.
    pub index: IndexOptions,
    /// The disk under the catalog and the pictures.
    pub store: StoreConfig,
    /// The self-attack that measures robustness while serving.
    pub monitor: MonitorConfig,
}

impl Default for ServeConfig {
    fn default() -> Self {
        ServeConfig {
            checkpoint: PathBuf::new(),
            data_dir: PathBuf::from("holdfast-data"),
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            device: "cpu".to_owned(),
            http: HttpConfig::default(),
            pictures: DecodeLimits::default(),
            embed: EmbedConfig::default(),
            search: SearchLimits::default(),
            index: IndexOptions::default(),
            store: StoreConfig::default(),
            monitor: MonitorConfig::default(),
        }
    }
}

/// Whether an address other than this machine's own may be bound although no API keys exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// Only loopback addresses.
    LoopbackOnly,
    /// Any address: the operator typed `--insecure`.
    Insecure,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or cannot be read.
    #[error("cannot read the config file {}: {source}", path.display())]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML, or a key is unknown or of the wrong type.
    #[error("{origin}:{line}:{column}: {message}")]
    Syntax {
        /// The file, or what else the text was read from.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there; names the key.
        message: String,
    },
    /// The values do not make sense; all problems, one a line.
    #[error("the configuration has {} problem(s):\n  {}", problems.len(), problems.join("\n  "))]
    Invalid {
        /// Each names its key, the rule and the value found.
        problems: Vec<String>,
    },
}

impl ServeConfig {
    /// Reads a file; the values are not validated yet, so that command line flags can be applied first.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or holds an unknown key or a value of the wrong type.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// Parses TOML; `origin` names it in error messages.
    ///
    /// # Errors
    /// As [`ServeConfig::load`].
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            let (line, column) = position(text, offset);
            let message = error.message().replace('\n', " ");
            ConfigError::Syntax { origin: origin.to_owned(), line, column, message }
        })
    }

    /// Checks every value against its range, and the address against `exposure`.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all problems at once.
    pub fn validate(&self, exposure: Exposure) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        if self.checkpoint.as_os_str().is_empty() {
            problems.push("checkpoint is not set: name the folder in the config file or as --checkpoint DIR");
        }
        if self.data_dir.as_os_str().is_empty() {
            problems.push("data_dir is empty: name a folder");
        }
        if exposure == Exposure::LoopbackOnly && !self.bind.ip().is_loopback() {
            problems.push(format!(
                "bind = \"{}\" can be reached from other machines, and there are no API keys yet, so that anybody who \
                 can reach it may read, change and delete everything; bind a loopback address such as 127.0.0.1:8080, \
                 or pass --insecure if the network itself is trusted",
                self.bind
            ));
        }
        self.http.validate(&mut problems);
        sections::validate_pictures(&self.pictures, &mut problems);
        self.embed.validate(&mut problems);
        self.search.validate(&mut problems);
        self.index.validate(&mut problems);
        self.store.validate(&mut problems);
        self.monitor.validate(&mut problems);
        problems.into_result()
    }
}

/// Collects what is wrong, so that an operator mends a file in one round.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn push(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    /// Complains unless `low <= value <= high`; the type of the bounds is that of the key.
    fn range<T: Copy + PartialOrd + std::fmt::Display>(&mut self, key: &str, value: T, low: T, high: T) {
        // Written so that NaN, which compares false with everything, is refused.
        if !(value >= low && value <= high) {
            self.push(format!("{key} must be between {low} and {high}, got {value}"));
        }
    }

    fn one_of(&mut self, key: &str, value: &str, known: &[&str]) {
        if !known.contains(&value) {
            self.push(format!("{key} must be one of {}, got \"{value}\"", known.join(", ")));
        }
    }

    fn into_result(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(ConfigError::Invalid { problems: self.0 }) }
    }
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable() -> ServeConfig {
        ServeConfig { checkpoint: PathBuf::from("checkpoint"), ..ServeConfig::default() }
    }

    fn problems(config: &ServeConfig) -> Vec<String> {
        match config.validate(Exposure::LoopbackOnly) {
            Err(ConfigError::Invalid { problems }) => problems,
            other => panic!("expected problems, got {other:?}"),
        }
    }

    #[test]
    fn defaults_are_valid_and_survive_a_round_trip_through_toml() {
        let config = usable();
        config.validate(Exposure::LoopbackOnly).unwrap();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(ServeConfig::from_toml(&text, "text").unwrap(), config);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let error = ServeConfig::from_toml("device = \"cpu\"\n[index]\nengnie = \"hnsw\"\n", "serve.toml").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("serve.toml:3:1: unknown field `engnie`"), "{text}");
        assert!(text.contains("`engine`"), "it lists the known keys: {text}");
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let mut config = usable();
        config.index.engine = "tree".to_owned();
        config.monitor.cpu_share = f64::NAN;
        config.pictures.max_pixels = 0;
        let found = problems(&config);
        assert_eq!(found.len(), 3, "{found:?}");
        for key in ["index.engine", "monitor.cpu_share", "pictures.max_pixels"] {
            assert!(found.iter().any(|problem| problem.starts_with(key)), "{key} in {found:?}");
        }
    }

    #[test]
    fn only_the_word_insecure_opens_the_server_to_other_machines() {
        let config = ServeConfig { bind: "0.0.0.0:8080".parse().unwrap(), ..usable() };
        assert!(problems(&config)[0].contains("--insecure"));
        config.validate(Exposure::Insecure).unwrap();
    }

    #[test]
    fn intensities_may_be_written_as_fractions() {
        let config = ServeConfig::from_toml("[monitor]\nepsilon = \"77/255\"\nalpha = 0.01\n", "text").unwrap();
        assert_eq!(config.monitor.epsilon, 77.0 / 255.0);
        assert_eq!(config.monitor.alpha, 0.01);
    }

    #[test]
    fn the_reference_file_shows_every_key_with_its_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/serve/holdfast.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(ServeConfig::load(&path).unwrap(), ServeConfig::default());

        let defaults = toml::to_string(&ServeConfig::default()).unwrap();
        let keys = defaults.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
        for key in keys.chain(["canary"]) {
            assert!(text.contains(&format!("\n{key} = ")) || text.contains(&format!("\n# {key} = ")), "{key}");
        }
    }
}
