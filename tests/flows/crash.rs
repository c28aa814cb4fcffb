//! The process is killed, as by a power cut, while several clients write, search and take snapshots.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use holdfast_tests::oracle::Oracle;
use holdfast_tests::programs::program;
use holdfast_tests::server::Server;
use holdfast_tests::world::World;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use ureq::http::Method;

const CLIENTS: usize = 4;

/// What was done to the servers of a run.
#[derive(Default)]
struct Work {
    acknowledged: AtomicUsize,
    searches: AtomicUsize,
    snapshots: AtomicUsize,
}

fn search_until_killed(server: &Server, work: &Work) {
    let query = json!({"id": "client.0.0", "limit": 100}).to_string();
    while let Ok(answer) = server.try_send(Method::POST, "/v1/search", "application/json", query.as_bytes()) {
        // The item that is searched by may be deleted at the time.
        assert!([200, 404].contains(&answer.status), "{}", answer.text());
        work.searches.fetch_add(1, Ordering::Relaxed);
    }
}

fn snapshot_until_killed(server: &Server, work: &Work, announced: &mut Vec<String>) {
    while let Ok(answer) = server.try_send(Method::POST, "/v1/snapshots", "application/json", b"") {
        assert_eq!(answer.status, 201, "{}", answer.text());
        announced.push(answer.json()["id"].as_str().unwrap().to_owned());
        work.snapshots.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(20));
    }
}

/// Kills the server once, at a random moment under load; returns the snapshots that were announced.
fn one_kill(server: &Server, oracle: &Oracle, work: &Work, seed: u64) -> Vec<String> {
    let mut announced = Vec::new();
    let moment = Duration::from_millis(ChaCha8Rng::seed_from_u64(seed).random_range(10..400));
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let rng = &mut ChaCha8Rng::seed_from_u64(seed * 31 + client as u64);
                let written = oracle.write_until_killed(server, client, rng);
                work.acknowledged.fetch_add(written, Ordering::Relaxed);
            });
        }
        scope.spawn(|| search_until_killed(server, work));
        scope.spawn(|| snapshot_until_killed(server, work, &mut announced));
        // Not waiting for anything: this is the random moment.
        thread::sleep(moment);
        server.kill();
    });
    announced
}

/// Announced snapshots are there and can be restored; half-made ones are not.
fn assert_snapshots_hold(world: &World, server: &Server, announced: &[String], round: usize) {
    let listed = server.get("/v1/snapshots").json();
    let listed: Vec<_> =
        listed["snapshots"].as_array().unwrap().iter().map(|info| info["id"].as_str().unwrap()).collect();
    assert!(announced.iter().all(|id| listed.contains(&id.as_str())), "{announced:?} are not all in {listed:?}");
    for (at, id) in listed.iter().enumerate() {
        if at == 0 && round.is_multiple_of(5) {
            let target = world.path(&format!("restored.{round}"));
            let file = world.path("data").join("snapshots").join(format!("{id}.tar"));
            let output = program("holdfast").arg("restore").arg(file).arg("--data-dir").arg(&target).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            std::fs::remove_dir_all(target).unwrap();
        }
        let deleted = server.try_send(Method::DELETE, &format!("/v1/snapshots/{id}"), "", b"").unwrap();
        assert_eq!(deleted.status, 204);
    }
    let left = std::fs::read_dir(world.path("data").join("snapshots")).unwrap().count();
    assert_eq!(left, 0, "a half-made snapshot was left behind");
}

fn kill_again_and_again(kills: usize, seed: u64) {
    let world = World::without_monitor();
    let (oracle, work) = (Oracle::new(CLIENTS), Work::default());
    let mut server = world.serve();
    for round in 0..kills {
        let announced = one_kill(&server, &oracle, &work, seed + round as u64);
        drop(server);
        server = world.serve();
        oracle.assert_holds(&server, &world.path("data").join("pictures"));
        assert_snapshots_hold(&world, &server, &announced, round);
    }
    eprintln!(
        "{kills} kills, {} writes acknowledged, {} in doubt of which {} had happened, {} searches, {} snapshots, seed {seed}: \
         none lost, none resurrected, no ghosts",
        work.acknowledged.into_inner(),
        oracle.in_doubt(),
        oracle.had_happened(),
        work.searches.into_inner(),
        work.snapshots.into_inner(),
    );
}

#[test]
fn no_acknowledged_write_is_lost_when_the_server_is_killed_again_and_again() {
    kill_again_and_again(10, 1);
}

#[test]
#[ignore = "slow: two hundred kills"]
fn no_acknowledged_write_is_lost_in_two_hundred_kills() {
    kill_again_and_again(200, 1000);
}
