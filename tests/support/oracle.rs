//! What clients know of a gallery that may be torn away from them at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::{Rng, RngCore};
use serde_json::json;
use ureq::http::Method;

use crate::pictures::{CLASSES, png};
use crate::server::Server;

/// Ids of one client. Few, so that most writes are updates and deletes.
const IDS: usize = 20;
const PICTURES: usize = 60;

/// The picture that an item shows, or that there is no item.
type State = Option<usize>;

/// One item as its only writer knows it.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    acknowledged: State,
    /// Sent and not answered: it may have happened, wholly, or not at all.
    in_doubt: Option<State>,
}

#[derive(Default)]
struct Book {
    items: BTreeMap<String, Known>,
    in_doubt: usize,
    had_happened: usize,
}

/// Writes, and remembers what was acknowledged.
pub struct Oracle {
    book: Mutex<Book>,
    clients: usize,
}

impl Oracle {
    /// Nothing was written yet.
    pub fn new(clients: usize) -> Self {
        Self { book: Mutex::default(), clients }
    }

    /// Writes that were not answered, in all rounds.
    pub fn in_doubt(&self) -> usize {
        self.book().in_doubt
    }

    /// Those of them that had happened.
    pub fn had_happened(&self) -> usize {
        self.book().had_happened
    }

    /// Stores, replaces and deletes items of one client until the server is gone; returns how often it was acknowledged.
    ///
    /// # Panics
    /// If a write is refused.
    pub fn write_until_killed(&self, server: &Server, client: usize, rng: &mut dyn RngCore) -> usize {
        assert!(client < self.clients, "there are {} clients", self.clients);
        for acknowledged in 0.. {
            let id = format!("client.{client}.{}", rng.random_range(0..IDS));
            let wanted = rng.random_ratio(3, 4).then(|| rng.random_range(0..PICTURES));
            self.book().items.entry(id.clone()).or_default().in_doubt = Some(wanted);
            let answer = match wanted {
                Some(number) => server.try_put(&id, &picture(number)),
                None => server.try_send(Method::DELETE, &format!("/v1/items/{id}"), "", b""),
            };
            let Ok(answer) = answer else { return acknowledged };
            let expected: &[u16] = if wanted.is_some() { &[200] } else { &[204, 404] };
            assert!(expected.contains(&answer.status), "{id}: {}", answer.text());
            self.book().items.insert(id, Known { acknowledged: wanted, in_doubt: None });
        }
        unreachable!("the loop ends with the server")
    }

    /// The server has each item as it was acknowledged, or as it was in doubt, wholly; and nothing else, in the catalog, in the
    /// index and on disk. What was in doubt is known then.
    ///
    /// # Panics
    /// If a write was lost, resurrected or half done.
    pub fn assert_holds(&self, server: &Server, pictures: &Path) {
        let mut book = self.book();
        let ids: Vec<String> = book.items.keys().cloned().collect();
        for id in ids {
            let known = book.items[&id];
            let found = state_of(server, &id);
            let happened = known.in_doubt == Some(found);
            assert!(happened || found == known.acknowledged, "{id} is {found:?}, and was {known:?}");
            book.in_doubt += usize::from(known.in_doubt.is_some());
            book.had_happened += usize::from(happened);
            book.items.insert(id, Known { acknowledged: found, in_doubt: None });
        }
        let present: BTreeMap<&str, usize> =
            book.items.iter().filter_map(|(id, known)| Some((id.as_str(), known.acknowledged?))).collect();
        assert_found(server, &present);
        let shown: BTreeSet<usize> = present.values().copied().collect();
        assert_eq!(files_below(pictures), shown.len(), "pictures on disk are those that items show");
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A different picture for each number.
fn picture(number: usize) -> Vec<u8> {
    png(CLASSES[number % CLASSES.len()], (number / CLASSES.len()) as u32)
}

fn state_of(server: &Server, id: &str) -> State {
    let item = server.get(&format!("/v1/items/{id}"));
    let stored = server.get(&format!("/v1/items/{id}/image"));
    assert_eq!(item.status, stored.status, "{id} is half there");
    if item.status == 404 {
        return None;
    }
    assert_eq!(item.status, 200, "{id}: {}", item.text());
    let number = (0..PICTURES).find(|number| picture(*number) == stored.body);
    assert!(number.is_some(), "{id} shows a picture that nobody stored");
    number
}

/// Searches find what is there, under its own picture, and nothing else.
fn assert_found(server: &Server, present: &BTreeMap<&str, usize>) {
    assert_eq!(server.get("/healthz").json()["items"], json!(present.len()));
    let Some((first, _)) = present.first_key_value() else { return };
    let reply = server.post("/v1/search", &json!({"id": first, "limit": 1000, "exact": true})).json();
    let hits = reply["hits"].as_array().expect("a search answers with hits");
    let found: BTreeSet<&str> = hits.iter().filter_map(|hit| hit["id"].as_str()).collect();
    assert_eq!(found, present.keys().copied().collect());
    for (id, number) in present.iter().step_by(9) {
        let reply = server.search(&picture(*number), 1000).json();
        let own = reply["hits"].as_array().and_then(|hits| hits.iter().find(|hit| hit["id"] == **id));
        let distance = own.and_then(|hit| hit["distance"].as_f64());
        assert!(distance.is_some_and(|distance| distance < 1e-2), "{id} is not found by its own picture: {own:?}");
    }
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    entries
        .map(|entry| entry.expect("the folder can be read").path())
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}
