//! The disk is full, or may not be written: what is refused then, what goes on, and what heals.

use std::fs;
use std::path::Path;
use std::time::Duration;

use holdfast_tests::mount::Mount;
use holdfast_tests::pictures::png;
use holdfast_tests::programs::{Ending, shows_its_insides};
use holdfast_tests::server::Server;
use holdfast_tests::wait_for;
use holdfast_tests::world::World;
use serde_json::json;
use ureq::http::Method;

const MEBIBYTE: usize = 1 << 20;

/// A world whose data folder is a disk of 16 MiB, of which a share is kept free.
fn small_world(min_free_bytes: usize) -> (World, Option<Mount>) {
    let world = World::new(&format!("[monitor]\nenabled = false\n[store]\nmin_free_bytes = {min_free_bytes}\n"));
    let mount = Mount::memory(&world.path("data"), "size=16m");
    (world, mount)
}

/// Stores the same picture under new ids until that is refused; returns how many were acknowledged.
fn store_until_refused(server: &Server, prefix: &str) -> usize {
    for count in 0..5000 {
        let answer = server.try_put(&format!("{prefix}.{count}"), &png("apple", 1)).unwrap();
        if answer.status != 200 {
            let problem = answer.json();
            assert_eq!((answer.status, &problem["code"]), (507, &json!("quota_exceeded")), "{}", answer.text());
            assert!(problem["detail"].as_str().unwrap().contains("disk"), "{problem}");
            assert!(!shows_its_insides(&answer.text()));
            return count;
        }
    }
    panic!("a disk of 16 MiB never gets full")
}

/// Takes all of the disk, as another program may.
fn fill(data: &Path) {
    let ballast = data.join("ballast");
    let piece = vec![1; MEBIBYTE / 4];
    let mut file = fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut file, &piece).is_ok() {}
}

fn assert_reads_go_on(server: &Server) {
    assert_eq!(server.get("/livez").status, 200);
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(server.get("/v1/items/first.0/image").body, png("apple", 1));
    assert_eq!(server.found(&png("apple", 1), 1).len(), 1);
    assert_eq!(server.post("/v1/search", &json!({"id": "first.0", "limit": 3})).status, 200);
}

#[test]
fn new_pictures_are_refused_before_the_disk_is_full_and_deletes_make_room() {
    let (world, mount) = small_world(4 * MEBIBYTE);
    let Some(_mount) = mount else { return };
    let server = world.serve();
    assert_eq!(server.try_put("first.0", &png("apple", 1)).unwrap().status, 200);
    let data = world.path("data");
    fs::write(data.join("ballast"), vec![1; 9 * MEBIBYTE]).unwrap();

    assert_eq!(server.try_put("first.0", &png("apple", 1)).unwrap().status, 200);
    fs::write(data.join("more"), vec![1; 4 * MEBIBYTE]).unwrap();
    assert_eq!(store_until_refused(&server, "second"), 0);
    assert_eq!(server.try_send(Method::POST, "/v1/snapshots", "application/json", b"").unwrap().status, 507);
    assert_reads_go_on(&server);
    let gone = server.try_send(Method::DELETE, "/v1/items/first.0", "", b"").unwrap();
    assert_eq!(gone.status, 204, "deletes make room: {}", gone.text());

    fs::remove_file(data.join("more")).unwrap();
    fs::remove_file(data.join("ballast")).unwrap();
    assert_eq!(server.try_put("second.0", &png("apple", 1)).unwrap().status, 200);
}

#[test]
fn a_commit_that_finds_the_disk_full_harms_only_itself_and_room_heals() {
    let (world, mount) = small_world(0);
    let Some(_mount) = mount else { return };
    let server = world.serve();
    for count in 0..3 {
        assert_eq!(server.try_put(&format!("first.{count}"), &png("apple", 1)).unwrap().status, 200);
    }
    fill(&world.path("data"));

    let stored = store_until_refused(&server, "second");
    assert_reads_go_on(&server);
    // A picture that is new fails before its row does.
    assert_eq!(server.try_put("third", &png("plum", 2)).unwrap().status, 507);
    assert_eq!(server.get("/v1/items/third").status, 404);
    assert_reads_go_on(&server);
    assert_eq!(server.get("/healthz").json()["status"], "writes_fail");

    fs::remove_file(world.path("data").join("ballast")).unwrap();
    wait_for("writes to heal", Duration::from_secs(10), || {
        (server.try_put("third", &png("plum", 2)).unwrap().status == 200).then_some(())
    });
    let health = server.get("/healthz").json();
    assert_eq!((&health["status"], &health["items"]), (&json!("ok"), &json!(3 + stored + 1)));
    let (status, stderr) = server.stop();
    assert!(status.success() && !shows_its_insides(&stderr), "{stderr}");

    let server = world.serve();
    for id in (0..3).map(|at| format!("first.{at}")).chain((0..stored).map(|at| format!("second.{at}"))) {
        assert_eq!(server.get(&format!("/v1/items/{id}/image")).body, png("apple", 1), "{id} was acknowledged");
    }
    assert_eq!(server.get("/v1/items/third/image").body, png("plum", 2));
}

/// A server that cannot start says why in words that name the cause, and ends with exit code 2.
fn assert_did_not_start(ending: &Ending, naming: &[&str]) {
    assert_eq!(ending.code, Some(2), "{}", ending.stderr);
    assert!(!shows_its_insides(&ending.stderr), "{}", ending.stderr);
    for word in naming {
        assert!(ending.stderr.contains(word), "\"{word}\" is not in: {}", ending.stderr);
    }
}

#[test]
fn a_disk_that_may_only_be_read_stops_the_start() {
    let world = World::without_monitor();
    let data = world.path("data");
    let Some(_mount) = Mount::memory(&data, "ro,size=1m") else { return };

    assert_did_not_start(&world.fail_to_serve(), &["data", "Read-only file system"]);
}

#[test]
fn a_data_folder_that_cannot_be_made_stops_the_start() {
    let world = World::without_monitor();
    fs::write(world.path("data"), "a file, not a folder").unwrap();

    assert_did_not_start(&world.fail_to_serve(), &["data", "cannot create the folder"]);
}

#[test]
fn a_catalog_that_was_cut_stops_the_start_and_names_the_way_out() {
    let world = World::without_monitor();
    let server = world.serve();
    assert_eq!(server.try_put("first.0", &png("apple", 1)).unwrap().status, 200);
    drop(server);
    let catalog = world.path("data").join("catalog.redb");
    fs::OpenOptions::new().write(true).open(&catalog).unwrap().set_len(8192).unwrap();

    let ending = world.fail_to_serve();

    assert_eq!(ending.code, Some(2), "{}", ending.stderr);
    assert!(ending.stderr.contains("catalog"), "{}", ending.stderr);
}

#[test]
fn a_folder_of_somebody_else_stops_the_start() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    let world = World::without_monitor();
    drop(world.serve());
    let open_to_all = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    open_to_all(&world.path(""));
    open_to_all(&world.path("checkpoint"));
    let nobody = 65534;
    let mut command = world.serve_command("127.0.0.1:0");
    let Ok(output) = command.uid(nobody).gid(nobody).output() else {
        eprintln!("skipped: this user may not start programs as another");
        return;
    };

    assert_did_not_start(&output.into(), &["data", "Permission denied"]);
}
