//! Sends batches of pictures to a server, and sends again what it was too busy for.

use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::json;
use ureq::Agent;
use ureq::http::Response;

use super::folder::Picture;

/// How often a batch is sent before the import gives up on the server.
const ATTEMPTS: usize = 20;
/// The longest wait that a server may ask for; a longer one is cut.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REPLY_TIMEOUT: Duration = Duration::from_secs(300);

/// A picture that was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The file.
    pub path: std::path::PathBuf,
    /// Why, in the words of the server or of the system.
    pub reason: String,
}

/// A server, as the import sees it.
pub(super) struct Client {
    agent: Agent,
    address: String,
}

#[derive(Deserialize)]
struct BatchReply {
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

impl Problem {
    /// Whether the same request may succeed later.
    fn is_temporary(&self) -> bool {
        self.code == "overloaded" || self.code == "not_ready"
    }
}

/// What one sending of a batch led to.
enum Sent {
    /// One outcome per picture, in order.
    Answered(Vec<Outcome>),
    /// The server, or one on the way to it, asks to come back later.
    Busy(Duration),
    /// The batch as a whole was refused.
    Refused(String),
}

impl Client {
    /// A client of the server at `url`; nothing is sent yet.
    pub(super) fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(REPLY_TIMEOUT))
            .build();
        Client { agent: config.into(), address: url.trim_end_matches('/').to_owned() }
    }

    /// Fails unless a server answers at the address.
    pub(super) fn greet(&self) -> anyhow::Result<()> {
        let answer = self.agent.get(format!("{}/livez", self.address)).call();
        let status = answer.with_context(|| format!("cannot reach {}; is the server running?", self.address))?.status();
        if !status.is_success() {
            bail!("{} answered {status} to /livez; is that a Holdfast server?", self.address);
        }
        Ok(())
    }

    /// Stores a batch and tells which pictures were refused.
    ///
    /// # Errors
    /// If the server cannot be reached, or stays too busy.
    pub(super) fn store(&self, batch: &[Picture]) -> anyhow::Result<Vec<Rejected>> {
        let mut rejected = Vec::new();
        let mut waiting = Vec::new();
        for picture in batch {
            match line(picture) {
                Ok(line) => waiting.push((picture, line)),
                Err(error) => rejected.push(reject(picture, error.to_string())),
            }
        }
        for _ in 0..ATTEMPTS {
            if waiting.is_empty() {
                return Ok(rejected);
            }
            match self.send(&waiting)? {
                Sent::Busy(wait) => sleep(wait),
                Sent::Refused(reason) => {
                    rejected.extend(waiting.drain(..).map(|(picture, _)| reject(picture, reason.clone())));
                }
                Sent::Answered(outcomes) => {
                    waiting = sort_out(waiting, outcomes, &mut rejected);
                    if !waiting.is_empty() {
                        sleep(Duration::from_secs(1));
                    }
                }
            }
        }
        if waiting.is_empty() {
            return Ok(rejected);
        }
        bail!("{} is still too busy after {ATTEMPTS} attempts; try a smaller --concurrency", self.address)
    }

    fn send(&self, waiting: &[(&Picture, Vec<u8>)]) -> anyhow::Result<Sent> {
        let body: Vec<u8> = waiting.iter().flat_map(|(_, line)| line.iter().copied()).collect();
        let request = self.agent.post(format!("{}/v1/items:batch", self.address)).content_type("application/x-ndjson");
        let mut response = request.send(&body[..]).with_context(|| format!("cannot reach {}", self.address))?;
        let status = response.status();
        if status == 429 || status == 503 {
            return Ok(Sent::Busy(wait(&response)));
        }
        let body = response.body_mut();
        if !status.is_success() {
            let problem: Result<Problem, _> = body.read_json();
            let reason = problem.map_or_else(|_| format!("the server answered {status}"), |problem| problem.detail);
            return Ok(Sent::Refused(reason));
        }
        let reply: BatchReply = body.read_json().context("the server's reply is not that of a Holdfast server")?;
        if reply.results.len() != waiting.len() {
            bail!("the server answered {} results for {} pictures", reply.results.len(), waiting.len());
        }
        Ok(Sent::Answered(reply.results))
    }
}

/// Keeps what has to be sent again; what was refused for good goes to `rejected`.
fn sort_out<'a>(
    waiting: Vec<(&'a Picture, Vec<u8>)>,
    outcomes: Vec<Outcome>,
    rejected: &mut Vec<Rejected>,
) -> Vec<(&'a Picture, Vec<u8>)> {
    let mut again = Vec::new();
    for ((picture, line), outcome) in waiting.into_iter().zip(outcomes) {
        match outcome.error {
            None => {}
            Some(problem) if problem.is_temporary() => again.push((picture, line)),
            Some(problem) => rejected.push(reject(picture, problem.detail)),
        }
    }
    again
}

/// One line of NDJSON.
fn line(picture: &Picture) -> anyhow::Result<Vec<u8>> {
    let content = std::fs::read(&picture.path).context("cannot read the file")?;
    let item = json!({
        "id": picture.id,
        "image": { "base64": BASE64_STANDARD.encode(content) },
        "metadata": { "label": picture.label },
    });
    let mut line = serde_json::to_vec(&item)?;
    line.write_all(b"\n")?;
    Ok(line)
}

fn reject(picture: &Picture, reason: String) -> Rejected {
    Rejected { path: picture.path.clone(), reason }
}

/// The seconds of `Retry-After`, else one.
fn wait<B>(response: &Response<B>) -> Duration {
    let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(asked.unwrap_or(1)).min(LONGEST_WAIT)
}
