//! Search by a picture that is chosen or pasted, and from hit to hit.

use holdfast_tests::pictures::png;
use serde_json::json;

use super::Shop;

#[test]
fn an_uploaded_picture_shows_its_nearest_ones_and_the_robustness_panel_fills() {
    let Some(mut shop) = Shop::open_watched() else { return };

    shop.search(&png("plum", 3), 20);

    assert_eq!(shop.text("#hits .card-id"), "plum.3");
    shop.wait("document.querySelectorAll('#robustness-body > .scores .score').length === 5");
    shop.wait("document.querySelector('#hits img').naturalWidth > 0");
    shop.wait("document.querySelector('#status-text').textContent === 'Ready · 108 pictures'");
    shop.assert_no_complaints();
}

#[test]
fn choosing_a_hit_searches_from_there_and_the_back_button_returns() {
    let Some(mut shop) = Shop::open() else { return };
    shop.search(&png("leek", 3), 20);
    let second = shop.page.value("document.querySelectorAll('#hits .card-id')[1].textContent");

    shop.page.value("document.querySelectorAll('#hits .card-main')[1].click()");

    shop.wait(&format!("document.querySelector('#hits .card-id').textContent === {second}"));
    assert_eq!(shop.text("#subject b"), second.as_str().unwrap());
    shop.page.value("history.back()");
    shop.wait("document.querySelector('#hits .card-id').textContent === 'leek.3'");
    shop.assert_no_complaints();
}

#[test]
fn a_filter_narrows_the_hits_and_its_chip_takes_it_back() {
    let Some(mut shop) = Shop::open() else { return };
    shop.search(&png("leek", 3), 20);

    shop.filter("label", "coal");

    shop.wait("document.querySelectorAll('#hits .card').length === 18");
    let all = "[...document.querySelectorAll('#hits .card-label')].every((label) => label.textContent === 'coal')";
    assert_eq!(shop.page.value(all), json!(true));
    assert_eq!(shop.text("#chips .chip span"), "label is coal");
    let filter: serde_json::Value = serde_json::from_str(&shop.text("#filter-code")).unwrap();
    assert_eq!(filter, json!({"must": [{"key": "label", "match": "coal"}]}));
    shop.click("#chips .chip-remove");
    shop.wait("document.querySelectorAll('#hits .card').length === 20");
    shop.assert_no_complaints();
}

#[test]
fn a_pasted_picture_is_searched_by() {
    let Some(mut shop) = Shop::open() else { return };
    let bytes = json!(png("lemon", 5));

    shop.page.value(&format!(
        "(() => {{ const clipboardData = new DataTransfer(); \
         clipboardData.items.add(new File([new Uint8Array({bytes})], 'image.png', {{ type: 'image/png' }})); \
         window.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData }})); }})()"
    ));

    shop.wait("document.querySelector('#hits .card-id')?.textContent === 'lemon.5'");
    shop.assert_no_complaints();
}

#[test]
fn a_file_that_is_no_picture_is_answered_in_words() {
    let Some(mut shop) = Shop::open() else { return };
    std::fs::write(shop.world.path("list.txt"), "apples and <b>plums</b>").unwrap();

    shop.page.choose_file("#picture", &shop.world.path("list.txt"));

    shop.wait("!document.querySelector('#search-notice').hidden");
    assert!(shop.text("#search-notice").starts_with("The picture cannot be read"));
}
