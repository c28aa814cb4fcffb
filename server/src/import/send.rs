//! Sends batches to a server: only what it lacks, and again what it was too busy for.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Rejected;
use super::entry::Entry;
use crate::client::{Client, ClientError, Refusal};

/// How often a batch is sent before the import gives up on a busy server.
const ATTEMPTS: u32 = 20;
/// How often it is sent to a server that does not answer, as while it is restarted; the waits double from one second.
const ATTEMPTS_TO_REACH: u32 = 6;

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Pictures that the server had already, with the same metadata.
    pub(super) unchanged: usize,
    /// Those that were not stored.
    pub(super) rejected: Vec<Rejected>,
}

/// Stores batches on one server.
pub(super) struct Sender<'a> {
    client: &'a Client,
    /// Whether to ask for what is there; not if it is empty, or the key may not read.
    compares: AtomicBool,
}

#[derive(Deserialize)]
struct Stored {
    metadata: Map<String, Value>,
    picture: StoredPicture,
}

#[derive(Deserialize)]
struct StoredPicture {
    sha256: String,
}

#[derive(Deserialize)]
struct BatchReply {
    results: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    status: u16,
    code: String,
    detail: String,
}

/// An entry and its line of NDJSON.
type Waiting = (Entry, Vec<u8>);

impl<'a> Sender<'a> {
    pub(super) fn new(client: &'a Client, compares: bool) -> Self {
        Sender { client, compares: AtomicBool::new(compares) }
    }

