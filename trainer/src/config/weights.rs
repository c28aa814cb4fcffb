//! Published weights that training starts from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A published weight file: the table `weights`. Without `hub` it is a file on this machine, with it one of a repository
/// on the Hugging Face Hub, at one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightsConfig {
    /// A safetensors file. On this machine, a relative path starts in the configuration file's folder, or else in the
    /// folder of shared data.
    pub file: PathBuf,
    /// The repository, `owner/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// Its commit, 40 hexadecimal digits: a branch would be another file tomorrow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The file's checksum, 64 hexadecimal digits. It may be absent for a file on this machine; a checkpoint's
    /// configuration holds it in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl WeightsConfig {
    /// Every value that makes no sense.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.file.as_os_str().is_empty() {
            problems.push("weights.file is empty: name a safetensors file".to_owned());
        }
        if let Some(sha256) = self.sha256.as_deref().filter(|sha256| !is_hexadecimal(sha256, 64)) {
            problems.push(format!("weights.sha256 must be 64 hexadecimal digits, got \"{sha256}\""));
        }
        match (&self.hub, &self.revision) {
            (None, None) => {}
            (None, Some(_)) => {
                problems.push("weights.revision has no meaning without weights.hub: remove it".to_owned());
            }
            (Some(hub), revision) => problems.extend(self.problems_of_hub(hub, revision.as_deref())),
        }
        problems
    }

    fn problems_of_hub(&self, hub: &str, revision: Option<&str>) -> Vec<String> {
        let mut problems = Vec::new();
        let names: Vec<&str> = hub.split('/').collect();
        let plain = |name: &&str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
        };
        if names.len() != 2 || !names.iter().all(plain) {
            problems.push(format!("weights.hub must be owner/name, got \"{hub}\""));
        }
        if !revision.is_some_and(|revision| is_hexadecimal(revision, 40)) {
            let got = revision.map_or("nothing".to_owned(), |revision| format!("\"{revision}\""));
            problems.push(format!(
                "weights.revision must be a commit of the repository, 40 hexadecimal digits, got {got}: a branch changes"
            ));
        }
        if self.sha256.is_none() {
            problems.push("weights.sha256 is missing: the repository's page shows it beside the file".to_owned());
        }
        let inside = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
        if !self.file.components().all(inside) {
            problems
                .push(format!("weights.file must be a path inside the repository, got \"{}\"", self.file.display()));
        }
        problems
    }
}

fn is_hexadecimal(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
