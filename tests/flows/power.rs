//! The power is cut: of all that the server wrote to its file system, only what it synced is there.
//!
//! The data folder is a disk within a file. At a random moment the server is halted and the file is copied: it holds what was
//! synced, and not what the system still had in memory. The copy is mounted in its place, and the server starts on it.

use std::path::Path;
use std::thread;
use std::time::Duration;

use holdfast_tests::mount::{Mount, make_image};
use holdfast_tests::oracle::Oracle;
use holdfast_tests::world::World;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CLIENTS: usize = 4;

fn cut_again_and_again(cuts: u64) {
    let world = World::without_monitor();
    let (image, copy, data) = (world.path("disk"), world.path("disk.copy"), world.path("data"));
    if !make_image(&image, 160) {
        return;
    }
    let oracle = Oracle::new(CLIENTS);
    for cut in 0..=cuts {
        let Some(mounted) = Mount::image(&image, &data) else { return };
        let server = world.serve();
        oracle.assert_holds(&server, &data.join("pictures"));
        if cut == cuts {
            break;
        }
        let moment = Duration::from_millis(ChaCha8Rng::seed_from_u64(cut).random_range(10..300));
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (oracle, server) = (&oracle, &server);
                let rng = ChaCha8Rng::seed_from_u64(cut * 31 + client as u64);
                scope.spawn(move || oracle.write_until_killed(server, client, &mut { rng }));
            }
            // Not waiting for anything: this is the random moment.
            thread::sleep(moment);
            server.halt();
            copy_sparse(&image, &copy);
            server.kill();
        });
        drop(server);
        drop(mounted);
        std::fs::rename(&copy, &image).unwrap();
    }
    eprintln!(
        "{cuts} power cuts, {} writes in doubt of which {} had happened",
        oracle.in_doubt(),
        oracle.had_happened()
    );
}

fn copy_sparse(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("--sparse=always").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[test]
fn what_was_acknowledged_was_synced_with_its_picture_and_the_names_of_both() {
    cut_again_and_again(4);
}

#[test]
#[ignore = "slow: fifty power cuts"]
fn what_was_acknowledged_was_synced_at_fifty_power_cuts() {
    cut_again_and_again(50);
}
