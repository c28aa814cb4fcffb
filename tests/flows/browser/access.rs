//! What the page does when the server wants a key, or is busy.

use holdfast_tests::pictures::png;
use serde_json::json;

use super::Shop;

/// Answers in place of the server, until the page does what is asked of it.
const WANTS_A_KEY: &str = "\
const real = window.fetch;
window.fetch = (path, options = {}) => {
  const open = !String(path).startsWith('/v1/') || options.headers?.['api-key'] === 'right-key';
  const problem = { title: 'Unauthorized', status: 401, code: 'unauthorized', detail: 'this needs an API key' };
  return open ? real(path, options) : Promise.resolve(Response.json(problem, { status: 401 }));
};";

const IS_BUSY_ONCE: &str = "\
const real = window.fetch;
window.searches = 0;
window.fetch = (path, options) => {
  if (path !== '/v1/search' || (window.searches += 1) > 1) return real(path, options);
  const problem = { title: 'Too many requests', status: 429, code: 'overloaded', detail: 'a queue is full' };
  return Promise.resolve(Response.json(problem, { status: 429, headers: { 'Retry-After': '1' } }));
};";

fn open_with(script: &str) -> Option<Shop> {
    let mut shop = Shop::open()?;
    shop.page.run_first(script);
    let address = shop.server.url("/?again");
    shop.page.go_to(&address);
    shop.wait("location.search === '?again' && document.readyState === 'complete'");
    Some(shop)
}

#[test]
fn a_key_is_asked_for_kept_in_the_tab_and_sent() {
    let Some(mut shop) = open_with(WANTS_A_KEY) else { return };
    std::fs::write(shop.world.path("query.png"), png("plum", 3)).unwrap();

    shop.page.choose_file("#picture", &shop.world.path("query.png"));

    shop.wait("document.querySelector('#key').open");
    assert!(shop.text("#key-text").starts_with("This needs an API key."));
    shop.fill("#key-input", "right-key");
    shop.page.value("document.querySelector('#key-form').requestSubmit()");
    shop.wait("document.querySelector('#hits .card-id')?.textContent === 'plum.3'");
    shop.wait("document.querySelector('#hits img').src.startsWith('blob:')");
    assert_eq!(shop.page.value("sessionStorage.getItem('holdfast.api-key')"), "right-key");
    assert_eq!(shop.page.value("localStorage.length"), json!(0));
    shop.assert_no_complaints();
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let Some(mut shop) = open_with(IS_BUSY_ONCE) else { return };
    std::fs::write(shop.world.path("query.png"), png("plum", 3)).unwrap();

    shop.page.choose_file("#picture", &shop.world.path("query.png"));

    shop.wait("document.querySelector('#search-notice').textContent.includes('Trying again')");
    shop.wait("document.querySelector('#hits .card-id')?.textContent === 'plum.3'");
    assert_eq!(shop.page.value("[window.searches, document.querySelector('#search-notice').hidden]"), json!([2, true]));
    shop.assert_no_complaints();
}
