//! The gallery in pages, deletion with a way back, and pictures that are added.

use holdfast_tests::pictures::png;
use serde_json::json;

use super::Shop;

#[test]
fn the_gallery_is_browsed_in_pages_and_filtered() {
    let Some(mut shop) = Shop::open() else { return };
    shop.go("gallery");
    shop.wait("document.querySelector('#gallery-range').textContent === '1–60 of 108'");
    assert_eq!(shop.text("#gallery-count"), "108 pictures");

    shop.click("#next");
    shop.wait("document.querySelector('#gallery-range').textContent === '61–108 of 108'");
    assert_eq!(shop.page.value("document.querySelector('#next').disabled"), json!(true));
    shop.click("#previous");
    shop.wait("document.querySelector('#gallery-range').textContent === '1–60 of 108'");

    shop.filter("label", "plum");
    shop.wait("document.querySelector('#gallery-count').textContent === '18 pictures meet the filter'");
    shop.assert_no_complaints();
}

#[test]
fn a_deleted_picture_is_asked_about_first_and_can_be_put_back() {
    let Some(mut shop) = Shop::open() else { return };
    shop.go("gallery");
    shop.wait("document.querySelectorAll('#items .card').length === 60");

    shop.click("[data-id='apple.0'] .card-details");
    shop.wait("document.querySelector('#details .danger-text') !== null");
    shop.click("#details .danger-text");
    shop.wait("document.querySelector('#confirm').open");
    shop.click("#confirm-cancel");
    assert_eq!(shop.server.get("/v1/items/apple.0").status, 200, "nothing is deleted before it is confirmed");
    shop.click("#details .danger-text");
    shop.click("#confirm-accept");
    // Nothing else is waited for meanwhile: the offer stands for seconds only.
    shop.wait("document.querySelector('#toasts').textContent.startsWith('apple.0 deleted')");
    assert_eq!(shop.server.get("/v1/items/apple.0").status, 404);
    shop.click_on("Undo");

    shop.wait("document.querySelector('#toasts').textContent.startsWith('apple.0 put back')");
    shop.wait("document.querySelector('#gallery-count').textContent === '108 pictures'");
    assert_eq!(shop.server.get("/v1/items/apple.0").json()["metadata"], json!({"label": "apple"}));
    assert_eq!(shop.server.get("/v1/items/apple.0/image").body, png("apple", 0));
    shop.assert_no_complaints();
}

#[test]
fn selected_pictures_go_together_and_all_that_match_only_after_their_number_is_written() {
    let Some(mut shop) = Shop::open() else { return };
    shop.go("gallery");
    shop.filter("label", "milk");
    shop.wait("document.querySelectorAll('#items .card').length === 18");

    shop.click("#select");
    shop.page.value("[...document.querySelectorAll('.card-select')].slice(0, 3).forEach((box) => box.click())");
    shop.click("#delete-selected");
    shop.click("#confirm-accept");
    shop.wait("document.querySelector('#gallery-count').textContent === '15 pictures meet the filter'");

    shop.click("#delete-matching");
    assert_eq!(shop.page.value("document.querySelector('#confirm-accept').disabled"), json!(true));
    shop.fill("#confirm-input", "15");
    shop.click("#confirm-accept");
    shop.wait("document.querySelector('#gallery-count').textContent === '0 pictures meet the filter'");
    assert_eq!(shop.server.get("/healthz").json()["items"], 90);
    shop.assert_no_complaints();
}

#[test]
fn pictures_are_added_with_label_and_metadata_and_an_id_that_is_taken_is_kept() {
    let Some(mut shop) = Shop::open() else { return };
    shop.go("add");
    for (name, picture) in [("fresh.png", png("leek", 50)), ("plum.1.png", png("leek", 51))] {
        std::fs::write(shop.world.path(name), picture).unwrap();
        shop.page.choose_file("#files", &shop.world.path(name));
    }
    shop.wait("document.querySelectorAll('#uploads .upload').length === 2");
    shop.fill("#add-label", "leek");
    shop.click("#add-row");
    shop.fill(".add-key", "price");
    shop.fill(".add-value", "2.5");

    shop.page.value("document.querySelector('#add-form').requestSubmit()");

    shop.wait("document.querySelectorAll('.upload[data-state=stored], .upload[data-state=refused]').length === 2");
    assert_eq!(shop.server.get("/v1/items/fresh").json()["metadata"], json!({"label": "leek", "price": 2.5}));
    assert_eq!(shop.server.get("/v1/items/plum.1").json()["metadata"], json!({"label": "plum"}));
    assert!(shop.text(".upload[data-state=refused] .upload-state").contains("tick Replace"));
    shop.assert_no_complaints();
}

#[test]
fn names_from_the_gallery_never_become_markup() {
    let Some(mut shop) = Shop::open() else { return };
    let markup = "<img src=x onerror=\"document.title='broken in'\">";
    let picture = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, png("coal", 40));
    let metadata = json!({"label": markup, markup: markup, "tags": [markup]});
    let body = json!({"image": {"base64": picture}, "metadata": metadata}).to_string();
    let put = ureq::http::Method::PUT;
    let stored = shop.server.try_send(put, "/v1/items/odd", "application/json", body.as_bytes()).unwrap();
    assert_eq!(stored.status, 200, "{}", stored.text());

    shop.search(&png("coal", 40), 20);
    assert_eq!(shop.text("#hits .card-id"), "odd");
    assert_eq!(shop.text("#hits .card-label"), markup);
    shop.click("[data-id='odd'] .card-details");
    shop.wait("document.querySelectorAll('#details .value').length === 3");
    assert_eq!(shop.text("#details .value"), markup);
    shop.click("#details .value");
    shop.wait("document.querySelectorAll('#hits .card').length === 1");
    assert_eq!(shop.text("#chips .chip span"), format!("{markup} is {markup}"));

    assert_eq!(shop.page.value("document.title"), "Search · Holdfast");
    assert_eq!(shop.page.value("document.querySelectorAll('img[src=x]').length"), json!(0));
    shop.assert_no_complaints();
}
