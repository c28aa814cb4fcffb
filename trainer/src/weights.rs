//! Where published weights lie: on this machine, or on the Hugging Face Hub.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};

use crate::config::WeightsConfig;
use crate::error::{Error, Result};

/// The Hugging Face Hub, and the folder that keeps what was downloaded.
pub struct Hub {
    cache: Cache,
    /// Another server than huggingface.co.
    endpoint: Option<String>,
}

impl Hub {
    /// The usual one, with the cache that other programs of Hugging Face use; `HF_HOME` and `HF_ENDPOINT` move them.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { cache: Cache::from_env(), endpoint: None }
    }

    /// Another server, and a cache of its own.
    #[must_use]
    pub fn at(endpoint: &str, cache: &Path) -> Self {
        Self { cache: Cache::new(cache.to_path_buf()), endpoint: Some(endpoint.to_owned()) }
    }

    /// The path of a repository's file, which is downloaded unless it is in the cache.
    fn fetch(&self, repository: &str, revision: &str, file: &Path) -> Result<PathBuf> {
        let repo = || Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned());
        let cached = self.cache.repo(repo()).pointer_path(revision).join(file);
        if cached.is_file() {
            return Ok(cached);
        }
        let builder = match &self.endpoint {
            None => ApiBuilder::from_env(),
            Some(endpoint) => ApiBuilder::from_cache(self.cache.clone()).with_endpoint(endpoint.clone()),
        };
        let api = builder.with_progress(false).build();
        api.and_then(|api| api.repo(repo()).download(&file.to_string_lossy())).map_err(|source| Error::Download {
            file: file.to_path_buf(),
            repository: repository.to_owned(),
            revision: revision.to_owned(),
            cached,
            source: Box::new(source),
        })
    }
}

/// The path of the weights on this machine. A relative one is looked for in `config_folder`, then in `shared`.
///
/// # Errors
/// If there is no such file, or it cannot be downloaded.
pub fn locate(weights: &WeightsConfig, config_folder: &Path, shared: Option<&Path>, hub: &Hub) -> Result<PathBuf> {
    if let (Some(repository), Some(revision)) = (&weights.hub, &weights.revision) {
        return hub.fetch(repository, revision, &weights.file);
    }
    let places: Vec<PathBuf> = match weights.file.is_absolute() {
        true => vec![weights.file.clone()],
        false => [Some(config_folder), shared].into_iter().flatten().map(|folder| folder.join(&weights.file)).collect(),
    };
    match places.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(Error::NoWeights { file: weights.file.clone(), places }),
    }
}
