//! `holdfast search` and `holdfast status` ask a running server; and what the commands send along.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use crate::support::{Server, png};

fn holdfast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfast")).args(arguments).env_remove("HOLDFAST_API_KEY").output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server that answers its requests with these responses, one after the other, and then tells the requests' heads.
fn scripted(responses: &'static [&'static str]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let answer = |response: &&str| {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            stream.write_all(format!("HTTP/1.1 {response}").as_bytes()).unwrap();
            head.join("\n")
        };
        responses.iter().map(answer).collect()
    });
    (address, thread)
}

#[test]
fn a_search_prints_the_nearest_first() {
    let server = Server::start();
    for seed in 0..4 {
        server.store(&format!("boot.{seed}"), &png(seed));
    }
    let picture = server.folder.path().join("query.png");
    std::fs::write(&picture, png(2)).unwrap();

    let output = holdfast(&["search", picture.to_str().unwrap(), "--limit", "3", "--url", &server.url()]);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = printed(&output);
    let rows: Vec<_> = told.lines().collect();
    assert_eq!(rows.len(), 5, "{told}");
    assert!(rows[1].contains("0.0000") && rows[1].ends_with("boot.2"), "{told}");
    assert!(rows[4].starts_with("3 hits in "), "{told}");
}

#[test]
fn a_search_as_json_is_the_reply_of_the_server() {
    let server = Server::start();
    server.store("boot.1", &png(1));

    let output = holdfast(&["search", "--id", "boot.1", "--json", "--url", &server.url()]);

    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["hits"][0]["id"], "boot.1");
}

#[test]
fn what_the_server_refuses_is_told_in_its_words() {
    let server = Server::start();

    let output = holdfast(&["search", "--id", "none", "--url", &server.url()]);

    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.starts_with("error: the server refused: ") && error.contains("none"), "{error}");
}

#[test]
fn a_status_tells_items_and_generation() {
    let server = Server::start();
    server.store("boot.1", &png(1));

    let output = holdfast(&["status", "--url", &server.url()]);

    let told = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(told.contains("ready       yes\n") && told.contains("items       1\n"), "{told}");
    assert!(told.contains("model       c3f1, vanilla, 0 steps on none\n"), "{told}");
    let json = holdfast(&["status", "--json", "--url", &server.url()]);
    let status: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&status["ready"], &status["health"]["items"]), (&json!(true), &json!(1)));
}

#[test]
fn a_server_that_does_not_answer_is_status_two() {
    let output = holdfast(&["status", "--url", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("error: cannot reach http://127.0.0.1:1"),
        "{output:?}"
    );
}

#[test]
fn the_key_is_sent_as_a_header_and_a_refusal_says_how_to_give_another() {
    const REFUSED: &str = "401 Unauthorized\r\nContent-Type: application/problem+json\r\nContent-Length: 70\r\nConnection: close\r\n\r\n\
        {\"status\":401,\"code\":\"unauthorized\",\"detail\":\"the API key is unknown\"}";
    let (address, requests) = scripted(&[REFUSED]);

    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let output = command.args(["status", "--url", &address]).env("HOLDFAST_API_KEY", "secret-key").output().unwrap();

    assert!(requests.join().unwrap()[0].contains("api-key: secret-key"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("the API key is unknown") && error.contains("HOLDFAST_API_KEY"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn a_redirect_never_takes_the_key_to_another_server() {
    const MOVED: &str = "302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (address, requests) = scripted(&[MOVED]);

    let output = holdfast(&["status", "--url", &address, "--api-key", "secret-key"]);

    requests.join().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("status 302") && error.contains("is that a Holdfast server?"), "{error}");
}

#[test]
fn help_shows_where_the_key_is_read_from_and_not_the_key() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let output = command.args(["import", "--help"]).env("HOLDFAST_API_KEY", "secret-key").output().unwrap();
    let help = printed(&output);
    assert!(help.contains("HOLDFAST_API_KEY") && !help.contains("secret-key"), "{help}");
}
