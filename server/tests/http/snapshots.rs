//! The whole gallery as one file: made, listed, fetched, put back, deleted.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use sha2::{Digest, Sha256};
use ureq::http::Method;

use crate::support::{Server, png};

fn holdfast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfast")).args(arguments).env("RUST_BACKTRACE", "1").output().unwrap()
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn filled() -> Server {
    let server = Server::start();
    for seed in 0..5 {
        server.store(&format!("item.{seed}"), &png(seed));
    }
    server
}

#[test]
fn a_snapshot_is_announced_listed_fetched_and_deleted() {
    let server = filled();

    let made = server.post("/v1/snapshots", "application/json", b"");
    let info = made.json();
    let path = made.header("location").to_owned();
    let fetched = server.get(&path);

    assert_eq!((made.status, &info["items"], &info["revision"]), (201, &json!(5), &json!(5)));
    assert_eq!(path, format!("/v1/snapshots/{}", info["id"].as_str().unwrap()));
    let sha256: String = Sha256::digest(&fetched.body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((fetched.body.len() as u64, json!(sha256)), (info["bytes"].as_u64().unwrap(), info["sha256"].clone()));
    assert_eq!(fetched.header("content-type"), "application/x-tar");
    assert_eq!(fetched.header("etag"), format!("\"{sha256}\""));
    assert_eq!(server.get("/v1/snapshots").json(), json!({"snapshots": [info]}));

    assert_eq!(server.send(Method::DELETE, &path, &[], b"").status, 204);

    assert_eq!(server.get("/v1/snapshots").json(), json!({"snapshots": []}));
    for method in [Method::GET, Method::DELETE] {
        let gone = server.send(method, &path, &[], b"");
        assert_eq!((gone.status, &gone.json()["code"]), (404, &json!("not_found")));
    }
}

#[test]
fn a_saved_snapshot_becomes_the_gallery_of_another_server() {
    let server = filled();
    let folder = tempfile::tempdir().unwrap();
    let (file, data_dir) = (folder.path().join("gallery.tar"), folder.path().join("data"));

    let saved = holdfast(&["snapshot", "--url", &server.url(), "--out", name(&file)]);
    let restored = holdfast(&["restore", name(&file), "--data-dir", name(&data_dir)]);

    assert!(saved.status.success() && restored.status.success(), "{saved:?} {restored:?}");
    assert!(String::from_utf8_lossy(&restored.stdout).starts_with("restored 5 items with 5 pictures, revision 5"));
    assert_eq!(server.get("/v1/snapshots").json(), json!({"snapshots": []}), "no copy is left on the server");
    let other = Server::start_with(|config| config.data_dir = data_dir);
    for seed in 0..5 {
        let path = format!("/v1/items/item.{seed}");
        assert_eq!(other.get(&path).json(), server.get(&path).json());
        assert_eq!(other.get(&format!("{path}/image")).body, png(seed));
        let hits = other.post("/v1/search?limit=1", "image/png", &png(seed)).json();
        assert_eq!(hits["hits"][0]["id"], format!("item.{seed}"));
    }
}

#[test]
fn what_cannot_be_saved_or_restored_is_told_in_words_and_leaves_nothing() {
    let server = filled();
    let folder = tempfile::tempdir().unwrap();
    let (file, data_dir) = (folder.path().join("gallery.tar"), folder.path().join("data"));
    let refused = |arguments: &[&str], naming: &str| {
        let output = holdfast(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with("error: ") && error.contains(naming) && !error.contains("panicked"), "{error}");
    };
    refused(&["snapshot", "--url", "http://127.0.0.1:1", "--out", name(&file)], "http://127.0.0.1:1 does not answer");
    refused(&["snapshot", "--url", &server.url(), "--out", "/no/such/folder/x.tar"], "/no/such/folder/x.tar");
    refused(&["restore", name(&file), "--data-dir", name(&data_dir)], "gallery.tar");
    assert!(holdfast(&["snapshot", "--url", &server.url(), "--out", name(&file)]).status.success());

    let mut bytes = std::fs::read(&file).unwrap();
    let picture = bytes.windows(4).position(|four| four == b"\x89PNG").unwrap();
    bytes[picture + 60] ^= 1;
    std::fs::write(&file, &bytes).unwrap();

    refused(&["restore", name(&file), "--data-dir", name(&data_dir)], "checksum");
    assert!(!data_dir.exists());
    refused(&["restore", name(&file), "--data-dir", name(folder.path())], "is not empty");
    assert_eq!(server.get("/v1/snapshots").json(), json!({"snapshots": []}));
}
