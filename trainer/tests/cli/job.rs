//! Training as a job: killed, resumed, out of space, collapsed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use candle_core::{DType, Device};
use holdfast_model::checkpoint::{self, Manifest};
use tempfile::TempDir;

use crate::{fail, nets, program, run};

/// Every step is a checkpoint, nothing is attacked in the end but two pictures.
const SHORT: [&str; 8] = [
    "steps=6",
    "checkpoint_every=1",
    "log_every=1",
    "probe_every=2",
    "evaluation.attacks=ES",
    "evaluation.queries=2",
    "defense.intra_class_structure.weight=0.5",
    "defense.source=softhard",
];

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// `train` with the tests' configuration, these changes to it, and further arguments.
    fn train(&self, net: &str, set: &[&str], more: &[&str]) -> Command {
        let mut command = program();
        command.args(["train", "--device", "cpu", "--config", &nets().path("config.toml"), "--out", &self.path(net)]);
        command.args(more).arg("--set").args(SHORT).args(set);
        command
    }

    fn finished(&self, net: &str, set: &[&str], more: &[&str]) -> Output {
        let output = self.train(net, set, more).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn manifest(&self, net: &str) -> Manifest {
        checkpoint::load(Path::new(&self.path(net)), &Device::Cpu, DType::F32).unwrap().manifest
    }

    /// The bytes of the weights and of the optimizer's moments.
    fn bytes(&self, net: &str) -> [Vec<u8>; 2] {
        ["weights.safetensors", "training.safetensors"]
            .map(|file| fs::read(Path::new(&self.path(net)).join(file)).unwrap())
    }
}

fn told(output: &Output) -> String {
    [&output.stderr[..], &output.stdout].map(String::from_utf8_lossy).concat()
}

/// Starts a run and kills it, as a power cut would, once it has told of a step.
fn kill_after(mut command: Command, step: &str) {
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with(step)), "it ended before {step}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_run_that_is_killed_twice_and_resumed_ends_in_the_same_bytes() {
    let desk = Desk::new();
    desk.finished("whole", &[], &[]);

    kill_after(desk.train("killed", &[], &["--resume"]), "step 3/");
    let between = desk.manifest("killed").steps;
    kill_after(desk.train("killed", &[], &["--resume"]), "step 5/");
    let resumed = run(&["train", "--device", "cpu", "--resume", &desk.path("killed")]);

    assert_eq!(resumed.status.code(), Some(0), "{}", told(&resumed));
    assert!((2..=3).contains(&between), "{between}");
    assert!(desk.bytes("killed") == desk.bytes("whole"), "a killed run ends elsewhere");
    assert_eq!(desk.manifest("killed").metrics, desk.manifest("whole").metrics);
}

#[test]
fn a_finished_run_can_be_made_longer_and_is_otherwise_left_alone() {
    let desk = Desk::new();
    desk.finished("long", &[], &[]);
    desk.finished("short", &["steps=4"], &[]);

    let again = run(&["train", "--resume", &desk.path("short")]);
    assert!(told(&again).contains("has made its 4 steps"), "{}", told(&again));
    desk.finished("short", &[], &["--resume"]);

    assert!(desk.bytes("short") == desk.bytes("long"));
}

#[test]
fn a_resumed_run_refuses_what_would_change_its_result() {
    let desk = Desk::new();
    desk.finished("net", &["steps=2"], &[]);
    let refused = |arguments: &[&str]| fail(&[&["train", "--resume", &desk.path("net")][..], arguments].concat());

    let changed = refused(&["--set", "pairs=5", "defense.pgd.steps=3", "steps=9", "log_every=7"]);
    assert!(changed.contains("- pairs: 4 before, 5 now") && changed.contains("defense.pgd.steps"), "{changed}");
    assert!(!changed.contains("- steps") && !changed.contains("log_every"), "{changed}");
    assert!(refused(&["--set", "steps=1"]).contains("has made 2 steps"));
    assert!(refused(&["--set", "data.toy_shop.seed=9"]).contains("data.toy_shop.seed"));
    assert!(refused(&["--out", "/elsewhere"]).contains("two folders"));
    assert!(fail(&["train", "--resume", "/nowhere/net"]).contains("/nowhere/net"));
    assert!(fail(&["train", "--resume"]).contains("--resume DIR"));
    let bare = nets().path("export-of-nothing");
    fs::create_dir_all(&bare).unwrap();
    assert!(fail(&["train", "--resume", &bare]).contains("manifest.json"));
}

#[test]
fn a_run_that_was_stopped_is_not_begun_again_over_its_own_checkpoint() {
    let desk = Desk::new();
    kill_after(desk.train("net", &["steps=1000"], &[]), "step 2/");

    let again = desk.train("net", &["steps=1000"], &[]).output().unwrap();

    assert_eq!(again.status.code(), Some(2));
    assert!(told(&again).contains("--resume") && told(&again).contains("of 1000 steps"), "{}", told(&again));
}

#[test]
fn a_damaged_training_state_is_never_gone_on_from() {
    let desk = Desk::new();
    desk.finished("net", &["steps=2"], &[]);
    let tensors = Path::new(&desk.path("net")).join("training.safetensors");
    let mut bytes = fs::read(&tensors).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&tensors, bytes).unwrap();

    let message = fail(&["train", "--resume", &desk.path("net"), "--set", "steps=3"]);

    assert!(message.contains("training.safetensors") && message.contains("sha256"), "{message}");
}

