//! A run that paused and went on is the run that never paused.

use candle_core::{DType, Tensor};
use holdfast_model::EmbeddingNet;
use holdfast_trainer::config::TrainConfig;
use holdfast_trainer::train::{Trainer, TrainingState};
use holdfast_trainer::training_state::{Record, from_bytes, log_to_bytes, tensors_to_bytes};

use crate::{colour_pictures, pictures, small_net, small_resnet};

const RUN: &str = "steps = 7\npairs = 8\nseed = 3\n";
const HARDNESS_MANIPULATION: &str = r#"
[defense]
name = "hardness_manipulation"
source = "softhard"
destination = "gradual"
intra_class_structure = { weight = 0.5 }
pgd = { epsilon = "16/255", alpha = "8/255", steps = 3 }
"#;
const CA_TRIDE: &str = r#"
[defense]
name = "CA-TRIDE"
epochs = 3
pgd = { epsilon = "16/255", alpha = "8/255", steps = 2 }
"#;
const VANILLA: &str = "[defense]\nname = \"vanilla\"\nsource = \"semihard\"\n";

fn advance(trainer: &mut Trainer, steps: usize) {
    for _step in 0..steps {
        trainer.step().unwrap();
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

fn weights(net: &EmbeddingNet) -> Vec<u32> {
    net.parameters().iter().flat_map(|(_, tensor)| bits(tensor)).collect()
}

/// The state after a way through its files, as another process reads it.
fn through_files(state: &TrainingState, config: &TrainConfig) -> TrainingState {
    let record = serde_json::to_vec(&Record::new(state, config, &[], &[])).unwrap();
    let record = Record::from_json(&record).unwrap();
    assert_eq!(&record.config(&[]).unwrap(), config);
    let net = state.net.frozen().unwrap();
    from_bytes(net, &tensors_to_bytes(state).unwrap(), &log_to_bytes(&state.log), &record).unwrap()
}

/// All of a state but the durations of its steps.
fn assert_same(paused: &TrainingState, whole: &TrainingState) {
    assert!(weights(&paused.net) == weights(&whole.net), "the weights differ");
    assert!(paused.moments.keys().eq(whole.moments.keys()));
    for (name, moments) in &whole.moments {
        let theirs = &paused.moments[name];
        assert!(bits(&theirs.first) == bits(&moments.first), "the first moment of {name} differs");
        assert!(bits(&theirs.second) == bits(&moments.second), "the second moment of {name} differs");
    }
    assert_eq!(paused.mining_position, whole.mining_position);
    assert_eq!(paused.defense, whole.defense);
    assert_eq!(paused.log.len(), whole.log.len());
    for (theirs, ours) in paused.log.iter().zip(&whole.log) {
        let mut ours = ours.clone();
        ours.seconds = theirs.seconds;
        assert_eq!(theirs, &ours);
    }
}

#[test]
fn a_run_that_pauses_anywhere_ends_in_the_same_bits() {
    let dataset = pictures(4, 5, 7);
    for defense in [HARDNESS_MANIPULATION, CA_TRIDE, VANILLA] {
        let config = TrainConfig::from_toml(&format!("{RUN}{defense}"), &[]).unwrap();
        let mut whole = Trainer::new(&small_net(DType::F32, 1), &dataset, &config).unwrap();
        advance(&mut whole, 7);
        let whole = whole.state().unwrap();

        // 20 pictures are an epoch of three batches: pauses inside one, at its end, and before the first step.
        for pause in [0, 2, 3, 6] {
            let mut trainer = Trainer::new(&small_net(DType::F32, 1), &dataset, &config).unwrap();
            advance(&mut trainer, pause);
            let state = through_files(&trainer.state().unwrap(), &config);
            drop(trainer);

            let mut resumed = Trainer::resume(&state, &dataset, &config).unwrap();
            advance(&mut resumed, 7 - pause);

            assert_same(&resumed.state().unwrap(), &whole);
        }
    }
}

#[test]
fn live_batch_norms_go_on_from_the_statistics_at_which_the_run_paused() {
    let (dataset, net) = (colour_pictures(4, 5, 9), small_resnet(2));
    let config = format!("backbone = \"resnet18\"\nbatch_norm = \"live\"\n{RUN}{HARDNESS_MANIPULATION}");
    let config = TrainConfig::from_toml(&config, &[]).unwrap();
    let mut whole = Trainer::new(&net, &dataset, &config).unwrap();
    advance(&mut whole, 3);
    let whole = whole.state().unwrap();
    let statistics = |net: &EmbeddingNet| bits(net.parameters().get("layer1.0.bn1.running_mean").unwrap());
    assert_ne!(statistics(&whole.net), statistics(&net), "live statistics must move");

    let mut trainer = Trainer::new(&net, &dataset, &config).unwrap();
    advance(&mut trainer, 1);
    let state = through_files(&trainer.state().unwrap(), &config);
    let mut resumed = Trainer::resume(&state, &dataset, &config).unwrap();
    advance(&mut resumed, 2);

    assert_same(&resumed.state().unwrap(), &whole);
}

#[test]
fn a_state_is_a_copy_that_later_steps_leave_alone() {
    let (dataset, config) = (pictures(4, 5, 7), TrainConfig::from_toml(&format!("{RUN}{VANILLA}"), &[]).unwrap());
    let mut trainer = Trainer::new(&small_net(DType::F32, 1), &dataset, &config).unwrap();
    advance(&mut trainer, 2);
    let state = trainer.state().unwrap();
    let before = through_files(&state, &config);

    advance(&mut trainer, 1);

    assert_same(&state, &before);
    assert!(weights(&state.net) != weights(&trainer.net().unwrap()));
}

#[test]
fn a_state_that_contradicts_itself_or_its_run_is_refused() {
    let dataset = pictures(4, 5, 7);
    let config = |defense| TrainConfig::from_toml(&format!("{RUN}{defense}"), &[]).unwrap();
    let vanilla = config(VANILLA);
    let mut trainer = Trainer::new(&small_net(DType::F32, 1), &dataset, &vanilla).unwrap();
    advance(&mut trainer, 2);
    let state = trainer.state().unwrap();
    let record = Record::new(&state, &vanilla, &[], &[]);
    let (tensors, log) = (tensors_to_bytes(&state).unwrap(), log_to_bytes(&state.log));
    let refusal = |tensors: &[u8], log: &[u8], record: &Record| {
        from_bytes(small_net(DType::F32, 1), tensors, log, record).unwrap_err().to_string()
    };

    let one_line = log.split_inclusive(|&byte| byte == b'\n').next().unwrap();
    assert!(refusal(&tensors, one_line, &record).contains("1 steps, and training.json says 2"));
    let twice = [one_line, one_line].concat();
    assert!(refusal(&tensors, &twice, &record).contains("line 2 is of step 1"));
    assert!(refusal(b"nonsense", &log, &record).contains("training.safetensors"));
    let lost = Record { mining_position: "far".into(), ..record.clone() };
    assert!(refusal(&tensors, &log, &lost).contains("mining_position"));

    let other_defense = Trainer::resume(&state, &dataset, &config(HARDNESS_MANIPULATION)).err().unwrap().to_string();
    assert!(other_defense.contains("\"previous_loss\""), "{other_defense}");
}