    /// Stores what the server lacks.
    ///
    /// # Errors
    /// If the server cannot be reached, stays too busy, refuses everything, or cannot write.
    pub(super) fn store(&self, batch: Vec<Entry>) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut waiting = Vec::new();
        for entry in batch {
            match entry.picture.read() {
                Ok(picture) if self.has(&entry, &picture)? => outcome.unchanged += 1,
                Ok(picture) => {
                    let line = line(&entry, &picture);
                    waiting.push((entry, line));
                }
                Err(error) => outcome.rejected.push(reject(entry, None, format!("cannot read the file: {error}"))),
            }
        }
        self.send_all(waiting, &mut outcome.rejected)?;
        Ok(outcome)
    }

    /// Whether the server holds this picture with this metadata under this id.
    fn has(&self, entry: &Entry, picture: &[u8]) -> anyhow::Result<bool> {
        // An id that is none would ask for another path; the server says what is wrong with it when it is stored.
        if !self.compares.load(Ordering::Relaxed) || !is_id(&entry.id) {
            return Ok(false);
        }
        match self.patiently(|| self.client.get::<Stored>(&format!("/v1/items/{}", entry.id))) {
            Ok(stored) => {
                let same_picture = stored.picture.sha256 == sha256(picture);
                Ok(same_picture && is_same_object(&stored.metadata, &entry.metadata))
            }
            Err(ClientError::Refused(Refusal { status: 404, .. })) => Ok(false),
            Err(ClientError::Refused(refusal)) if refusal.status == 403 => {
                self.compares.store(false, Ordering::Relaxed);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends everything; a batch that is too much for the server is halved.
    fn send_all(&self, waiting: Vec<Waiting>, rejected: &mut Vec<Rejected>) -> anyhow::Result<()> {
        let mut stack = vec![waiting];
        while let Some(mut waiting) = stack.pop() {
            if waiting.is_empty() {
                continue;
            }
            match self.send(&waiting) {
                Ok(answers) => stack.push(sort_out(waiting, answers, rejected)?),
                Err(ClientError::Refused(refusal)) if is_about_the_batch(&refusal) => match waiting.len() {
                    1 => rejected
                        .extend(waiting.pop().map(|(entry, _)| reject(entry, Some(refusal.code), refusal.detail))),
                    several => {
                        let half = waiting.split_off(several / 2);
                        stack.extend([half, waiting]);
                    }
                },
                Err(error) => return Err(error).with_context(|| format!("cannot store on {}", self.client.address())),
            }
        }
        Ok(())
    }

    fn send(&self, waiting: &[Waiting]) -> Result<Vec<Answer>, ClientError> {
        let body: Cow<'_, [u8]> = match waiting {
            [(_, line)] => Cow::Borrowed(line),
            several => Cow::Owned(several.iter().flat_map(|(_, line)| line.iter().copied()).collect()),
        };
        let send = || self.client.post_bytes("/v1/items:batch", "application/x-ndjson", &body);
        let reply: BatchReply = self.patiently(send)?;
        Ok(reply.results)
    }

    /// Asks until there is an answer: waits as long as a busy server says, and a little for one that is being restarted.
    fn patiently<T>(&self, ask: impl Fn() -> Result<T, ClientError>) -> Result<T, ClientError> {
        let (mut busy, mut absent) = (0, 0);
        loop {
            let (wait, error) = match ask() {
                Err(ClientError::Refused(refusal)) if refusal.is_temporary() => {
                    busy += 1;
                    (refusal.retry_after.unwrap_or(Duration::from_secs(1)), ClientError::Refused(refusal))
                }
                Err(error @ ClientError::Unreachable { .. }) => {
                    absent += 1;
                    (Duration::from_secs(1 << absent.min(5)) / 2, error)
                }
                answered => return answered,
            };
            if busy == ATTEMPTS || absent == ATTEMPTS_TO_REACH {
                return Err(error);
            }
            sleep(wait);
        }
    }
}

/// Whether fewer pictures, or the others, may still be stored.
fn is_about_the_batch(refusal: &Refusal) -> bool {
    (400..500).contains(&refusal.status) && !refusal.is_about_access() && !refusal.is_temporary()
}

/// Keeps what has to be sent again; what was refused for good goes to `rejected`.
fn sort_out(waiting: Vec<Waiting>, answers: Vec<Answer>, rejected: &mut Vec<Rejected>) -> anyhow::Result<Vec<Waiting>> {
    if answers.len() != waiting.len() {
        bail!("the server answered {} results for {} pictures", answers.len(), waiting.len());
    }
    let mut again = Vec::new();
    for ((entry, line), answer) in waiting.into_iter().zip(answers) {
        match answer.error {
            None => {}
            Some(problem) if matches!(problem.status, 429 | 503) => again.push((entry, line)),
            // The server is ill, and would refuse all that follow.
            Some(problem) if problem.status >= 500 => {
                bail!("the server cannot store {}: {}", entry.source, problem.detail)
            }
            Some(problem) => rejected.push(reject(entry, Some(problem.code), problem.detail)),
        }
    }
    if !again.is_empty() {
        sleep(Duration::from_secs(1));
    }
    Ok(again)
}

/// One line of NDJSON.
fn line(entry: &Entry, picture: &[u8]) -> Vec<u8> {
    let image = json!({ "base64": BASE64_STANDARD.encode(picture) });
    let item = json!({ "id": entry.id, "image": image, "metadata": entry.metadata });
    let mut line = item.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn reject(entry: Entry, code: Option<String>, detail: String) -> Rejected {
    Rejected { source: entry.source, id: Some(entry.id), code, detail }
}

fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed) && !text.bytes().all(|byte| byte == b'.')
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether two flat objects say the same; 1 and 1.0 are the same number.
fn is_same_object(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    let is_same = |a: &Value, b: &Value| a == b || a.as_f64().is_some_and(|number| b.as_f64() == Some(number));
    a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| is_same(value, other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_the_same_whatever_the_order_and_the_form_of_numbers() {
        let object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let stored = object(r#"{"label": "boot", "price": 80, "sizes": ["41"]}"#);
        assert!(is_same_object(&stored, &object(r#"{"price": 80.0, "sizes": ["41"], "label": "boot"}"#)));
        for other in [r#"{"label": "boot", "price": 80}"#, r#"{"label": "boot", "price": 81, "sizes": ["41"]}"#] {
            assert!(!is_same_object(&stored, &object(other)), "{other}");
        }
    }

    #[test]
    fn what_would_ask_for_another_path_is_no_id() {
        for odd in ["", "..", "a/b", "a?b", "ä"] {
            assert!(!is_id(odd), "{odd:?}");
        }
        assert!(is_id("boots.7:left-a"));
    }
}
