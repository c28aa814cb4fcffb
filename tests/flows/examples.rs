//! The examples of the documentation, run as they stand against a real server. Each needs a program that a user has, and
//! says so where it is missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use holdfast_tests::pictures::{jpeg, png, write_folder};
use holdfast_tests::server::Server;
use holdfast_tests::world::World;
use serde_json::Value;

const CURL: &str = include_str!("../../docs/api-examples.md");

fn documentation(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file)
}

/// Whether a command of a user's machine succeeds.
fn is_there(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// The shell of all ```sh blocks, in order.
fn shell(markdown: &str) -> String {
    let blocks = markdown.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default()).collect()
}

/// Method and path pattern of every route that the server describes.
fn routes(server: &Server) -> BTreeSet<(String, String)> {
    let document = server.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().keys().map(|method| method.to_uppercase());
        methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// Method and path of every curl command.
fn calls(shell: &str) -> Vec<(String, String)> {
    let joined = shell.replace("\\\n", " ");
    let commands = joined.split("curl ").skip(1);
    commands
        .map(|command| {
            let (options, address) = command.split_once("\"$HOLDFAST").expect("a command names the server");
            let path = address.split(['"', '?']).next().unwrap_or_default().to_owned();
            let sends = [" -d ", " -F ", " --data"].iter().any(|option| options.contains(option));
            let method = match options.split_once("-X ") {
                Some((_, named)) => named.split_whitespace().next().unwrap_or_default(),
                None if sends && !options.contains("-G ") => "POST",
                None => "GET",
            };
            (method.to_owned(), path)
        })
        .collect()
}

/// Whether a path is one of a pattern such as `/v1/items/{id}/image`.
fn is_of(path: &str, pattern: &str) -> bool {
    let (parts, wanted): (Vec<_>, Vec<_>) = (path.split('/').collect(), pattern.split('/').collect());
    parts.len() == wanted.len()
        && parts.iter().zip(wanted).all(|(part, wanted)| wanted.starts_with('{') || *part == wanted)
}

fn told(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_curl_example_succeeds() {
    if !is_there("curl", &["--version"]) {
        eprintln!("skipped: curl is not installed, so the examples of docs/api-examples.md were not run");
        return;
    }
    let world = World::without_monitor();
    let server = world.serve();
    std::fs::write(world.path("boot.jpg"), jpeg("plum", 1)).unwrap();
    std::fs::write(world.path("hat.png"), png("lemon", 1)).unwrap();

    let script = format!("set -euo pipefail\n{}", shell(CURL));
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(script).current_dir(world.path("")).env("HOLDFAST", server.url(""));
    let output = bash.output().unwrap();

    assert!(output.status.success(), "{}", told(&output));
    let answers = String::from_utf8_lossy(&output.stdout);
    assert!(answers.contains("\"stored\":3") && answers.contains("\"code\":\"invalid_request\""), "{answers}");
    assert_eq!(server.get("/healthz").json()["items"], 1, "boot.4 is left");
    assert_eq!(std::fs::read(world.path("hat.stored")).unwrap(), png("lemon", 1));
}

#[test]
fn every_route_has_a_curl_example() {
    let world = World::without_monitor();
    let server = world.serve();
    let calls = calls(&shell(CURL));

    let is_shown = |(method, pattern): &&(String, String)| {
        calls.iter().any(|(called, path)| called == method && is_of(path, pattern))
    };
    let routes = routes(&server);
    let missing: Vec<_> = routes.iter().filter(|route| !is_shown(route)).collect();

    assert!(missing.is_empty(), "docs/api-examples.md shows no call of {missing:?}");
}

#[test]
fn the_python_example_stores_searches_filters_and_deletes() {
    if !is_there("python3", &["-c", "import requests"]) {
        eprintln!("skipped: there is no python3 with requests, so docs/examples/search.py was not run");
        return;
    }
    let world = World::without_monitor();
    let server = world.serve();
    write_folder(&world.path("shop"), 0..3);

    let mut python = Command::new("python3");
    python.arg(documentation("examples/search.py")).arg(world.path("shop")).env("HOLDFAST_URL", server.url(""));
    let output = python.output().unwrap();

    assert!(output.status.success(), "{}", told(&output));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("stored 18\n0.000 apple.0\n"), "{printed}");
    assert!(!printed.contains("another class: apple") && printed.ends_with("deleted 3 of apple\n"), "{printed}");
    assert_eq!(server.get("/healthz").json()["items"], 15);
}
