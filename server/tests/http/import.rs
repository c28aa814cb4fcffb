//! A folder of class folders goes into a running server.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::support::{Server, png};

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn import(server: &Server, folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("import").arg(folder).args(["--url", &server.url(), "--batch", "2", "--concurrency", "2"]);
    command.output().unwrap()
}

#[test]
fn every_picture_of_a_folder_is_stored_under_its_class() {
    let server = Server::start();
    let folder = server.folder.path().join("pictures");
    for seed in 0..5 {
        write(&folder, &format!("old boots/{seed}.png"), &png(seed));
    }

    let output = import(&server, &folder);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("stored 5 of 5 pictures"), "{output:?}");
    assert_eq!(server.get("/v1/items/old-boots.4").json()["metadata"], json!({"label": "old boots"}));
    assert_eq!(import(&server, &folder).status.code(), Some(0));
    assert_eq!(server.get("/healthz").json()["items"], 5, "importing again updates");
}

#[test]
fn pictures_that_are_refused_are_listed_and_the_others_are_stored() {
    let server = Server::start();
    let folder = server.folder.path().join("pictures");
    write(&folder, "boots/1.png", &png(1));
    write(&folder, "boots/notes.txt", b"about boots");
    write(&folder, "hats/1.png", &png(2));

    let output = import(&server, &folder);

    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(report.contains("notes.txt: ") && report.contains("stored 2 of 3 pictures"), "{report}");
}

#[test]
fn an_import_retries_while_the_server_is_busy() {
    let server = Server::start_with(|config| config.http.max_in_flight = 1);
    let folder = server.folder.path().join("pictures");
    for seed in 0..8 {
        write(&folder, &format!("a/{seed}.png"), &png(seed));
    }

    let output = import(&server, &folder);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(server.get("/healthz").json()["items"], 8);
}

#[test]
fn an_import_without_a_server_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a/1.png", &png(1));

    let output = Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .arg("import")
        .arg(folder.path())
        .args(["--url", "http://127.0.0.1:1"])
        .output()
        .unwrap();

    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.starts_with("error: cannot reach http://127.0.0.1:1"), "{error}");
}
