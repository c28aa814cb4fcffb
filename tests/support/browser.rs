//! Chromium without a window, driven over its DevTools protocol: the few commands that these tests need.
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
    complaints: Vec<String>,
}

/// How a page is shown.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Whether the user prefers dark colours.
    pub dark: bool,
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
        let mut page = Self { browser, _profile: profile, socket, commands: 0, complaints: Vec::new() };
        for domain in ["Page", "Runtime", "Log"] {
            page.command(&format!("{domain}.enable"), &json!({}));
        }
        page.go_to(address);
        page
    }

    /// Opens another address.
    ///
    /// # Panics
    /// If the browser refuses.
    pub fn go_to(&mut self, address: &str) {
        self.command("Page.navigate", &json!({ "url": address }));
    }

    /// Runs a script in every page that is opened from now on, before the page's own.
    ///
    /// # Panics
    /// If the browser refuses.
    pub fn run_first(&mut self, script: &str) {
        self.command("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script }));
    }

    /// Shows the page on another screen.
    ///
    /// # Panics
    /// If the browser refuses.
    pub fn show_on(&mut self, screen: Screen) {
        let Screen { width, height, dark } = screen;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let preferences = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.command("Emulation.setEmulatedMedia", &json!({ "features": preferences }));
    }

    /// Presses and releases a key: `Tab`, `Enter`, `Escape`, or a space.
    ///
    /// # Panics
    /// If the browser refuses.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            _ => (32, " "),
        };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code, "text": text });
            self.command("Input.dispatchKeyEvent", &event);
        }
    }

    /// Writes text where the focus is.
    ///
    /// # Panics
    /// If the browser refuses.
    pub fn write(&mut self, text: &str) {
        self.command("Input.insertText", &json!({ "text": text }));
    }

    /// Names and roles of what a screen reader finds: `(role, name)`.
    ///
    /// # Panics
    /// If the browser refuses.
    pub fn accessible_names(&mut self) -> Vec<(String, String)> {
        let tree = self.command("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().expect("the tree is a list of nodes");
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        let heard = nodes.iter().filter(|node| node["ignored"] == json!(false));
        heard.map(|node| (text(&node["role"]), text(&node["name"]))).collect()
    }

    /// What the browser's console complained of so far: exceptions, errors, breaches of the content security policy. That
    /// something asked for is not there is no complaint.
    pub fn complaints(&mut self) -> &[String] {
        // Events wait in the socket until a command reads past them.
        self.value("0");
        &self.complaints
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
            self.complaints.extend(complaint(&answer));
            if answer["id"] == json!(self.commands) {
                assert!(answer.get("error").is_none(), "{method} failed: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

/// The words of an event that is a complaint.
fn complaint(event: &Value) -> Option<String> {
    let parameters = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(parameters["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if parameters["type"] == "error" => Some(parameters["args"].to_string()),
        "Log.entryAdded" if parameters["entry"]["level"] == "error" => {
            let text = parameters["entry"]["text"].as_str().unwrap_or_default();
            (!text.contains("status of 404")).then(|| text.to_owned())
        }
        _ => None,
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
