//! Filters in searches, lists, counts and bulk deletes; batches of searches; embeddings as OpenAI's clients ask for them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, FORM, Server, base64, form, png};

/// A server with the items p0 to p11: even ones are boots, odd ones hats; p3, p6 and p9 are on sale.
fn gallery() -> Server {
    let server = Server::start();
    for seed in 0..12 {
        let label = ["boot", "hat"][seed as usize % 2];
        let mut metadata = json!({"label": label, "price": f64::from(seed) * 1.5});
        if seed > 0 && seed % 3 == 0 {
            metadata["sale"] = json!(true);
            metadata["sizes"] = json!(["41", "42"]);
        }
        store(&server, &format!("p{seed}"), seed, &metadata);
    }
    server
}

fn store(server: &Server, id: &str, seed: u32, metadata: &Value) {
    let item = json!({ "metadata": metadata }).to_string();
    let answer =
        server.put(&format!("/v1/items/{id}"), FORM, &form(&[("item", item.as_bytes()), ("image", &png(seed))]));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn list(server: &Server, filter: &Value) -> Vec<String> {
    let answer = server.get(&format!("/v1/items?filter={}", encode(&filter.to_string())));
    assert_eq!(answer.status, 200, "{}", answer.text());
    ids(&answer.json()["items"])
}

fn ids(items: &Value) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Checks that an answer is a 400 that points there.
fn assert_refused(answer: &Answer, pointer: &str) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["code"], "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
}

#[test]
fn each_kind_of_condition_chooses_items_everywhere() {
    let server = gallery();
    let cases = [
        (json!({}), 12),
        (json!({"must": [{"key": "label", "match": "hat"}]}), 6),
        (json!({"must": [{"key": "label", "any": ["hat", "boot"]}, {"key": "sale", "match": true}]}), 3),
        (json!({"must": [{"key": "price", "range": {"gte": 3, "lt": 6}}]}), 2),
        (json!({"must": [{"key": "sizes", "match": "42"}]}), 3),
        (json!({"should": [{"key": "price", "match": 0}, {"key": "price", "match": 16.5}]}), 2),
        (json!({"must_not": [{"key": "sale", "exists": true}]}), 9),
        (json!({"must": [{"key": "sale", "exists": false}], "must_not": [{"key": "label", "match": "boot"}]}), 4),
        (json!({"must": [{"should": [{"key": "sale", "match": true}, {"key": "price", "match": 1.5}]}]}), 4),
        (json!({"must": [{"key": "colour", "match": "red"}]}), 0),
    ];
    for (filter, expected) in cases {
        let listed = list(&server, &filter);
        let count = server.get(&format!("/v1/items:count?filter={}", encode(&filter.to_string()))).json();
        let found = server.post_json("/v1/search", &json!({"id": "p1", "filter": filter, "limit": 100})).json();
        let exact = json!({"id": "p1", "filter": filter, "limit": 100, "exact": true});
        let exact = server.post_json("/v1/search", &exact).json();

        assert_eq!(listed.len(), expected, "{filter}: {listed:?}");
        assert_eq!(count["count"], expected, "{filter}");
        assert_eq!(ids(&found["hits"]), ids(&exact["hits"]), "{filter}");
        let found: BTreeSet<String> = ids(&found["hits"]).into_iter().collect();
        assert_eq!(found, listed.into_iter().collect(), "{filter}");
    }
}

#[test]
fn an_update_and_a_delete_change_what_a_filter_finds_at_once() {
    let server = gallery();
    let sale = json!({"must": [{"key": "sale", "match": true}]});
    assert_eq!(list(&server, &sale), ["p3", "p6", "p9"]);

    store(&server, "p6", 6, &json!({"label": "boot"}));
    store(&server, "p7", 7, &json!({"sale": true}));
    assert_eq!(server.send(ureq::http::Method::DELETE, "/v1/items/p3", &[], b"").status, 204);

    assert_eq!(list(&server, &sale), ["p7", "p9"]);
}

