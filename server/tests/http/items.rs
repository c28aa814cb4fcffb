//! Items go in in three forms, come out as they were, and go away.

use image::ImageFormat;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::support::{FORM, Server, base64, encoded, form, png};

#[test]
fn the_three_wire_forms_store_the_same_picture() {
    let server = Server::start();
    let json = json!({"image": {"base64": base64(&png(1))}, "metadata": {"label": "boot"}}).to_string();
    let parts = form(&[("item", br#"{"metadata": {"label": "boot"}}"#), ("image", &png(1))]);

    let raw = server.put("/v1/items/raw", "image/png", &png(1)).json();
    let json = server.put("/v1/items/json", "application/json; charset=utf-8", json.as_bytes()).json();
    let parts = server.put("/v1/items/form", FORM, &parts).json();

    assert_eq!(raw["metadata"], json!({}));
    for item in [&json, &parts] {
        assert_eq!(item["metadata"], json!({"label": "boot"}));
        assert_eq!(item["picture"], raw["picture"]);
    }
    for item in [&raw, &json, &parts] {
        assert_eq!(item, &server.get(&format!("/v1/items/{}", item["id"].as_str().unwrap())).json());
    }
}

#[test]
fn a_picture_comes_back_byte_by_byte_with_the_type_its_content_shows() {
    let server = Server::start();
    let jpeg = encoded(3, 64, ImageFormat::Jpeg);
    server.put("/v1/items/a", "image/png", &jpeg);

    let answer = server.get("/v1/items/a/image");

    assert_eq!((answer.status, answer.header("content-type")), (200, "image/jpeg"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.body, jpeg);
}

#[test]
fn a_thumbnail_is_smaller_and_a_client_that_has_it_gets_no_second_copy() {
    let server = Server::start();
    server.store("a", &encoded(4, 300, ImageFormat::Png));

    let answer = server.get("/v1/items/a/image?size=64");
    let thumbnail = image::load_from_memory(&answer.body).unwrap();
    let tag = answer.header("etag");
    let again = server.send(Method::GET, "/v1/items/a/image?size=64", &[("If-None-Match", tag)], b"");
    let larger = server.send(Method::GET, "/v1/items/a/image?size=128", &[("If-None-Match", tag)], b"");

    assert_eq!((thumbnail.width(), thumbnail.height()), (64, 64));
    assert_eq!((again.status, again.body.len(), larger.status), (304, 0, 200));
}

#[test]
fn putting_again_replaces_picture_and_metadata() {
    let server = Server::start();
    let first = form(&[("item", br#"{"metadata": {"label": "boot"}}"#), ("image", &png(1))]);
    server.put("/v1/items/a", FORM, &first);
    server.store("a", &png(2));

    let item = server.get("/v1/items/a").json();

    assert_eq!((&item["metadata"], &item["revision"]), (&json!({}), &json!(2)));
    assert_eq!(server.get("/v1/items/a/image").body, png(2));
    assert_eq!(server.get("/healthz").json()["items"], 1);
}

#[test]
fn a_deleted_item_is_gone_and_can_be_deleted_only_once() {
    let server = Server::start();
    server.store("a", &png(1));

    let deleted = server.send(Method::DELETE, "/v1/items/a", &[], b"");
    let again = server.send(Method::DELETE, "/v1/items/a", &[], b"");

    assert_eq!((deleted.status, again.status), (204, 404));
    for path in ["/v1/items/a", "/v1/items/a/image"] {
        assert_eq!(server.get(path).json()["code"], "not_found");
    }
    assert_eq!(server.get("/healthz").json()["items"], 0);
}

fn statuses(reply: &Value) -> Vec<u64> {
    let results = reply["results"].as_array().unwrap();
    results.iter().map(|result| result["error"]["status"].as_u64().unwrap_or(200)).collect()
}

#[test]
fn a_batch_of_lines_stores_what_is_good_and_tells_what_is_not() {
    let server = Server::start();
    let line = |id: &str, picture: &[u8]| {
        json!({"id": id, "image": {"base64": base64(picture)}, "metadata": {"label": "l"}}).to_string()
    };
    let lines = [
        line("a", &png(1)),
        line("b", b"a shopping list"),
        line("not an id", &png(2)),
        "{\"id\": \"c\", \"imgae\": {}}".to_owned(),
        line("d", &png(3)),
    ];

    let answer = server.post("/v1/items:batch", "application/x-ndjson", lines.join("\n").as_bytes());

    let reply = answer.json();
    assert_eq!((answer.status, statuses(&reply)), (200, vec![200, 415, 400, 400, 200]));
    assert_eq!((&reply["stored"], &reply["rejected"]), (&json!(2), &json!(3)));
    assert_eq!(reply["results"][1]["error"]["code"], "unsupported_image");
    assert!(reply["results"][3]["error"]["detail"].as_str().unwrap().contains("imgae"));
    assert_eq!(server.get("/v1/items/d").json()["metadata"]["label"], "l");
    assert!(server.get("/metrics").text().contains("holdfast_image_rejected_total{reason=\"unsupported_image\"} 1"));
}

#[test]
fn a_batch_may_be_a_form() {
    let server = Server::start();
    let parts = form(&[
        ("item", br#"{"id": "a", "metadata": {"label": "boot"}}"#),
        ("image", &png(1)),
        ("item", br#"{"id": "b"}"#),
        ("image", b"text"),
    ]);

    let reply = server.post("/v1/items:batch", FORM, &parts).json();

    assert_eq!(statuses(&reply), [200, 415]);
    assert_eq!(reply["results"][0]["item"], server.get("/v1/items/a").json());
}

#[test]
fn a_batch_is_bounded() {
    let server = Server::start_with(|config| config.http.max_batch_items = 2);
    let lines = "{}\n".repeat(3);

    for body in ["", &lines] {
        let answer = server.post("/v1/items:batch", "application/x-ndjson", body.as_bytes());
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("invalid_request")));
    }
}
