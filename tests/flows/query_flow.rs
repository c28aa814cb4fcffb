//! Items go in, are found by picture, by item and by vector, and survive a restart.

use holdfast_tests::pictures::{CLASSES, png, write_folder};
use holdfast_tests::world::World;
use serde_json::json;

#[test]
fn an_item_is_found_by_its_own_picture_and_is_still_there_after_a_restart() {
    let world = World::without_monitor();
    let server = world.serve();
    for (class, number) in CLASSES.into_iter().zip(0..) {
        let answer = server.put_labelled(&format!("{class}.{number}"), class, &png(class, number));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(server.found(&png("plum", 2), 3)[0], "plum.2");

    let (status, stderr) = server.stop();
    assert!(status.success(), "{stderr}");
    let server = world.serve();

    assert_eq!(server.found(&png("plum", 2), 3)[0], "plum.2");
    assert_eq!(server.get("/v1/items/plum.2").json()["metadata"], json!({"label": "plum"}));
    let picture = server.get("/v1/items/plum.2/image");
    assert_eq!((picture.content_type.as_str(), picture.body), ("image/png", png("plum", 2)));
}

#[test]
fn a_deleted_item_is_not_found_any_more_and_does_not_come_back() {
    let world = World::without_monitor();
    let server = world.serve();
    server.put_labelled("apple.1", "apple", &png("apple", 1));
    server.put_labelled("coal.1", "coal", &png("coal", 1));

    let answer = server.try_send(ureq::http::Method::DELETE, "/v1/items/apple.1", "", b"").unwrap();

    assert!((200..300).contains(&answer.status), "{}", answer.text());
    assert_eq!(server.found(&png("apple", 1), 5), ["coal.1"]);
    server.stop();
    let server = world.serve();
    assert_eq!(server.found(&png("apple", 1), 5), ["coal.1"]);
    assert_eq!(server.get("/v1/items/apple.1").status, 404);
}

#[test]
fn putting_the_same_id_again_replaces_picture_and_metadata() {
    let world = World::without_monitor();
    let server = world.serve();
    server.put_labelled("item", "apple", &png("apple", 1));

    server.put_labelled("item", "coal", &png("coal", 1));

    assert_eq!(server.found(&png("apple", 1), 5), ["item"], "there is one item, not two");
    assert_eq!(server.get("/v1/items/item").json()["metadata"]["label"], "coal");
    assert_eq!(server.get("/v1/items/item/image").body, png("coal", 1));
}

#[test]
fn an_imported_folder_is_searchable_by_picture_item_and_vector_alike() {
    let world = World::without_monitor();
    let server = world.serve();
    write_folder(&world.path("shop"), 0..8);
    world.import("shop", &server);

    let by_picture = server.found(&png("lemon", 3), 8);
    let by_id = server.post("/v1/search", &json!({"id": "lemon.3", "limit": 8})).json();
    let vectors = server.try_send(ureq::http::Method::POST, "/v1/embed", "image/png", &png("lemon", 3)).unwrap();
    let vector = &vectors.json()["vectors"][0];
    let by_vector = server.post("/v1/search", &json!({"vector": vector, "limit": 8})).json();

    assert_eq!(by_picture[0], "lemon.3");
    for reply in [by_id, by_vector] {
        let ids: Vec<_> = reply["hits"].as_array().unwrap().iter().map(|hit| hit["id"].clone()).collect();
        assert_eq!(ids, by_picture, "{reply}");
        assert_eq!(reply["hits"][0]["metadata"]["label"], "lemon");
    }
}

#[test]
fn every_answer_names_the_generation_that_gave_it() {
    let world = World::without_monitor();
    let server = world.serve();
    server.put_labelled("apple.1", "apple", &png("apple", 1));

    let reply = server.search(&png("apple", 1), 1).json();

    let generation = reply["generation"].as_str().unwrap();
    assert!(!generation.is_empty());
    assert_eq!(server.get("/v1/robustness").json()["serving"]["generation"], generation);
}
