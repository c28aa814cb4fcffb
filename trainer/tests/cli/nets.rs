//! Training, evaluation and comparison.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use holdfast_attack::Report;
use holdfast_model::checkpoint;
use tempfile::TempDir;

use crate::{nets, run, succeed};

fn report(path: impl AsRef<Path>) -> Report {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn training_leaves_a_checkpoint_that_tells_all_about_itself() {
    let robust = PathBuf::from(nets().path("robust"));

    let loaded = checkpoint::load(&robust, &Device::Cpu, DType::F32).unwrap();

    let manifest = loaded.manifest;
    assert_eq!((manifest.steps, manifest.backbone.as_str()), (3, "c3f1"));
    assert_eq!((manifest.dataset.name.as_str(), manifest.dataset.pictures), ("toy shop", 20));
    assert_eq!(manifest.metrics["recall_at_1"], report(robust.join("report.json")).recall_at_1);
    assert!(manifest.defense.contains("gLGA"), "{}", manifest.defense);
    assert_eq!(fs::read_to_string(robust.join("log.jsonl")).unwrap().lines().count(), 3);
    assert!(fs::read_to_string(robust.join("curves.svg")).unwrap().contains("toy shop, 3 steps"));
    assert!(fs::read_to_string(robust.join("README.md")).unwrap().contains("c3f1 trained on toy shop"));
}

#[test]
fn the_command_line_replaces_values_of_the_configuration() {
    let loaded = checkpoint::load(Path::new(&nets().path("vanilla")), &Device::Cpu, DType::F32).unwrap();

    assert_eq!(loaded.manifest.seed, 9);
    assert_eq!(loaded.manifest.defense, "N/A[M]");
}

#[test]
fn a_plain_line_tells_of_progress_where_there_is_no_terminal() {
    let out = TempDir::new().unwrap();
    let config = nets().path("config.toml");

    let output = run(&["train", "--config", &config, "--out", &out.path().join("net").display().to_string()]);

    let told = String::from_utf8(output.stderr).unwrap();
    for part in ["step 1/3", "step 2/3", "step 3/3", "loss", "hardness", "images/s", "ETA"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(!told.contains('\u{1b}'), "{told}");
}

#[test]
fn evaluation_repeats_what_training_measured() {
    let (robust, out) = (nets().path("robust"), nets().path("again.json"));

    let table = succeed(&["evaluate", "--checkpoint", &robust, "--out", &out, "--device", "cpu"]);

    assert_eq!(report(&out), report(Path::new(&robust).join("report.json")));
    assert!(table.contains("R@1 clean") && table.contains("score ES:R"), "{table}");
}

#[test]
fn evaluation_takes_other_attacks_sizes_and_pictures() {
    let (robust, out) = (nets().path("robust"), nets().path("other.json"));
    let pictures = nets().path("pictures-to-evaluate");
    let config = nets().path("config.toml");
    let sizes = ["--gallery", "19", "--canary", "0", "--queries", "0"];
    succeed(&[&["export", "--config", &config, "--out", &pictures][..], &sizes].concat());
    let gallery = format!("{pictures}/gallery");
    let options = ["--attacks", "QA+", "--limit", "2", "--gallery", "8", "--seed", "5"];

    let arguments = [&["evaluate", "--checkpoint", &robust, "--data", &gallery, "--out", &out][..], &options].concat();
    succeed(&arguments);

    let report = report(&out);
    assert_eq!((report.queries, report.gallery, report.seed), (2, 8, 5));
    assert_eq!(report.attacks.keys().collect::<Vec<_>>(), ["QA+"]);
}

#[test]
fn pictures_that_nothing_could_find_are_left_out_of_the_gallery() {
    let (robust, out) = (nets().path("robust"), nets().path("lonely.json"));
    let evaluate = |gallery| run(&["evaluate", "--checkpoint", &robust, "--gallery", gallery, "--out", &out]);

    // Four test classes in turn: the sixth picture is the second of the second class.
    let six = evaluate("6");
    let three = evaluate("3");

    assert!(String::from_utf8(six.stderr).unwrap().contains("2 test pictures are alone"));
    assert_eq!(report(&out).gallery, 4);
    assert!(String::from_utf8(three.stderr).unwrap().contains("no two of the first 3"));
    assert_eq!(three.status.code(), Some(2));
}

#[test]
fn an_evaluation_file_decides_all_that_it_says_and_the_command_line_the_rest() {
    let (robust, out, file) = (nets().path("robust"), nets().path("by-file.json"), nets().path("evaluation.toml"));
    let own = r#"
        attacks = "ES,NES"
        queries = 3
        seed = 8
        sanity = false
        [profile]
        name = "mine"
        epsilon = "4/255"
        alpha = "2/255"
        steps = 2
        batch = 4
        nes = { samples = 4, sigma = 0.01, query_budget = 4 }
    "#;
    fs::write(&file, own).unwrap();

    succeed(&["evaluate", "--checkpoint", &robust, "--profile", &file, "--gallery", "8", "--out", &out]);

    let report = report(&out);
    assert_eq!((report.queries, report.gallery, report.seed, report.sanity), (3, 8, 8, None));
    assert_eq!((report.profile.name.as_str(), report.profile.steps), ("mine", 2));
    assert_eq!(report.attacks.keys().collect::<Vec<_>>(), ["ES:D", "ES:R", "NES:D", "NES:R"]);
    assert_eq!(report.attacks["NES:D"].model_queries, Some(4));
}

#[test]
fn a_training_configuration_may_name_an_evaluation_file() {
    let (config, file, out) = (nets().path("config.toml"), nets().path("named.toml"), nets().path("by-name"));
    fs::write(&file, "attacks = \"TMA\"\nqueries = 3\ngallery = 8\nprofile = \"rob224\"").unwrap();
    let evaluation = format!("evaluation={{ profile = \"{file}\", queries = 2 }}");

    let table = succeed(&["train", "--config", &config, "--out", &out, "--set", "steps=1", "--set", &evaluation]);

    let report = report(Path::new(&out).join("report.json"));
    assert_eq!((report.profile.name.as_str(), report.queries, report.gallery), ("rob224", 2, 8));
    assert_eq!(report.sanity.unwrap().queries, 2, "looked at by default");
    assert!(table.contains("score TMA (raw)") && !table.contains("score ES:D"), "{table}");
}

#[test]
fn corrected_and_reference_evaluations_are_not_compared_in_silence() {
    let (robust, out) = (nets().path("robust"), nets().path("corrected.json"));
    succeed(&["evaluate", "--checkpoint", &robust, "--conformance", "corrected", "--out", &out]);

    let table = succeed(&["compare", &robust, &out]);

    assert!(table.contains("the conformance of the attacks differs (reference, corrected)"), "{table}");
}

#[test]
fn reports_compare_side_by_side_and_differences_are_told() {
    let (robust, vanilla) = (nets().path("robust"), nets().path("vanilla"));

    let table = succeed(&["compare", &vanilla, &format!("{robust}/report.json")]);

    let names: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(names, ["vanilla", "robust"]);
    assert!(table.contains("R@1 under the worst attack") && table.contains("score QA+"), "{table}");
    assert!(table.contains("the seed differs (9, 0)"), "{table}");
    assert!(!table.contains('\u{1b}'), "{table}");
}
