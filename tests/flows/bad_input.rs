//! Input that must be refused: each time with the right status or exit code, in words, and with nothing lost.

use std::net::TcpListener;
use std::path::Path;

use holdfast_tests::pictures::{jpeg, png, png_bomb, png_header};
use holdfast_tests::programs::{Ending, program, shows_its_insides};
use holdfast_tests::server::{Answer, Server};
use holdfast_tests::world::World;
use serde_json::json;
use ureq::http::Method;

/// Every refusal is a problem document of this shape, with this code.
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    let problem = answer.json();
    assert_eq!((answer.status, &problem["code"]), (status, &json!(code)), "{}", answer.text());
    assert_eq!(answer.content_type, "application/problem+json");
    for field in ["title", "detail", "request_id"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "no {field} in {problem}");
    }
    assert!(!shows_its_insides(&answer.text()), "{}", answer.text());
}

/// A server with one item, on which something was tried, has the item, finds it, and wrote no panic.
fn assert_unharmed(server: Server) {
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(server.get("/v1/items/apple.1/image").body, png("apple", 1));
    assert_eq!(server.found(&png("apple", 1), 5), ["apple.1"], "there is this item and no other");
    let (status, stderr) = server.stop();
    assert!(status.success() && !shows_its_insides(&stderr), "{stderr}");
}

fn server_with_one_item(world: &World) -> Server {
    let server = world.serve();
    assert_eq!(server.put_labelled("apple.1", "apple", &png("apple", 1)).status, 200);
    server
}

#[test]
fn files_that_are_no_whole_picture_of_a_sane_size_are_refused_by_every_route() {
    let world = World::without_monitor();
    let server = server_with_one_item(&world);
    let whole = jpeg("plum", 2);
    let refused: [(&str, &[u8], u16, &str); 5] = [
        ("a text file", b"this is a shopping list: apples, plums", 415, "unsupported_image"),
        ("a PNG of 40,000 x 40,000", &png_bomb(40_000, 40_000), 413, "image_too_large"),
        ("the header of such a PNG alone", &png_header(40_000, 40_000), 413, "image_too_large"),
        ("a truncated JPEG", &whole[..whole.len() / 2], 415, "unsupported_image"),
        ("nothing", b"", 415, "unsupported_image"),
    ];

    for (what, bytes, status, code) in refused {
        for (method, path) in
            [(Method::PUT, "/v1/items/bad"), (Method::POST, "/v1/search"), (Method::POST, "/v1/embed")]
        {
            eprintln!("{what} to {path}");
            assert_refused(&server.try_send(method, path, "image/jpeg", bytes).unwrap(), status, code);
        }
        assert_eq!(server.get("/v1/items/bad").status, 404);
    }

    assert_unharmed(server);
}

#[test]
fn vectors_of_a_wrong_dimension_with_a_nan_or_without_a_direction_are_refused() {
    let world = World::without_monitor();
    let server = server_with_one_item(&world);
    let nan = format!("{{\"vector\": [NaN{}]}}", ", 0".repeat(127));
    let infinite = format!("{{\"vector\": [1e999{}]}}", ", 0".repeat(127));
    let zero = json!({"vector": vec![0.0; 128]}).to_string();
    let long = json!({"vector": vec![1.0; 129]}).to_string();
    let short = json!({"vector": [1.0, 0.0, 0.0]}).to_string();

    for body in [nan, infinite, zero, long, short] {
        let answer = server.try_send(Method::POST, "/v1/search", "application/json", body.as_bytes()).unwrap();
        assert_refused(&answer, 400, "invalid_request");
    }

    assert_unharmed(server);
}

