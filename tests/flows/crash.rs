//! The process is killed, as by a power cut, while several clients write.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use holdfast_tests::pictures::{CLASSES, png};
use holdfast_tests::server::Server;
use holdfast_tests::wait_for;
use holdfast_tests::world::World;
use ureq::http::Method;

const CLIENTS: usize = 4;
const ROUNDS: usize = 3;
const ACKNOWLEDGED_A_ROUND: usize = 40;

/// What clients know: for each item that was acknowledged, which picture it has, or that it was deleted.
type Known = BTreeMap<String, Option<usize>>;

/// A different picture for each number.
fn picture(number: usize) -> Vec<u8> {
    png(CLASSES[number % CLASSES.len()], (number / CLASSES.len()) as u32)
}

/// Writes until the server is gone, and notes what was acknowledged. Every third item is deleted again.
fn write_until_killed(server: &Server, client: usize, round: usize, known: &Mutex<Known>) {
    for count in 0.. {
        let number = (round * 1000 + count) * CLIENTS + client;
        let id = format!("item.{number}");
        let Ok(answer) = server.try_put(&id, &picture(number)) else { return };
        assert_eq!(answer.status, 200, "{}", answer.text());
        known.lock().unwrap().insert(id.clone(), Some(number));
        if count % 3 == 2 {
            // From now on and until it is acknowledged, nobody can know whether the item is there.
            known.lock().unwrap().remove(&id);
            let Ok(answer) = server.try_send(Method::DELETE, &format!("/v1/items/{id}"), "", b"") else { return };
            assert!((200..300).contains(&answer.status), "{}", answer.text());
            known.lock().unwrap().insert(id, None);
        }
    }
}

fn assert_nothing_is_lost(server: &Server, known: &Known) {
    for (id, number) in known {
        let item = server.get(&format!("/v1/items/{id}"));
        let Some(number) = number else {
            assert_eq!(item.status, 404, "{id} was deleted and is back");
            continue;
        };
        assert_eq!(item.status, 200, "{id} was acknowledged and is gone");
        let stored = server.get(&format!("/v1/items/{id}/image"));
        assert_eq!(stored.body, picture(*number), "{id} has another picture");
        let found = server.found(&picture(*number), 3);
        assert!(found.contains(id), "{id} is stored and not found: {found:?}");
    }
}

#[test]
fn no_acknowledged_write_is_lost_when_the_server_is_killed_again_and_again() {
    let world = World::without_monitor();
    let known = Mutex::new(Known::new());

    for round in 0..ROUNDS {
        let server = world.serve();
        let enough = known.lock().unwrap().len() + ACKNOWLEDGED_A_ROUND;
        thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| (client, &server, &known))
                .map(|(client, server, known)| scope.spawn(move || write_until_killed(server, client, round, known)))
                .collect();
            wait_for("acknowledged writes", Duration::from_secs(60), || {
                assert!(!clients.iter().any(thread::ScopedJoinHandle::is_finished), "a client gave up early");
                (known.lock().unwrap().len() >= enough).then_some(())
            });
            server.kill();
        });

        let server = world.serve();
        assert_nothing_is_lost(&server, &known.lock().unwrap());
    }
}
