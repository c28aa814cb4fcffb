//! Chromium without a window, driven over its DevTools protocol: the four commands that these tests need.
//!
//! Source: <https://chromedevtools.github.io/devtools-protocol/>

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use crate::wait_for;

/// Names under which distributions install the browser.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1440,1100",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
];

/// The browser, if it is installed.
pub fn chromium() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let candidates = std::env::split_paths(&folders).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    candidates.into_iter().find(|path| path.is_file())
}

/// A page in a browser of its own; the browser ends when this is dropped.
pub struct Page {
    browser: Child,
    _profile: TempDir,
    socket: WebSocket<TcpStream>,
    commands: u64,
}

impl Page {
    /// Starts the browser and opens an address.
    ///
    /// # Panics
    /// If the browser does not start or does not answer.
    pub fn open(chromium: &Path, address: &str) -> Self {
        let profile = tempfile::tempdir().expect("a scratch folder can be made");
        let mut command = Command::new(chromium);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        let mut browser = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the browser can be run");
        let port = debugging_port(&mut browser);
        let socket = connect(port);
        let mut page = Self { browser, _profile: profile, socket, commands: 0 };
        page.command("Page.enable", &json!({}));
        page.command("Page.navigate", &json!({ "url": address }));
        page
    }

    /// The value of a JavaScript expression; promises are awaited.
    ///
    /// # Panics
    /// If the expression throws.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let reply = self.command("Runtime.evaluate", &parameters);
        assert!(reply.get("exceptionDetails").is_none(), "{expression} threw: {reply}");
        reply["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true.
    ///
    /// # Panics
    /// If it is not within `patience`.
    pub fn wait_until(&mut self, expression: &str, patience: Duration) {
        wait_for(expression, patience, || (self.value(expression) == json!(true)).then_some(()));
    }

    /// Chooses a file in the file input that `selector` finds, as a user does in the dialogue.
    ///
    /// # Panics
    /// If there is no such input.
    pub fn choose_file(&mut self, selector: &str, file: &Path) {
        let document = self.command("DOM.getDocument", &json!({}))["root"]["nodeId"].clone();
        let found = self.command("DOM.querySelector", &json!({ "nodeId": document, "selector": selector }));
        let parameters = json!({ "nodeId": found["nodeId"], "files": [file] });
        self.command("DOM.setFileInputFiles", &parameters);
    }

    /// The page as a PNG file.
    ///
    /// # Panics
    /// If the browser gives none.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let parameters = json!({ "format": "png", "captureBeyondViewport": true });
        let reply = self.command("Page.captureScreenshot", &parameters);
        let text = reply["data"].as_str().expect("a screenshot is text");
        base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).expect("a screenshot is base64")
    }

    /// Sends a command and waits for its answer; events are skipped.
    fn command(&mut self, method: &str, parameters: &Value) -> Value {
        self.commands += 1;
        let request = json!({ "id": self.commands, "method": method, "params": parameters });
        self.socket.send(Message::text(request.to_string())).expect("the browser listens");
        loop {
            let message = self.socket.read().expect("the browser answers");
            let Ok(text) = message.to_text() else { continue };
            let answer: Value = serde_json::from_str(text).unwrap_or(Value::Null);
            if answer["id"] == json!(self.commands) {
                assert!(answer.get("error").is_none(), "{method} failed: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

/// The port in "DevTools listening on ws://127.0.0.1:PORT/…", which the browser writes when it is ready.
fn debugging_port(browser: &mut Child) -> u16 {
    let stderr = browser.stderr.take().expect("standard error is piped");
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let line = lines.find_map(|line| line.split_once("listening on ws://127.0.0.1:").map(|(_, rest)| rest.to_owned()));
    let port = line.and_then(|rest| rest.split('/').next()?.parse().ok()).expect("the browser tells its port");
    // The pipe is read to its end, or the browser would stand still when it is full.
    std::thread::spawn(move || lines.for_each(drop));
    port
}

/// The socket of the browser's one page.
fn connect(port: u16) -> WebSocket<TcpStream> {
    let address = wait_for("the browser's page", Duration::from_secs(20), || {
        let mut answer = ureq::get(format!("http://127.0.0.1:{port}/json")).call().ok()?;
        let targets: Value = serde_json::from_slice(&answer.body_mut().read_to_vec().ok()?).ok()?;
        let page = targets.as_array()?.iter().find(|target| target["type"] == "page")?;
        Some(page["webSocketDebuggerUrl"].as_str()?.to_owned())
    });
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the browser listens");
    let (socket, _) = tungstenite::client(address, stream).expect("the browser speaks WebSocket");
    socket
}
