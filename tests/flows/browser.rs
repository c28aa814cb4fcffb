//! A browser opens the page, as a user does. Runs where Chromium is installed, and says so where it is not.

mod access;
mod appearance;
mod gallery;
mod keyboard;
mod search;

use std::time::Duration;

use holdfast_tests::browser::{Page, chromium};
use holdfast_tests::pictures::write_folder;
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

/// A server with a gallery, and its page.
struct Shop {
    page: Page,
    server: Server,
    world: World,
}

impl Shop {
    /// 108 pictures of six classes, and nothing else going on; nothing where there is no browser.
    fn open() -> Option<Self> {
        Self::open_with("[monitor]\nenabled = false\n")
    }

    /// The same on a server that attacks itself.
    fn open_watched() -> Option<Self> {
        Self::open_with(MONITOR)
    }

    fn open_with(config: &str) -> Option<Self> {
        let Some(chromium) = chromium() else {
            eprintln!("skipped: no chromium or google-chrome is installed, so the page was not opened");
            return None;
        };
        let world = World::new(config);
        write_folder(&world.path("shop"), 0..18);
        write_folder(&world.path("canary"), 100..102);
        let server = world.serve();
        world.import("shop", &server);
        let page = Page::open(&chromium, &server.url("/"));
        let mut shop = Shop { page, server, world };
        shop.wait("document.readyState === 'complete'");
        Some(shop)
    }

    fn wait(&mut self, expression: &str) {
        self.page.wait_until(expression, PATIENCE);
    }

    /// The text of the first element that `selector` finds.
    fn text(&mut self, selector: &str) -> String {
        let found = self.page.value(&format!("document.querySelector({})?.textContent ?? ''", json!(selector)));
        found.as_str().unwrap().to_owned()
    }

    /// Clicks on the first element that `selector` finds.
    fn click(&mut self, selector: &str) {
        self.page.value(&format!("document.querySelector({}).click()", json!(selector)));
    }

    /// Clicks on the button with these words.
    fn click_on(&mut self, words: &str) {
        let find = format!(
            "[...document.querySelectorAll('button')].filter((b) => b.textContent === {}).at(-1)",
            json!(words)
        );
        self.wait(&format!("{find} !== undefined"));
        self.page.value(&format!("{find}.click()"));
    }

    /// Opens a page by its link.
    fn go(&mut self, name: &str) {
        self.click(&format!("#to-{name}"));
        self.wait(&format!("document.querySelector('#main').dataset.current === '{name}'"));
    }

    /// Writes into a field as a user does, who leaves it afterwards.
    fn fill(&mut self, selector: &str, value: &str) {
        self.page.value(&format!(
            "(() => {{ const field = document.querySelector({}); field.value = {}; \
             for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {{ bubbles: true }})); }})()",
            json!(selector),
            json!(value)
        ));
    }

    /// Adds the condition that a key has a value.
    fn filter(&mut self, key: &str, value: &str) {
        self.click("#filter-add");
        self.fill("#filter-form [name=key]", key);
        self.fill("#filter-form [name=value]", value);
        self.page.value("document.querySelector('#filter-form').requestSubmit()");
    }

    /// Searches by a picture file and waits for this many hits.
    fn search(&mut self, picture: &[u8], hits: usize) {
        let file = self.world.path("query.png");
        std::fs::write(&file, picture).unwrap();
        self.page.choose_file("#picture", &file);
        self.wait(&format!("document.querySelectorAll('#hits .card').length === {hits}"));
    }

    #[track_caller]
    fn assert_no_complaints(&mut self) {
        let complaints = self.page.complaints();
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}