#[test]
fn a_full_disk_costs_no_checkpoint_that_is_there() {
    let desk = Desk::new();
    desk.finished("net", &["steps=2"], &[]);
    let before = desk.bytes("net");
    // No file may grow beyond 64 blocks, as if the disk were full.
    let limited = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    let train = desk.train("net", &[], &["--resume"]);
    command.args(["-c", limited]).arg(train.get_program()).args(train.get_args());

    let output = command.output().unwrap();

    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    let told = told(&output);
    assert!(told.contains("training goes on") && told.contains("free space"), "{told}");
    assert!(told.contains("holds the net after 2 steps"), "{told}");
    assert!(desk.bytes("net") == before);
    assert_eq!(desk.manifest("net").steps, 2);
    assert_eq!(fs::read_dir(desk.folder.path()).unwrap().count(), 1, "nothing half-written is left");
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_the_first_step() {
    let desk = Desk::new();
    fs::write(desk.path("file"), "").unwrap();

    for place in ["file/net".to_owned(), "/proc/net".to_owned()] {
        let output = desk.train(&place, &[], &[]).output().unwrap();

        let told = told(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("cannot write the checkpoint") && !told.contains("step 1/"), "{told}");
    }
}

#[test]
fn numbers_that_are_not_finite_end_the_run_and_leave_the_last_checkpoint() {
    let desk = Desk::new();
    desk.finished("net", &["steps=2"], &[]);

    let fresh = desk.train("other", &["learning_rate=1e30"], &[]).output().unwrap();

    let told = told(&fresh);
    assert_eq!(fresh.status.code(), Some(2), "{told}");
    assert!(told.contains("training step 2 failed") && told.contains("learning rate"), "{told}");
    assert!(told.contains("holds the net after 1 steps"), "{told}");
    assert_eq!(desk.manifest("other").steps, 1);
}

#[test]
fn budgets_and_backbones_that_make_no_sense_are_told_together() {
    let desk = Desk::new();

    let set = ["defense.pgd.steps=0", "evaluation.profile.epsilon=-0.1", "backbone=vgg99", "best_by=recall_at_1"];
    let output = desk.train("net", &set, &[]).output().unwrap();

    let told = told(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for part in ["defense.pgd: ", "steps", "vgg99", "c3f1"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    assert!(!Path::new(&desk.path("net")).exists());
}

#[test]
fn epochs_say_how_often_every_picture_is_an_anchor() {
    let desk = Desk::new();
    let config = desk.path("epochs.toml");
    fs::write(&config, fs::read_to_string(nets().path("config.toml")).unwrap().replace("steps = 3", "epochs = 2"))
        .unwrap();

    let output = run(&["train", "--config", &config, "--out", &desk.path("net")]);

    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    // 20 training pictures are five batches of four.
    assert_eq!(desk.manifest("net").steps, 10);
}

#[test]
fn the_best_net_by_its_probes_is_kept_beside_the_last() {
    let desk = Desk::new();

    let output = desk.finished("net", &["best_by=recall_at_1"], &[]);

    let (last, best) = (desk.manifest("net"), desk.manifest("net.best"));
    assert_eq!(last.steps, 6);
    assert!(best.steps >= 2 && best.steps.is_multiple_of(2), "{}", best.steps);
    assert!(told(&output).contains("net.best"), "{}", told(&output));
}

#[test]
fn the_best_net_by_its_robustness_is_the_one_of_the_highest_score_among_the_probes() {
    let desk = Desk::new();

    let output = desk.finished(
        "net",
        &["best_by=ers", "probe_pictures=110", "data.toy_shop.pictures_per_class=30", "probe_every=3"],
        &[],
    );

    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(Path::new(&desk.path("net")).join("training.json")).unwrap()).unwrap();
    let probes = record["probes"].as_array().unwrap();
    let score = |probe: &serde_json::Value| probe["ers"].as_f64().unwrap();
    assert_eq!(probes.len(), 3, "before the first step and after every third: {record}");
    let highest = probes.iter().map(score).fold(f64::MIN, f64::max);
    let best = desk.manifest("net.best").steps;
    let its_own = probes.iter().find(|probe| probe["step"] == best).map(score);
    assert_eq!(its_own, Some(highest), "{record}");
    assert!(told(&output).contains(&format!("{highest:.1} after step {best}")), "{}", told(&output));
}

#[test]
fn the_seed_of_a_run_that_goes_on_is_its_own() {
    let desk = Desk::new();
    desk.finished("net", &["steps=2", "seed=5"], &[]);
    let resume =
        |seed: &'static str| run(&["train", "--resume", &desk.path("net"), "--seed", seed, "--set", "steps=4"]);

    let other = resume("6");
    assert_eq!(other.status.code(), Some(2), "{}", told(&other));
    assert!(told(&other).contains("seed"), "{}", told(&other));
    assert_eq!(desk.manifest("net").steps, 2);

    let same = resume("5");
    assert_eq!(same.status.code(), Some(0), "{}", told(&same));
    assert_eq!(desk.manifest("net").steps, 4);
}
