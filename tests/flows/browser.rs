//! A browser opens the page, as a user does. Runs where Chromium is installed, and says so where it is not.

use std::path::PathBuf;
use std::time::Duration;

use holdfast_tests::browser::{Page, chromium};
use holdfast_tests::pictures::{png, write_folder};
use holdfast_tests::server::Server;
use holdfast_tests::world::World;
use serde_json::json;

const MONITOR: &str = "\
[monitor]
canary = \"WORLD/canary\"
interval_seconds = 2
cpu_share = 0.9
steps = 4
queries = 12
";

const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a gallery, and its page; nothing where there is no browser.
fn page_of_a_shop() -> Option<(World, Server, Page)> {
    let Some(chromium) = chromium() else {
        eprintln!("skipped: no chromium or google-chrome is installed, so the page was not opened");
        return None;
    };
    let world = World::new(MONITOR);
    write_folder(&world.path("shop"), 0..18);
    write_folder(&world.path("canary"), 100..102);
    let server = world.serve();
    world.import("shop", &server);
    let mut page = Page::open(&chromium, &server.url("/"));
    page.wait_until("document.readyState === 'complete'", PATIENCE);
    Some((world, server, page))
}

/// Keeps what the browser shows in `target/screenshots/`, to be looked at.
fn keep_screenshot(page: &mut Page, name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), page.screenshot()).unwrap();
}

#[test]
fn an_uploaded_picture_shows_its_nearest_ones_and_the_robustness_panel_fills() {
    let Some((world, _server, mut page)) = page_of_a_shop() else { return };
    std::fs::write(world.path("query.png"), png("plum", 3)).unwrap();

    page.choose_file("#picture", &world.path("query.png"));

    page.wait_until("document.querySelectorAll('#hits .hit').length === 20", PATIENCE);
    assert_eq!(page.value("document.querySelector('#hits .hit-id').textContent"), "plum.3");
    page.wait_until("document.querySelectorAll('#robustness-body > .scores .score').length === 5", PATIENCE);
    page.wait_until("document.querySelector('#hits img').naturalWidth > 0", PATIENCE);
    assert_eq!(page.value("document.querySelector('#facts').textContent.includes('108')"), json!(true));
    page.wait_until("document.querySelector('#state').dataset.state === 'idle'", PATIENCE);
    keep_screenshot(&mut page, "search.png");
}

#[test]
fn choosing_a_hit_searches_from_there() {
    let Some((world, _server, mut page)) = page_of_a_shop() else { return };
    std::fs::write(world.path("query.png"), png("leek", 3)).unwrap();
    page.choose_file("#picture", &world.path("query.png"));
    page.wait_until("document.querySelectorAll('#hits .hit').length === 20", PATIENCE);

    let second = page.value("document.querySelectorAll('#hits .hit-id')[1].textContent");
    page.value("document.querySelectorAll('#hits .hit')[1].click()");

    let first_is_second = format!("document.querySelector('#hits .hit-id').textContent === {second}");
    page.wait_until(&first_is_second, PATIENCE);
}

#[test]
fn a_file_that_is_no_picture_is_answered_in_words() {
    let Some((world, _server, mut page)) = page_of_a_shop() else { return };
    std::fs::write(world.path("list.txt"), "apples and <b>plums</b>").unwrap();

    page.choose_file("#picture", &world.path("list.txt"));

    page.wait_until("!document.querySelector('#notice').hidden", PATIENCE);
    assert_ne!(page.value("document.querySelector('#notice').textContent"), "");
    keep_screenshot(&mut page, "refused.png");
}

#[test]
fn names_from_the_gallery_never_become_markup() {
    let Some((world, server, mut page)) = page_of_a_shop() else { return };
    let label = "<img src=x onerror=\"document.title='broken in'\">";
    server.put_labelled("odd", label, &png("coal", 40));
    std::fs::write(world.path("query.png"), png("coal", 40)).unwrap();

    page.choose_file("#picture", &world.path("query.png"));
    page.wait_until("document.querySelector('#hits .hit-id')?.textContent === 'odd'", PATIENCE);

    assert_eq!(page.value("document.querySelector('#hits .hit-label').textContent"), label);
    assert_eq!(page.value("document.title"), "Holdfast");
}
