//! A server in this process, a client, and things to send.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use actix_web::dev::ServerHandle;
use actix_web::rt::System;
use candle_core::{DType, Device};
use holdfast_model::EmbeddingNet;
use holdfast_model::checkpoint::{self, DatasetFingerprint, NewCheckpoint};
use holdfast_server::config::ServeConfig;
use holdfast_server::http::{self, AppState};
use holdfast_server::metrics::Metrics;
use holdfast_server::service::Service;
use holdfast_server::service::monitor::Monitor;
use image::{DynamicImage, ImageFormat, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::{HeaderMap, Method, Request};

/// A running server with a folder of its own; stops when dropped.
pub struct Server {
    address: String,
    agent: Agent,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    pub folder: TempDir,
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    /// A server with the default limits.
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// A server whose configuration was changed.
    pub fn start_with(change: impl FnOnce(&mut ServeConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        save_checkpoint(&folder.path().join("checkpoint"));
        let mut config = ServeConfig {
            checkpoint: folder.path().join("checkpoint"),
            data_dir: folder.path().join("data"),
            ..ServeConfig::default()
        };
        config.monitor.enabled = false;
        change(&mut config);
        let listener = http::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (handle, thread) = serve(listener, config);
        let agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
        Server { address, agent, handle, thread: Some(thread), folder }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.agent.run(request.body(body).unwrap()).unwrap();
        let body = response.body_mut().read_to_vec().unwrap();
        Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], b"")
    }

    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Answer {
        self.send(Method::POST, path, &[("Content-Type", content_type)], body)
    }

    pub fn put(&self, path: &str, content_type: &str, body: &[u8]) -> Answer {
        self.send(Method::PUT, path, &[("Content-Type", content_type)], body)
    }

    pub fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.post(path, "application/json", body.to_string().as_bytes())
    }

    /// Stores a picture under an id.
    pub fn store(&self, id: &str, picture: &[u8]) {
        let answer = self.put(&format!("/v1/items/{id}"), "image/png", picture);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        System::new().block_on(self.handle.stop(false));
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || ended.is_some_and(|ended| ended.is_ok()), "the server panicked");
    }
}

fn serve(listener: TcpListener, config: ServeConfig) -> (ServerHandle, JoinHandle<()>) {
    let metrics = Arc::new(Metrics::new());
    let service = Service::open(&config, Arc::clone(&metrics)).unwrap();
    let monitor = Arc::new(Monitor::start(Arc::clone(&service), &config.monitor, Arc::clone(&metrics)));
    let state = AppState::new(service, monitor, metrics, config);
    let (sender, handles) = channel();
    let thread = thread::spawn(move || {
        System::new().block_on(async move {
            let server = http::start(listener, state).unwrap();
            sender.send(server.handle()).unwrap();
            server.await.unwrap();
        });
    });
    (handles.recv().unwrap(), thread)
}

/// Writes an untrained net for 64×64 colour pictures, always the same.
pub fn save_checkpoint(folder: &std::path::Path) {
    let net = EmbeddingNet::init("c3f1", &Device::Cpu, DType::F32, &mut ChaCha8Rng::seed_from_u64(7)).unwrap();
    let dataset = DatasetFingerprint { name: "none".to_owned(), sha256: "0".repeat(64), pictures: 0, classes: 0 };
    let new = NewCheckpoint {
        net: &net,
        config: &Value::Null,
        seed: 7,
        steps: 0,
        defense: "vanilla",
        dataset: &dataset,
        metrics: &BTreeMap::new(),
        warnings: &[],
        created: jiff::Timestamp::UNIX_EPOCH,
        report: None,
        attachments: &[],
    };
    checkpoint::save(folder, &new).unwrap();
}

/// A picture with a pattern that depends on `seed`.
pub fn picture(seed: u32, side: u32) -> DynamicImage {
    let wave = |at: u32, scale: u32| (f64::from(at * (seed + scale)) / 9.0).sin().mul_add(127.0, 128.0) as u8;
    let picture = RgbImage::from_fn(side, side, |x, y| image::Rgb([wave(x, 1), wave(y, 2), wave(x + y, 3)]));
    DynamicImage::ImageRgb8(picture)
}

/// The same as a file.
pub fn encoded(seed: u32, side: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture(seed, side).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A 64×64 PNG file.
pub fn png(seed: u32) -> Vec<u8> {
    encoded(seed, 64, ImageFormat::Png)
}

pub fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes)
}

/// The media type of [`form`].
pub const FORM: &str = "multipart/form-data; boundary=between-parts";

/// A form of named parts.
pub fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, content) in parts {
        form.extend(format!("--between-parts\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n").bytes());
        form.extend(*content);
        form.extend(b"\r\n");
    }
    form.extend(b"--between-parts--\r\n");
    form
}
