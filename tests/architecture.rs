//! The house keeps its shape: who may depend on whom, and which words stay in which folder.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Crate → the crates of this workspace that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ops", &[]),
    ("model", &["ops"]),
    ("index", &[]),
    ("attack", &["model", "ops"]),
    ("trainer", &["model", "attack", "ops"]),
    ("server", &["model", "attack", "index"]),
];

/// Crate → foreign crates it must not know.
const FOREIGN: &[(&str, &[&str])] = &[
    ("index", &["candle-core", "image"]),
    ("attack", &["image", "actix-web", "hnsw_rs"]),
    ("trainer", &["actix-web", "hnsw_rs", "redb"]),
    ("model", &["actix-web", "hnsw_rs", "redb"]),
];

type Graph = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Package → normal and build dependencies, without the prefix of this workspace's packages.
fn dependencies() -> Graph {
    let metadata = MetadataCommand::new().current_dir(workspace()).no_deps().exec().unwrap();
    let short = |name: &str| name.trim_start_matches("holdfast-").to_owned();
    let of = |package: &cargo_metadata::Package| {
        let kept = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        (short(&package.name), kept.map(|dependency| short(&dependency.name)).collect())
    };
    metadata.packages.iter().map(of).collect()
}

/// Every edge that the two tables forbid, as "from → to".
fn forbidden(graph: &Graph) -> Vec<String> {
    let ours: BTreeSet<&str> = graph.keys().map(String::as_str).collect();
    let mut found = Vec::new();
    for (from, targets) in graph.iter().filter(|(from, _)| *from != "tests") {
        let row = |table: &[(&str, &'static [&'static str])]| {
            table.iter().find(|(name, _)| name == from).map(|(_, row)| *row)
        };
        let allowed =
            row(ALLOWED).unwrap_or_else(|| panic!("crate {from} is not in the table: decide what it may know"));
        let foreign = row(FOREIGN).unwrap_or_default();
        for to in targets {
            let forbidden = if ours.contains(to.as_str()) {
                !allowed.contains(&to.as_str())
            } else {
                foreign.contains(&to.as_str())
            };
            if forbidden {
                found.push(format!("{from} → {to}"));
            }
        }
    }
    found
}

#[test]
fn no_crate_depends_on_what_it_must_not_know() {
    assert_eq!(forbidden(&dependencies()), Vec::<String>::new());
}

#[test]
fn a_forbidden_edge_is_found() {
    for (from, to) in
        [("server", "trainer"), ("model", "attack"), ("index", "candle-core"), ("trainer", "index"), ("ops", "model")]
    {
        let mut graph = dependencies();
        graph.get_mut(from).unwrap().insert(to.to_owned());
        assert_eq!(forbidden(&graph), [format!("{from} → {to}")]);
    }
}

/// All `.rs` files below `folder`.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn only_the_http_folder_and_the_page_name_actix() {
    let source = workspace().join("server/src");
    let may = |path: &Path| path.starts_with(source.join("http")) || path.starts_with(source.join("ui"));
    for path in sources(&source).into_iter().filter(|path| !may(path)) {
        assert!(!std::fs::read_to_string(&path).unwrap().contains("actix"), "{} names actix", path.display());
    }
}

#[test]
fn only_ops_contains_unsafe_code() {
    for krate in ["model", "attack", "trainer", "index", "server"] {
        for path in sources(&workspace().join(krate).join("src")) {
            assert!(
                !std::fs::read_to_string(&path).unwrap().contains("unsafe {"),
                "{} contains unsafe code",
                path.display()
            );
        }
    }
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    for (krate, _) in ALLOWED.iter().chain([&("tests", &[][..])]) {
        let manifest = std::fs::read_to_string(workspace().join(krate).join("Cargo.toml")).unwrap();
        let (_, tables) = manifest.split_once("[dependencies]").unwrap();
        let entries = tables.split("\n[[").next().unwrap().lines().filter(|line| line.contains('='));
        for line in entries {
            assert!(line.contains("workspace = true"), "{krate}/Cargo.toml: {line}");
        }
    }
}
