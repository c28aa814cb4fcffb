//! The loop: a net is trained, attacked, served, and searched with pictures of products it has never seen.

use std::path::{Path, PathBuf};

use holdfast_tests::programs::program;
use holdfast_tests::world::World;

const SHOP: &[&str] = &["--set", "data.toy_shop.classes=12", "--set", "data.toy_shop.pictures_per_class=16"];

const EXPERIMENT: &str = r#"
backbone = "c3f1"
seed = 3
steps = 30
pairs = 8
[defense]
name = "hardness_manipulation"
intra_class_structure = { weight = 0.5 }
pgd = { epsilon = "8/255", alpha = "4/255", steps = 2 }
[evaluation]
profile = { name = "probe", epsilon = "8/255", alpha = "4/255", steps = 2, batch = 16 }
attacks = "ES,TMA"
queries = 16
[data.toy_shop]
classes = 12
pictures_per_class = 16
"#;

/// Runs `holdfast-trainer` and returns what it printed.
fn trainer(arguments: &[&str]) -> String {
    let output = program("holdfast-trainer").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every picture below `folder`, with the name of its class folder.
fn labelled_pictures(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = |path: &Path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let of_class = |class: PathBuf| {
        let label = class.file_name().unwrap().to_str().unwrap().to_owned();
        entries(&class).into_iter().map(move |picture| (label.clone(), picture))
    };
    entries(folder).into_iter().flat_map(of_class).collect()
}

#[test]
fn a_net_is_trained_compared_served_and_finds_products_it_has_never_seen() {
    let world = World::without_monitor();
    let (config, report) = (world.path("experiment.toml"), world.path("report.json"));
    let (checkpoint, pictures) = (world.path("checkpoint"), world.path("pictures"));
    std::fs::write(&config, EXPERIMENT).unwrap();

    trainer(&[&["train", "--config", text(&config), "--out", text(&checkpoint)], SHOP].concat());
    trainer(&[
        "evaluate",
        "--checkpoint",
        text(&checkpoint),
        "--config",
        text(&config),
        "--out",
        text(&report),
        "--limit",
        "16",
    ]);
    let table = trainer(&["compare", text(&report), text(&checkpoint)]);
    assert!(table.contains("R@1 clean") && table.contains("TMA"), "{table}");
    trainer(&[
        "export",
        "--config",
        text(&config),
        "--out",
        text(&pictures),
        "--gallery",
        "60",
        "--canary",
        "6",
        "--queries",
        "24",
    ]);

    let server = world.serve();
    world.import("pictures/gallery", &server);
    let queries = labelled_pictures(&pictures.join("queries"));
    let right = queries.iter().filter(|(label, picture)| {
        let reply = server.search(&std::fs::read(picture).unwrap(), 1).json();
        reply["hits"][0]["metadata"]["label"] == label.as_str()
    });
    // Six unseen classes: chance is 1 in 6.
    let (right, asked) = (right.count(), queries.len());
    assert!(asked == 24 && right >= 10, "{right} of {asked} queries found their class");
}
