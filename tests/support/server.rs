//! A server as a process: started, asked over HTTP, stopped or killed.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Method, Request};

/// The words before the address, on the line that says that connections are taken.
const READY: &str = "listening on http://";
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `holdfast serve`; killed when dropped.
pub struct Server {
    child: Mutex<Child>,
    address: String,
    agent: Agent,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Media type of the body.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Server {
    /// Starts a server and waits until it listens.
    ///
    /// # Panics
    /// If it ends, or says nothing for a minute, instead.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program can be run");
        let stderr = Arc::new(Mutex::new(String::new()));
        let pipe = child.stderr.take().expect("standard error is piped");
        let (reader, addresses) = follow(pipe, Arc::clone(&stderr));
        let Ok(address) = addresses.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("the server did not start:\n{}", stderr.lock().unwrap_or_else(PoisonError::into_inner));
        };
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Self { child: Mutex::new(child), address, agent: config.into(), stderr, reader: Some(reader) }
    }

    /// The address of a path on this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request; an error is that of the connection, as when the server dies meanwhile.
    ///
    /// # Errors
    /// If no answer comes.
    pub fn try_send(&self, method: Method, path: &str, kind: &str, body: &[u8]) -> Result<Answer, ureq::Error> {
        let request = Request::builder().method(method).uri(self.url(path)).header("Content-Type", kind);
        let mut response = self.agent.run(request.body(body).expect("the request is well-formed"))?;
        let content_type = response.headers().get("Content-Type").and_then(|value| value.to_str().ok());
        Ok(Answer {
            content_type: content_type.unwrap_or_default().to_owned(),
            status: response.status().as_u16(),
            body: response.body_mut().read_to_vec()?,
        })
    }

    /// GET.
    ///
    /// # Panics
    /// If no answer comes.
    pub fn get(&self, path: &str) -> Answer {
        self.try_send(Method::GET, path, "application/json", b"").expect("the server answers")
    }

    /// POST of JSON.
    ///
    /// # Panics
    /// If no answer comes.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let bytes = body.to_string().into_bytes();
        self.try_send(Method::POST, path, "application/json", &bytes).expect("the server answers")
    }

    /// Stores a picture as an item without metadata.
    ///
    /// # Errors
    /// If no answer comes.
    pub fn try_put(&self, id: &str, picture: &[u8]) -> Result<Answer, ureq::Error> {
        self.try_send(Method::PUT, &format!("/v1/items/{id}"), "image/png", picture)
    }

    /// Stores a picture as an item with a label, as a form.
    ///
    /// # Panics
    /// If no answer comes.
    pub fn put_labelled(&self, id: &str, label: &str, picture: &[u8]) -> Answer {
        let item = json!({"metadata": {"label": label}}).to_string();
        let form = form(&[("item", item.as_bytes()), ("image", picture)]);
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.try_send(Method::PUT, &format!("/v1/items/{id}"), &kind, &form).expect("the server answers")
    }

    /// Searches by a picture.
    ///
    /// # Panics
    /// If no answer comes.
    pub fn search(&self, picture: &[u8], limit: usize) -> Answer {
        let path = format!("/v1/search?limit={limit}");
        self.try_send(Method::POST, &path, "image/png", picture).expect("the server answers")
    }

    /// The ids found by a picture, nearest first.
    ///
    /// # Panics
    /// If the search does not succeed.
    pub fn found(&self, picture: &[u8], limit: usize) -> Vec<String> {
        let answer = self.search(picture, limit);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let reply = answer.json();
        let hits = reply["hits"].as_array().expect("a search answers with hits");
        hits.iter().map(|hit| hit["id"].as_str().expect("a hit has an id").to_owned()).collect()
    }

    /// Ends the process as a power cut would: no handler of it runs.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(&self) {
        let mut child = self.child();
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }

    /// Stops the process where it stands, until it is killed.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn halt(&self) {
        let id = self.child().id().to_string();
        let sent = Command::new("kill").args(["-STOP", &id]).status().expect("kill can be run");
        assert!(sent.success(), "the server could not be sent a signal");
        // A thread that waits for the disk stops when the disk has answered.
        crate::wait_for("every thread to stop", PATIENCE, || {
            let threads = std::fs::read_dir(format!("/proc/{id}/task")).expect("a halted process has threads");
            let stopped = |path: std::path::PathBuf| {
                let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
                stat.rsplit(')').next().is_some_and(|fields| fields.trim_start().starts_with('T'))
            };
            threads.filter_map(Result::ok).all(|thread| stopped(thread.path())).then_some(())
        });
    }

    /// Asks the process to stop and waits until it has; returns how, and all that it wrote to standard error.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn stop(mut self) -> (ExitStatus, String) {
        let id = self.child().id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill can be run");
        assert!(sent.success(), "the server could not be sent a signal");
        let status = self.child().wait().expect("a child can be waited for");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader of standard error does not panic");
        }
        (status, self.stderr())
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the process has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Collects what a server writes, and tells the address as soon as it is known.
fn follow(pipe: ChildStderr, collected: Arc<Mutex<String>>) -> (JoinHandle<()>, Receiver<String>) {
    let (sender, receiver) = channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once(READY) {
                let _ = sender.send(address.trim().trim_end_matches('/').to_owned());
            }
            let mut collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
            collected.push_str(&line);
            collected.push('\n');
        }
    });
    (reader, receiver)
}

const BOUNDARY: &str = "holdfast-end-to-end";

/// A multipart form of named parts.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, content) in parts {
        form.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes());
        form.extend(*content);
        form.extend(b"\r\n");
    }
    form.extend(format!("--{BOUNDARY}--\r\n").bytes());
    form
}
