//! Searches by picture, item and vector; embeddings.

use serde_json::{Value, json};

use crate::support::{Answer, FORM, Server, base64, form, png};

/// A server with the items p0 to p5.
fn gallery() -> Server {
    let server = Server::start();
    for seed in 0..6 {
        let parts = form(&[("item", br#"{"metadata": {"label": "pattern"}}"#), ("image", &png(seed))]);
        assert_eq!(server.put(&format!("/v1/items/p{seed}"), FORM, &parts).status, 200);
    }
    server
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reply = answer.json();
    reply["hits"].as_array().unwrap().iter().map(|hit| hit["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_three_wire_forms_find_the_same_items() {
    let server = gallery();
    let json = json!({"image": {"base64": base64(&png(3))}, "limit": 4});

    let raw = ids(&server.post("/v1/search?limit=4", "image/png", &png(3)));
    let json = ids(&server.post_json("/v1/search", &json));
    let parts = ids(&server.post("/v1/search", FORM, &form(&[("query", br#"{"top_k": 4}"#), ("image", &png(3))])));

    assert_eq!((raw[0].as_str(), raw.len()), ("p3", 4));
    assert_eq!((&raw, &raw), (&json, &parts));
}

#[test]
fn a_search_by_id_or_by_embedding_finds_what_the_picture_finds() {
    let server = gallery();
    let embedded = server.post("/v1/embed", "image/png", &png(2)).json();

    let by_picture = ids(&server.post("/v1/search", "image/png", &png(2)));
    let by_id = ids(&server.post_json("/v1/search", &json!({"id": "p2"})));
    let by_vector = ids(&server.post_json("/v1/search", &json!({"vector": embedded["vectors"][0], "exact": true})));

    assert_eq!((&by_picture, &by_picture), (&by_id, &by_vector));
    assert_eq!(by_picture.len(), 6, "there are fewer items than the default limit");
}

#[test]
fn a_reply_tells_generation_distances_metadata_and_where_the_time_went() {
    let server = gallery();

    let answer = server.post("/v1/search", "image/png", &png(5));

    let reply = answer.json();
    assert_eq!(reply["generation"], server.get("/v1/generations").json()["current"]["id"]);
    assert!(reply["took_ms"].as_f64().unwrap() > 0.0);
    let distances: Vec<f64> =
        reply["hits"].as_array().unwrap().iter().map(|h| h["distance"].as_f64().unwrap()).collect();
    assert!(distances[0] < 1e-3 && distances.is_sorted(), "{distances:?}");
    assert!((reply["hits"][0]["score"].as_f64().unwrap() - 1.0).abs() < 1e-3);
    assert_eq!(reply["hits"][0]["metadata"], json!({"label": "pattern"}));
    for stage in ["decode", "preprocess", "queue", "embed", "search"] {
        assert!(answer.header("server-timing").contains(&format!("{stage};dur=")), "{stage}");
    }
}

#[test]
fn hits_carry_what_is_asked_for() {
    let server = gallery();
    let hit = |include: Value| {
        server.post_json("/v1/search", &json!({"id": "p1", "include": include})).json()["hits"][0].clone()
    };

    let (none, vector) = (hit(json!([])), hit(json!(["vector", "metadata"])));

    assert!(none.get("metadata").is_none() && none.get("vector").is_none(), "{none}");
    assert_eq!((vector["vector"].as_array().unwrap().len(), &vector["metadata"]["label"]), (128, &json!("pattern")));
}

#[test]
fn embeddings_are_unit_vectors_one_for_each_picture_in_order() {
    let server = Server::start();
    let one = server.post("/v1/embed", "image/png", &png(1)).json();
    let images = json!({"images": [{"base64": base64(&png(0))}, {"base64": base64(&png(1))}]});

    let both = server.post_json("/v1/embed", &images).json();
    let parts = server.post("/v1/embed", FORM, &form(&[("image", &png(0)), ("image", &png(1))])).json();

    assert_eq!((both["dim"].as_u64(), both["vectors"].as_array().unwrap().len()), (Some(128), 2));
    let numbers = |reply: &Value, at: usize| -> Vec<f64> {
        reply["vectors"][at].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    for (other, at) in [(&both, 1), (&parts, 1)] {
        // A batch may sum in another order.
        let furthest = numbers(&one, 0).iter().zip(numbers(other, at)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(furthest < 1e-5, "{furthest}");
    }
    let norm = numbers(&one, 0).iter().map(|number| number * number).sum::<f64>().sqrt();
    assert!((norm - 1.0).abs() < 1e-5, "{norm}");
    assert_eq!(server.get("/healthz").json()["items"], 0, "nothing is stored");
}
