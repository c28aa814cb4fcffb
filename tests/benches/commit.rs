//! How fast do writes become durable, next to what the disk can do? `cargo bench --workspace --bench commit`.
//!
//! First the disk alone: a page written and synced, again and again. Then a server on the same disk, with more and more
//! clients that store items at once. All show one picture, so that neither decoding nor the net nor picture files are measured,
//! but the way of a change through the catalog. Latencies are those that clients see; the commit's own are the server's metric.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program to run by hand that prints what it measures")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use holdfast_tests::pictures::png;
use holdfast_tests::server::Server;
use holdfast_tests::world::World;

const PAGE: usize = 4096;
const SYNCS: usize = 300;
const SECONDS: u64 = 4;

fn main() {
    let world = World::without_monitor();
    let mut syncs = sync_times(&world);
    println!("the disk alone: {}, {:.0} syncs/s", percentiles(&mut syncs), 1.0 / mean(&syncs));
    let server = world.serve();
    assert_eq!(server.try_put("first", &png("apple", 1)).unwrap().status, 200);
    for clients in [1, 4, 16, 64] {
        let before = commits(&server);
        let mut latencies = store(&server, clients);
        let after = commits(&server);
        let (count, seconds) = (after.0 - before.0, after.1 - before.1);
        println!(
            "{clients} clients: {:.0} writes/s, {}; {:.0} commits/s of {:.2} ms with {:.1} writes each",
            latencies.len() as f64 / SECONDS as f64,
            percentiles(&mut latencies),
            count / SECONDS as f64,
            1000.0 * seconds / count,
            latencies.len() as f64 / count
        );
    }
}

/// Seconds of each sync of one page.
fn sync_times(world: &World) -> Vec<f64> {
    let file = File::create(world.path("syncs")).unwrap();
    file.set_len((SYNCS * PAGE) as u64).unwrap();
    file.sync_all().unwrap();
    let sync = |at: usize| {
        let started = Instant::now();
        file.write_all_at(&[at as u8; PAGE], (at * PAGE) as u64).unwrap();
        file.sync_data().unwrap();
        started.elapsed().as_secs_f64()
    };
    (0..SYNCS).map(sync).collect()
}

/// Seconds of each write, by so many clients at once.
fn store(server: &Server, clients: usize) -> Vec<f64> {
    let picture = png("apple", 1);
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let write = |client: usize| {
        let mut latencies = Vec::new();
        while Instant::now() < until {
            let started = Instant::now();
            let id = format!("item.{client}.{}", latencies.len() % 50);
            assert_eq!(server.try_put(&id, &picture).unwrap().status, 200);
            latencies.push(started.elapsed().as_secs_f64());
        }
        latencies
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|client| scope.spawn(move || write(client))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// How many commits the server counted, and their seconds.
fn commits(server: &Server) -> (f64, f64) {
    let metrics = server.get("/metrics").text();
    let value = |name: &str| {
        let line =
            metrics.lines().find_map(|line| line.strip_prefix(&format!("holdfast_commit_duration_seconds_{name} ")));
        line.unwrap().parse().unwrap()
    };
    (value("count"), value("sum"))
}

fn percentiles(seconds: &mut [f64]) -> String {
    seconds.sort_by(f64::total_cmp);
    let at = |share: usize| 1000.0 * seconds[(seconds.len() - 1) * share / 100];
    format!("{:.2} ms p50, {:.2} ms p99", at(50), at(99))
}

fn mean(seconds: &[f64]) -> f64 {
    seconds.iter().sum::<f64>() / seconds.len() as f64
}
