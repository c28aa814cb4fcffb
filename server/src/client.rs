//! A client of the HTTP API, for the commands that talk to a running server: `import`, `search`, `status`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REPLY_TIMEOUT: Duration = Duration::from_secs(300);
/// The longest wait that a server may ask for; a longer one is cut.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest reply that is read: a search for 1000 hits with all their metadata fits.
const MAX_REPLY_BYTES: u64 = 256 << 20;

/// An API key; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl FromStr for ApiKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = text.trim();
        match !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(ApiKey(key.to_owned())),
            false => Err("an API key is one or more visible ASCII characters without spaces"),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer came.
    #[error("cannot reach {address}; is the server running?: {source}")]
    Unreachable {
        /// The server.
        address: String,
        /// What the system says.
        source: Box<ureq::Error>,
    },
    /// The server said no.
    #[error(transparent)]
    Refused(Refusal),
    /// The answer is not one of this API.
    #[error("{address} answered {found}; is that a Holdfast server?")]
    Foreign {
        /// The server.
        address: String,
        /// What it answered.
        found: String,
    },
}

/// An error reply (RFC 9457), as far as a client needs it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server refused: {detail}{}", self.advice())]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The kind of problem.
    pub code: String,
    /// What happened, in the server's words.
    pub detail: String,
    /// How long it asks to wait before the same request.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self.status, 429 | 503)
    }

    /// Whether it is about who asks, not about what is asked.
    pub fn is_about_access(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    fn advice(&self) -> &'static str {
        match self.status {
            401 => "; give a key by HOLDFAST_API_KEY or --api-key",
            403 => "; give a key that may do this by HOLDFAST_API_KEY or --api-key",
            _ => "",
        }
    }
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

/// A server, as its clients see it.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    address: String,
    key: Option<ApiKey>,
}

impl Client {
    /// A client of the server at `url`, such as `http://127.0.0.1:8080`; nothing is sent yet.
    pub fn new(url: &str, key: Option<ApiKey>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A key that followed a redirect would reach another server.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(REPLY_TIMEOUT))
            .build();
        Client { agent: config.into(), address: url.trim_end_matches('/').to_owned(), key }
    }

    /// Where the server is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// GET of JSON.
    ///
    /// # Errors
    /// If no answer comes, it is an error, or it is not what was asked for.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(self.send("GET", path, "application/json", &[])?)
    }

    /// GET of text.
    ///
    /// # Errors
    /// If no answer comes, or it is an error.
    pub fn get_text(&self, path: &str) -> Result<String, ClientError> {
        let mut response = self.send("GET", path, "application/json", &[])?;
        response.body_mut().read_to_string().map_err(|source| self.unreachable(source))
    }

    /// POST of JSON.
    ///
    /// # Errors
    /// Those of [`Client::get`].
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, ClientError> {
        self.post_bytes(path, "application/json", body.to_string().as_bytes())
    }

    /// POST of anything.
    ///
    /// # Errors
    /// Those of [`Client::get`].
    pub fn post_bytes<T: DeserializeOwned>(&self, path: &str, kind: &str, body: &[u8]) -> Result<T, ClientError> {
        self.json(self.send("POST", path, kind, body)?)
    }

    fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<Response<Body>, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.address));
        if let Some(ApiKey(key)) = &self.key {
            request = request.header("api-key", key);
        }
        let sent = match method {
            "GET" => request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request)),
            _ => request
                .header("Content-Type", kind)
                .body(body)
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
        };
        let response = sent.map_err(|source| self.unreachable(source))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response)) }
    }

    fn json<T: DeserializeOwned>(&self, mut response: Response<Body>) -> Result<T, ClientError> {
        let body = response.body_mut().with_config().limit(MAX_REPLY_BYTES).read_to_vec();
        let body = body.map_err(|source| self.unreachable(source))?;
        serde_json::from_slice(&body).map_err(|error| self.foreign(format!("something else than expected ({error})")))
    }

    fn refusal(&self, mut response: Response<Body>) -> ClientError {
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = header.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
        match response.body_mut().read_json::<Problem>() {
            Ok(Problem { code, detail }) => ClientError::Refused(Refusal { status, code, detail, retry_after }),
            // Something on the way, such as a proxy, may be busy as well.
            Err(_) if matches!(status, 429 | 503) => {
                let detail = format!("status {status}");
                ClientError::Refused(Refusal { status, code: "overloaded".to_owned(), detail, retry_after })
            }
            Err(_) => self.foreign(format!("status {status}")),
        }
    }

    fn unreachable(&self, source: ureq::Error) -> ClientError {
        ClientError::Unreachable { address: self.address.clone(), source: Box::new(source) }
    }

    fn foreign(&self, found: String) -> ClientError {
        ClientError::Foreign { address: self.address.clone(), found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let key: ApiKey = "secret-key".parse().unwrap();
        let client = Client::new("http://127.0.0.1:1", Some(key.clone()));
        for text in [format!("{key:?}"), format!("{client:?}")] {
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_key() {
        for odd in ["", "  ", "two words", "line\nbreak", "schlüssel"] {
            assert!(odd.parse::<ApiKey>().is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_named() {
        let error = Client::new("http://127.0.0.1:1/", None).get::<Value>("/healthz").unwrap_err();
        assert!(error.to_string().starts_with("cannot reach http://127.0.0.1:1;"), "{error}");
    }
}
