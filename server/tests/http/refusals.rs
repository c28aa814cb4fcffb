//! Everything that a client can do wrong has one status and one code, in a problem document that says what to do.

use image::ImageFormat;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Answer, FORM, Server, encoded, form, png};

/// A PNG that promises this size and holds nothing.
fn png_header(side: u32) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(side.to_be_bytes());
    chunk.extend(side.to_be_bytes());
    chunk.extend([8, 2, 0, 0, 0]);
    file.extend(13_u32.to_be_bytes());
    let checksum = crc32(&chunk);
    file.extend(chunk);
    file.extend(checksum.to_be_bytes());
    file
}

/// The checksum of PNG chunks (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    let problem = answer.json();
    assert_eq!((answer.status, &problem["code"]), (status, &json!(code)), "{problem}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(
        (&problem["status"], &problem["type"]),
        (&json!(status), &json!(format!("urn:holdfast:problem:{code}")))
    );
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    for field in ["title", "detail", "instance"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {problem}");
    }
    problem
}

#[test]
fn what_is_no_whole_picture_of_a_sane_size_is_refused_by_every_route() {
    let server = Server::start();
    let jpeg = encoded(1, 64, ImageFormat::Jpeg);
    let refused: [(&[u8], u16, &str); 4] = [
        (b"a shopping list", 415, "unsupported_image"),
        (b"", 415, "unsupported_image"),
        (&jpeg[..jpeg.len() / 2], 415, "unsupported_image"),
        (&png_header(40_000), 413, "image_too_large"),
    ];
    for (bytes, status, code) in refused {
        for (method, path) in [(Method::PUT, "/v1/items/a"), (Method::POST, "/v1/search"), (Method::POST, "/v1/embed")]
        {
            let answer = server.send(method, path, &[("Content-Type", "image/png")], bytes);
            assert_eq!(problem(&answer, status, code)["instance"], path);
        }
    }
    assert_eq!(server.get("/v1/items/a").status, 404);
    assert!(server.get("/metrics").text().contains("holdfast_image_rejected_total{reason=\"image_too_large\"} 3"));
}

#[test]
fn wrong_json_is_refused_with_the_place_of_what_is_wrong() {
    let server = Server::start();
    server.store("a", &png(1));
    let long = vec![0.5; 129];
    let refused = [
        ("{\"id\": \"a\", \"limti\": 3}".to_owned(), "limti", "/limti"),
        ("{\"id\": \"a\", \"limit\": 0}".to_owned(), "between 1 and 1000", "/limit"),
        ("{\"id\": \"a\", \"ef\": 99999}".to_owned(), "ef must be", "/ef"),
        ("{\"id\": \"a\", \"include\": [\"colour\"]}".to_owned(), "colour", "/include/0"),
        ("{\"vector\": [null]}".to_owned(), "null", "/vector/0"),
        ("{\"image\": {\"base64\": \"?\"}}".to_owned(), "base64", "/image/base64"),
        ("{\"vector\": [NaN]}".to_owned(), "expected value", ""),
        ("{\"vector\": [1e999]}".to_owned(), "out of range", ""),
        ("{\"vector\": [1e39]}".to_owned(), "finite", ""),
        (json!({"vector": long}).to_string(), "128", ""),
        ("{\"vector\": []}".to_owned(), "", ""),
        ("{\"id\": \"a\", \"vector\": [1]}".to_owned(), "only one", ""),
        ("{}".to_owned(), "got none", ""),
        ("{\"id\": ".to_owned(), "EOF", ""),
    ];
    for (body, word, pointer) in refused {
        let problem = problem(&server.post("/v1/search", "application/json", body.as_bytes()), 400, "invalid_request");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{body}: {problem}");
        assert!(pointer.is_empty() || problem["errors"][0]["pointer"] == pointer, "{body}: {problem}");
    }
}

#[test]
fn wrong_ids_metadata_and_parameters_are_refused() {
    let server = Server::start();
    server.store("a", &png(1));
    let nested = form(&[("item", br#"{"metadata": {"a": {"b": 1}}}"#), ("image", &png(1))]);
    let long_id = format!("/v1/items/{}", "x".repeat(129));

    for path in ["/v1/items/a%20b", "/v1/items/%C3%A4", &long_id] {
        problem(&server.put(path, "image/png", &png(1)), 400, "invalid_request");
    }
    problem(&server.put("/v1/items/b", FORM, &nested), 400, "invalid_request");
    for path in ["/v1/items/a/image?size=7", "/v1/items/a/image?size=x", "/v1/items/a/image?siez=64"] {
        problem(&server.get(path), 400, "invalid_request");
    }
    let misspelt = problem(&server.post("/v1/search?limti=3", "image/png", &png(1)), 400, "invalid_request");
    assert!(misspelt["detail"].as_str().unwrap().contains("limti"), "{misspelt}");
}

#[test]
fn broken_forms_are_refused() {
    let server = Server::start();
    let unknown = form(&[("image", &png(1)), ("colour", b"red")]);
    let two = form(&[("image", &png(1)), ("image", &png(2))]);
    let cut = &form(&[("image", &png(1))])[..200];

    for body in [&unknown[..], &two, cut, b"", &form(&[("query", b"{}")])] {
        problem(&server.post("/v1/search", FORM, body), 400, "invalid_request");
    }
    problem(&server.post("/v1/search", "multipart/form-data", &unknown), 400, "invalid_request");
}

#[test]
fn bodies_in_another_form_are_refused_with_those_that_are_read() {
    let server = Server::start();
    let text = problem(&server.post("/v1/search", "text/plain", b"cat"), 415, "unsupported_image");
    let lines = problem(&server.post("/v1/items:batch", "application/json", b"[]"), 415, "unsupported_image");

    assert!(text["detail"].as_str().unwrap().contains("image/*"));
    assert!(lines["detail"].as_str().unwrap().contains("application/x-ndjson"));
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let server = Server::start_with(|config| config.http.max_body_bytes = 1024);
    let too_large = problem(&server.put("/v1/items/a", "image/png", &[0; 1025]), 413, "image_too_large");

    assert!(too_large["detail"].as_str().unwrap().contains("1024"));
    problem(&server.put("/v1/items/a", FORM, &form(&[("image", &[0; 1024])])), 413, "image_too_large");
    problem(&server.put("/v1/items/a", "image/png", &[0; 1024]), 415, "unsupported_image");
}

#[test]
fn unknown_items_routes_and_methods_are_told_apart() {
    let server = Server::start();
    assert!(problem(&server.get("/v1/items/ghost"), 404, "not_found")["detail"].as_str().unwrap().contains("ghost"));
    problem(&server.post_json("/v1/search", &json!({"id": "ghost"})), 404, "not_found");
    assert!(problem(&server.get("/v1/nothing"), 404, "not_found")["detail"].as_str().unwrap().contains("route"));
    problem(&server.get("/ui/nothing.js"), 404, "not_found");
    problem(&server.get("/docs/nothing.js"), 404, "not_found");

    let method = server.get("/v1/search");
    problem(&method, 405, "invalid_request");
    assert_eq!(method.header("allow"), "POST");
}

#[test]
fn a_full_server_says_when_to_come_back() {
    let server = Server::start_with(|config| config.http.max_in_flight = 1);
    let picture = encoded(1, 1500, ImageFormat::Png);
    let busy = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| server.post("/v1/embed", "image/png", &picture))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).find(|answer| answer.status == 429)
    });

    let busy = busy.expect("eight requests at once meet in a server that takes one");
    problem(&busy, 429, "overloaded");
    assert_eq!(busy.header("retry-after"), "1");
}