#[test]
fn pages_meet_every_item_once_while_others_come_and_go() {
    let server = gallery();
    let (mut met, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = server.get(&format!("/v1/items?limit=5{cursor}"));
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        met.extend(ids(&page["items"]));
        pages += 1;
        // Between pages one item is deleted that was met, one changes its place in nothing, and one comes.
        let deleted = server.post_json("/v1/items:delete", &json!({"ids": [format!("p{}", pages - 1)]}));
        assert_eq!(deleted.json()["deleted"], 1, "{}", deleted.text());
        store(&server, "p8", 8, &json!({"page": pages}));
        store(&server, &format!("late{pages}"), 20 + pages, &json!({}));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let always: Vec<String> = (0..12).map(|seed| format!("p{seed}")).collect();
    let met_always: Vec<&String> = met.iter().filter(|id| id.starts_with('p')).collect();
    assert_eq!(met_always, always.iter().collect::<Vec<_>>());
    assert_eq!(met.iter().collect::<BTreeSet<_>>().len(), met.len(), "{met:?}");
}

#[test]
fn a_bulk_delete_tells_what_is_gone_and_refuses_to_empty_the_gallery_by_accident() {
    let server = gallery();

    let by_ids = server.post_json("/v1/items:delete", &json!({"ids": ["p1", "nobody", "bad id", "p1"]})).json();
    assert_eq!(by_ids["deleted"], 1, "{by_ids}");
    let codes: Vec<&Value> =
        by_ids["results"].as_array().unwrap().iter().map(|result| &result["error"]["code"]).collect();
    assert_eq!(codes, [&Value::Null, &json!("not_found"), &json!("invalid_request"), &json!("not_found")]);

    let hats = json!({"filter": {"must": [{"key": "label", "match": "hat"}]}});
    let by_filter = server.post_json("/v1/items:delete", &hats).json();
    assert_eq!((&by_filter["deleted"], by_filter.get("results")), (&json!(5), None), "{by_filter}");
    assert_eq!(server.get("/v1/items:count").json()["count"], 6);

    assert_refused(&server.post_json("/v1/items:delete", &json!({"filter": {}})), "/filter");
    assert_eq!(server.post_json("/v1/items:delete", &json!({"ids": ["p0"], "filter": {}})).status, 400);
    assert_eq!(server.post_json("/v1/items:delete", &json!({})).status, 400);
    assert_eq!(server.get("/v1/items:count").json()["count"], 6);
}

#[test]
fn a_wrong_filter_is_refused_with_a_pointer_to_what_is_wrong() {
    let server = Server::start_with(|config| config.search.max_filter_conditions = 3);
    let refused = |filter: Value, pointer: &str| {
        assert_refused(&server.post_json("/v1/search", &json!({"id": "x", "filter": filter})), pointer);
        let listed = server.get(&format!("/v1/items?filter={}", encode(&filter.to_string())));
        assert_refused(&listed, pointer);
    };
    refused(json!({"must": [{"key": "a", "match": 1}, {"key": "b"}]}), "/filter/must/1");
    refused(json!({"must": [{"match": 1}]}), "/filter/must/0");
    refused(json!({"must": [{"key": "a", "match": 1, "exists": true}]}), "/filter/must/0");
    refused(json!({"must": [{"key": "a", "match": {"deep": 1}}]}), "/filter/must/0/match");
    refused(json!({"must": [{"key": "a", "range": {"gt": 1, "gte": 1}}]}), "/filter/must/0/range");
    refused(json!({"must": [{"key": "a", "any": [1, 2, 3, 4]}]}), "/filter/must/0");
    assert_eq!(server.get("/v1/items?filter=nonsense").status, 400);
    assert_eq!(server.get("/v1/items?cursor=nonsense").status, 400);
    assert_refused(&server.get("/v1/items?limit=0"), "/limit");
}

#[test]
fn a_batch_of_searches_answers_each_alone() {
    let server = gallery();
    let searches = json!({"searches": [
        {"id": "p2", "limit": 1},
        {"id": "nobody"},
        {"image": {"base64": base64(&png(4))}, "limit": 2, "filter": {"must": [{"key": "label", "match": "boot"}]}},
        {"id": "p2", "limit": 0},
        {"image": {"base64": base64(b"no picture")}},
    ]});

    let answer = server.post_json("/v1/search:batch", &searches);

    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json()["results"].clone();
    assert_eq!(results[0]["hits"][0]["id"], "p2");
    assert_eq!(results[1]["error"]["code"], "not_found");
    assert_eq!((&results[2]["hits"][0]["id"], results[2]["hits"].as_array().unwrap().len()), (&json!("p4"), 2));
    assert_eq!(results[3]["error"]["errors"][0]["pointer"], "/searches/3/limit", "{results}");
    assert_eq!(results[4]["error"]["code"], "unsupported_image");
    assert_refused(&server.post_json("/v1/search:batch", &json!({"searches": []})), "/searches");
}

#[test]
fn embeddings_come_in_the_shape_that_clients_of_openai_expect() {
    let server = Server::start();
    let (plain, url) = (base64(&png(1)), format!("data:image/png;base64,{}", base64(&png(1))));
    let ask = |body: Value| server.post_json("/v1/embeddings", &body);

    let floats = ask(json!({"model": "any", "input": [plain, url]})).json();
    let packed = ask(json!({"input": plain, "encoding_format": "base64"})).json();

    assert_eq!((&floats["object"], &floats["data"][1]["index"]), (&json!("list"), &json!(1)), "{floats}");
    let numbers = |at: usize| -> Vec<f64> {
        floats["data"][at]["embedding"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    assert_eq!(numbers(0).len(), 128);
    let bytes =
        base64::Engine::decode(&base64::prelude::BASE64_STANDARD, packed["data"][0]["embedding"].as_str().unwrap());
    let unpacked: Vec<f32> =
        bytes.unwrap().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    for other in [numbers(1), unpacked.into_iter().map(f64::from).collect()] {
        let furthest = numbers(0).iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(furthest < 1e-5, "{furthest}");
    }
    assert!(floats["usage"]["total_tokens"].is_number(), "{floats}");
    assert_eq!(ask(json!({"input": "no base64!"})).status, 400);
    assert_eq!(ask(json!({"input": plain, "dimensions": 7})).status, 400);
}

#[test]
fn recall_is_measured_on_live_searches_and_published() {
    let server = Server::start_with(|config| config.search.recall_sample = 2);
    for seed in 0..11 {
        server.store(&format!("p{seed}"), &png(seed));
    }
    assert!(!server.get("/metrics").text().contains("holdfast_ann_recall{"));

    for _search in 0..4 {
        assert_eq!(server.post_json("/v1/search", &json!({"id": "p1"})).status, 200);
    }

    // So few items are searched exactly, so all of them are found.
    let published = || server.get("/metrics").text();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !published().contains("holdfast_ann_recall{k=\"10\"} 1\n") {
        assert!(std::time::Instant::now() < deadline, "{}", published());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(published().contains("holdfast_ann_recall{k=\"1\"} 1\n"));
    assert!(!published().contains("holdfast_ann_recall{k=\"100\"}"), "nobody asked for a hundred");
}