#[test]
fn one_bad_picture_of_a_batch_fails_alone() {
    let world = World::without_monitor();
    let server = server_with_one_item(&world);
    let line = |id: &str, picture: &[u8]| {
        let encoded = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, picture);
        json!({"id": id, "image": {"base64": encoded}}).to_string()
    };
    let body =
        [line("coal.1", &png("coal", 1)), line("bad", b"no picture"), line("milk.1", &png("milk", 1))].join("\n");

    let reply = server.try_send(Method::POST, "/v1/items:batch", "application/x-ndjson", body.as_bytes()).unwrap();

    let reply = reply.json();
    assert_eq!((&reply["stored"], &reply["rejected"]), (&json!(2), &json!(1)), "{reply}");
    assert_eq!(reply["results"][1]["error"]["code"], "unsupported_image");
    assert_eq!(["coal.1", "bad", "milk.1"].map(|id| server.get(&format!("/v1/items/{id}")).status), [200, 404, 200]);
}

#[test]
fn an_unknown_field_is_named() {
    let world = World::without_monitor();
    let server = server_with_one_item(&world);

    let answer = server.post("/v1/search", &json!({"id": "apple.1", "limti": 3}));

    assert_refused(&answer, 400, "invalid_request");
    assert!(answer.json()["detail"].as_str().unwrap().contains("limti"), "{}", answer.text());
    assert_unharmed(server);
}

/// A server that cannot start says why in words that name the cause, and ends with exit code 2.
fn assert_did_not_start(ending: &Ending, naming: &[&str]) {
    assert_eq!(ending.code, Some(2), "{}", ending.stderr);
    assert!(!shows_its_insides(&ending.stderr), "{}", ending.stderr);
    for word in naming {
        assert!(ending.stderr.contains(word), "\"{word}\" is not in: {}", ending.stderr);
    }
}

#[test]
fn an_unknown_configuration_key_stops_the_start_and_is_named_with_its_place() {
    let world = World::new("[monitor]\nenabled = false\ncanari = \"x\"\n");

    assert_did_not_start(&world.fail_to_serve(), &["serve.toml:3", "canari"]);
}

#[test]
fn all_problems_of_a_configuration_are_told_at_once() {
    let world = World::new("[monitor]\ncpu_share = 7.0\nsteps = 0\n[index]\nengine = \"tree\"\n");

    assert_did_not_start(&world.fail_to_serve(), &["monitor.cpu_share", "monitor.steps", "index.engine"]);
}

#[test]
fn a_checkpoint_that_is_missing_stops_the_start_and_is_named() {
    let world = World::without_monitor();
    std::fs::remove_dir_all(world.path("checkpoint")).unwrap();

    assert_did_not_start(&world.fail_to_serve(), &["checkpoint"]);
}

#[test]
fn a_checkpoint_with_one_flipped_bit_stops_the_start_and_no_item_is_lost() {
    let world = World::without_monitor();
    drop(server_with_one_item(&world));
    let weights = world.path("checkpoint").join("weights.safetensors");
    flip_a_bit_of(&weights);

    assert_did_not_start(&world.fail_to_serve(), &["weights.safetensors"]);

    flip_a_bit_of(&weights);
    assert_unharmed(world.serve());
}

/// In the middle of the file; a second time, it is as it was.
fn flip_a_bit_of(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_port_in_use_stops_the_start_and_leaves_the_other_server_and_the_data_alone() {
    let world = World::without_monitor();
    drop(server_with_one_item(&world));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let ending = Ending::from(world.serve_command(&address).output().unwrap());

    assert_did_not_start(&ending, &[&address, "in use"]);
    assert_unharmed(world.serve());
}

#[test]
fn a_data_folder_that_another_server_uses_stops_the_start() {
    let world = World::without_monitor();
    let server = server_with_one_item(&world);

    assert_did_not_start(&world.fail_to_serve(), &["data"]);

    assert_unharmed(server);
}

#[test]
fn words_that_are_no_command_end_with_usage_and_exit_code_2() {
    let ending = Ending::from(program("holdfast").args(["serve", "--conifg", "x"]).output().unwrap());

    assert_did_not_start(&ending, &["--conifg", "--help"]);
}
