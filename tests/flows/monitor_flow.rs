//! The server attacks its own live model and shows what it found.

use std::time::{Duration, Instant};

use holdfast_tests::pictures::{png, write_folder};
use holdfast_tests::server::Server;
use holdfast_tests::wait_for;
use holdfast_tests::world::World;
use serde_json::Value;

const MONITOR: &str = "\
[monitor]
canary = \"WORLD/canary\"
interval_seconds = 1
cpu_share = 0.9
threads = 1
steps = 4
queries = 12
live_queries = 4
batch = 6
";

/// The promise is a first result within a minute of serving.
const A_MINUTE: Duration = Duration::from_secs(60);

fn robustness(server: &Server) -> Value {
    server.get("/v1/robustness").json()
}

fn scores(set: &Value) -> Vec<(String, f64)> {
    let outcomes = set["attacks"].as_array().unwrap().iter().flat_map(|attack| attack["outcomes"].as_array().unwrap());
    outcomes.map(|outcome| (outcome["name"].as_str().unwrap().to_owned(), outcome["score"].as_f64().unwrap())).collect()
}

fn world_with_gallery(pictures_a_class: u32) -> (World, Server) {
    let world = World::new(MONITOR);
    write_folder(&world.path("shop"), 0..pictures_a_class);
    write_folder(&world.path("canary"), 100..102);
    let server = world.serve();
    world.import("shop", &server);
    (world, server)
}

#[test]
fn a_served_gallery_has_scores_under_attack_within_a_minute() {
    let (_world, server) = world_with_gallery(18);

    let metrics = wait_for("a score on /metrics", A_MINUTE, || {
        let metrics = server.get("/metrics").text();
        metrics.contains("holdfast_robustness_attack_score{attack=\"TMA\"}").then_some(metrics)
    });

    for attack in ["ES:D", "ES:R", "QA+", "QA-"] {
        assert!(metrics.contains(&format!("holdfast_robustness_attack_score{{attack=\"{attack}\"}}")), "{metrics}");
    }
    let window = wait_for("a complete window on the whole gallery", A_MINUTE, || {
        let window = robustness(&server)["latest"].clone();
        (window["complete"] == true && window["gallery"] == 108).then_some(window)
    });
    assert_eq!(window["canary"]["queries"], 12);
    assert_eq!(scores(&window["canary"]).len(), 5);
    for condition in ["benign", "adversarial"] {
        let recall = window["canary"]["recall_at_1"][condition].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&recall), "{condition}: {recall}");
    }
    let sound =
        window["canary"]["attacks"].as_array().unwrap().iter().all(|attack| attack["checks"]["pixels_moved"] == true);
    assert!(sound, "{window}");
}

#[test]
fn recent_queries_are_attacked_without_labels_and_the_history_grows() {
    let (_world, server) = world_with_gallery(18);
    for number in 50..54 {
        server.search(&png("plum", number), 1);
    }

    let windows = wait_for("a window with all recent queries", A_MINUTE, || {
        let reply = server.get("/v1/robustness/windows").json();
        let windows = reply["windows"].as_array().unwrap().clone();
        windows.iter().any(|window| window["live"]["queries"] == 4).then_some(windows)
    });

    let live = &windows.last().unwrap()["live"];
    assert_eq!(live["recall_at_1"], Value::Null);
    assert!(scores(live).iter().any(|(name, _)| name == "TMA"), "{live}");
    let numbers: Vec<_> = windows.iter().map(|window| window["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=windows.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_gallery_that_is_too_small_to_attack_is_waited_for_in_words() {
    let (_world, server) = world_with_gallery(2);

    let detail = wait_for("the reason to wait", A_MINUTE, || {
        robustness(&server)["detail"].as_str().filter(|detail| detail.contains("12 items")).map(str::to_owned)
    });

    assert!(detail.starts_with("waiting for gallery"), "{detail}");
    assert_eq!(robustness(&server)["state"], "warming_up");
}

#[test]
fn a_canary_folder_that_is_missing_is_told_and_serving_goes_on() {
    let (world, server) = world_with_gallery(17);
    std::fs::remove_dir_all(world.path("canary")).unwrap();
    drop(server);
    let server = world.serve();

    let failure =
        wait_for("the failure", A_MINUTE, || robustness(&server)["last_failure"]["detail"].as_str().map(str::to_owned));

    assert!(failure.contains("canary"), "{failure}");
    assert_eq!(server.search(&png("apple", 1), 1).status, 200);
}

#[test]
fn a_server_in_the_middle_of_an_attack_stops_at_once() {
    let (_world, server) = world_with_gallery(18);
    wait_for("an attack under way", A_MINUTE, || (robustness(&server)["state"] == "running").then_some(()));

    let asked = Instant::now();
    let (status, stderr) = server.stop();

    assert!(status.success(), "{stderr}");
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?}", asked.elapsed());
}
