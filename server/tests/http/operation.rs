//! What an operator sees: health, metrics, request ids, documentation, the page.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{Server, png};

/// Every route of this version.
const ROUTES: [(&str, &str); 27] = [
    ("put", "/v1/items/{id}"),
    ("get", "/v1/items/{id}"),
    ("delete", "/v1/items/{id}"),
    ("get", "/v1/items/{id}/image"),
    ("get", "/v1/items"),
    ("get", "/v1/items:count"),
    ("post", "/v1/items:delete"),
    ("post", "/v1/search:batch"),
    ("post", "/v1/embeddings"),
    ("post", "/v1/items:batch"),
    ("post", "/v1/search"),
    ("post", "/v1/embed"),
    ("post", "/v1/snapshots"),
    ("get", "/v1/snapshots"),
    ("get", "/v1/snapshots/{id}"),
    ("delete", "/v1/snapshots/{id}"),
    ("get", "/v1/generations"),
    ("get", "/v1/models"),
    ("get", "/v1/robustness"),
    ("get", "/v1/robustness/windows"),
    ("get", "/healthz"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
    ("get", "/openapi.json"),
    ("get", "/docs/"),
    ("get", "/"),
];

/// Those are pages for people, not part of the API.
const PAGES: [&str; 2] = ["/docs/", "/"];

#[test]
fn the_openapi_document_lists_every_route_and_no_other() {
    let document = Server::start().get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let path = path.clone();
        item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone())).collect::<Vec<_>>()
    };
    let listed: BTreeSet<_> = paths.iter().flat_map(methods).collect();
    let expected: BTreeSet<_> = ROUTES
        .iter()
        .filter(|(_, path)| !PAGES.contains(path))
        .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn every_route_exists_and_head_is_get_without_a_body() {
    let server = Server::start();
    server.store("a", &png(1));
    let snapshot = server.post("/v1/snapshots", "application/json", b"").json()["id"].as_str().unwrap().to_owned();
    for (method, path) in ROUTES {
        let id = if path.starts_with("/v1/snapshots") { &snapshot } else { "a" };
        let path = path.replace("{id}", id);
        let method: Method = method.to_uppercase().parse().unwrap();
        if method == Method::GET && path != "/docs/" {
            let head = server.send(Method::HEAD, &path, &[], b"");
            assert_eq!((head.status, head.body.len()), (200, 0), "HEAD {path}");
        }
        let body: &[u8] = if method == Method::GET { b"" } else { b"{}" };
        let answer = server.send(method.clone(), &path, &[], body);
        assert!(![404, 405].contains(&answer.status) && answer.status < 500, "{method} {path}: {}", answer.status);
        if method == Method::DELETE {
            server.store("a", &png(1));
        }
    }
}

#[test]
fn the_committed_openapi_document_is_that_of_the_handlers() {
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json")).unwrap();
    assert!(
        committed.trim_end() == holdfast_server::http::openapi_json(),
        "docs/openapi.json is not that of the handlers; `make openapi` renews it"
    );
}

#[test]
fn health_tells_what_is_served() {
    let server = Server::start();
    server.store("a", &png(1));

    assert_eq!((server.get("/livez").status, server.get("/readyz").status), (200, 200));
    let health = server.get("/healthz").json();
    let current = &server.get("/v1/generations").json()["current"];
    let model = &server.get("/v1/models").json()["models"][0];

    assert_eq!((&health["status"], &health["items"], &current["items"]), (&json!("ok"), &json!(1), &json!(1)));
    assert_eq!((&health["generation"], &current["model"]), (&current["id"], model));
    assert_eq!((&model["backbone"], &model["embedding_dim"]), (&json!("c3f1"), &json!(128)));
}

#[test]
fn a_request_id_is_echoed_or_made() {
    let server = Server::start();
    let echoed = server.send(Method::GET, "/livez", &[("X-Request-Id", "client-7.a")], b"");
    let replaced = server.send(Method::GET, "/livez", &[("X-Request-Id", "two words")], b"");
    let refused = server.send(Method::GET, "/v1/items/ghost", &[("X-Request-Id", "client-8")], b"");

    assert_eq!(echoed.header("x-request-id"), "client-7.a");
    assert_eq!(replaced.header("x-request-id").len(), 36);
    assert_eq!((refused.header("x-request-id"), &refused.json()["request_id"]), ("client-8", &json!("client-8")));
}

#[test]
fn metrics_carry_the_names_of_the_contract_and_only_bounded_labels() {
    let server = Server::start();
    server.store("a", &png(1));
    server.post("/v1/search", "image/png", &png(1));
    server.get("/v1/items/ghost");
    server.get("/v1/some/other/path");

    let answer = server.get("/metrics");

    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = answer.text();
    for line in [
        "holdfast_http_requests_total{method=\"PUT\",route=\"/v1/items/{id}\",status=\"200\"} 1",
        "holdfast_http_requests_total{method=\"GET\",route=\"/v1/items/{id}\",status=\"404\"} 1",
        "holdfast_http_requests_total{method=\"GET\",route=\"unmatched\",status=\"404\"} 1",
        "holdfast_http_request_duration_seconds_count{route=\"/v1/search\"} 1",
        "holdfast_stage_duration_seconds_count{stage=\"decode\"} 2",
        "holdfast_stage_duration_seconds_count{stage=\"preprocess\"} 2",
        "holdfast_stage_duration_seconds_count{stage=\"queue\"} 2",
        "holdfast_stage_duration_seconds_count{stage=\"embed\"} 2",
        "holdfast_stage_duration_seconds_count{stage=\"search\"} 1",
        "holdfast_embed_batch_size_count 2",
        "holdfast_embed_queue_depth 0",
        "holdfast_rejected_total{reason=\"not_found\"} 2",
        "holdfast_index_items 1",
        "holdfast_index_tombstones 0",
        "holdfast_index_memory_bytes ",
        "holdfast_commit_duration_seconds_count 1",
        "holdfast_model_info{backbone=\"c3f1\",generation=",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn robustness_is_told_even_while_the_monitor_is_off() {
    let server = Server::start();
    let view = server.get("/v1/robustness").json();
    assert_eq!((&view["state"], &view["latest"]), (&json!("off"), &Value::Null));
    assert_eq!(server.get("/v1/robustness/windows").json(), json!({"windows": []}));
}

#[test]
fn documentation_and_page_are_served_from_the_binary() {
    let server = Server::start();
    let docs = server.get("/docs");
    assert_eq!((docs.status, docs.header("location")), (308, "/docs/"));
    for (path, word) in [("/docs/", "swagger-ui"), ("/docs/swagger-initializer.js", "/openapi.json"), ("/", "Holdfast")]
    {
        let answer = server.get(path);
        assert!(answer.status == 200 && answer.text().contains(word), "{path}: {}", answer.text());
    }
}
