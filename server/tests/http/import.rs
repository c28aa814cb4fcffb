//! A folder of pictures, or lines of NDJSON, goes into a running server.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Server, base64, png};

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn import(server: &Server, source: &Path) -> Output {
    import_with(server, source, &[])
}

fn import_with(server: &Server, source: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("import").arg(source).args(["--url", &server.url(), "--batch", "2", "--concurrency", "2"]);
    command.args(flags).output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
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
}

#[test]
fn importing_again_sends_only_what_is_missing_or_different() {
    let server = Server::start();
    let folder = server.folder.path().join("pictures");
    for seed in 0..5 {
        write(&folder, &format!("boots/{seed}.png"), &png(seed));
    }
    import(&server, &folder);
    write(&folder, "boots/3.png", &png(33));
    write(&folder, "boots/new.png", &png(6));

    let output = import(&server, &folder);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = printed(&output);
    assert!(told.starts_with("stored 2 of 6 pictures") && told.contains("4 were there already"), "{told}");
    let revision = |id: &str| server.get(&format!("/v1/items/boots.{id}")).json()["revision"].as_u64();
    assert_eq!(["2", "3", "new"].map(revision), [Some(1), Some(2), Some(1)]);
}

#[test]
fn lines_of_ndjson_are_stored_with_their_metadata() {
    let server = Server::start();
    let folder = server.folder.path().join("pictures");
    write(&folder, "boots/7.png", &png(7));
    let lines = [
        json!({"id": "a", "image": "boots/7.png", "metadata": {"label": "boot", "price": 79.5, "sizes": ["41"]}}),
        json!({"id": "b", "image": {"base64": base64(&png(8))}}),
        json!({"id": "c", "image": "boots/none.png"}),
        json!({"id": "not/an/id", "image": "boots/7.png"}),
    ];
    let text = lines.map(|line| line.to_string()).join("\n") + "\nnot json\n";
    write(&folder, "items.ndjson", text.as_bytes());
    let report = folder.join("rejected.ndjson");

    let output = import_with(&server, &folder.join("items.ndjson"), &["--report", report.to_str().unwrap()]);

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(printed(&output).contains("stored 2 of 5 pictures"), "{output:?}");
    assert_eq!(server.get("/v1/items/a").json()["metadata"], json!({"label": "boot", "price": 79.5, "sizes": ["41"]}));
    assert_eq!(server.get("/v1/items/b/image").body, png(8));
    let mut told: Vec<Value> =
        std::fs::read_to_string(report).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    told.sort_by_key(|told| told["source"].to_string());
    let told: Vec<_> = told.iter().map(|told| (&told["id"], &told["code"])).collect();
    let null = Value::Null;
    assert_eq!(told, [(&json!("c"), &null), (&json!("not/an/id"), &json!("invalid_request")), (&null, &null)]);
    let again = printed(&import(&server, &folder.join("items.ndjson")));
    assert!(again.contains("stored 0 of 5 pictures") && again.contains("2 were there already"), "{again}");
}

#[test]
fn a_batch_that_is_too_much_for_the_server_is_sent_in_halves() {
    let server = Server::start_with(|config| config.http.max_batch_items = 1);
    let folder = server.folder.path().join("pictures");
    for seed in 0..5 {
        write(&folder, &format!("{seed}.png"), &png(seed));
    }

    let output = import(&server, &folder);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(server.get("/v1/items/4").json()["metadata"], json!({}), "pictures without class folders have no label");
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

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_is_stored() {
    let server = Server::start();
    let folder = server.folder.path().join("pictures");
    write(&folder, "a/1.png", &png(1));

    let output = import_with(&server, &folder, &["--report", "/no/such/folder/report.ndjson"]);

    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder/report.ndjson"), "{output:?}");
    assert_eq!(server.get("/healthz").json()["items"], 0);
}
