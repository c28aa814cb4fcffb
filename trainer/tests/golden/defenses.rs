//! EST, REST, SES, ACT and AMD: objectives, pixels, losses and parameter gradients on the recorded triplets and noise.

use candle_core::{DType, Tensor};
use holdfast_attack::Step;
use holdfast_model::Embedder;
use holdfast_model::testing::{Golden, assert_close, assert_tensors_close, values};
use holdfast_trainer::defense::act::Act;
use holdfast_trainer::defense::amd::Amd;
use holdfast_trainer::defense::attacked_triplet::{Adversary, AttackedTriplet, AttackedTripletConfig, Moves};
use holdfast_trainer::defense::embedding_shift::{EmbeddingShift, EmbeddingShiftConfig};
use holdfast_trainer::defense::est::Est;
use holdfast_trainer::defense::inner_attack::{Attacked, Objective};
use holdfast_trainer::defense::rest::Rest;
use holdfast_trainer::defense::ses::Ses;
use holdfast_trainer::miner::Triplets;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{RELATIVE, World, budget, gathered, pictures, triplets};

/// A recorded run in one precision.
struct Run {
    golden: Golden,
    prefix: &'static str,
    world: World,
}

/// Our attack, the pixels after each of its updates, and the loss on what it left.
struct Ours {
    attack: Attacked,
    pixels_after: Vec<Tensor>,
    loss: Tensor,
}

/// Compares a defense with its file: exactly in float64, and in float32 but for this share of the pixels.
fn compare(file: &str, differing_in_f32: f64, ours: impl Fn(&Run) -> Ours) {
    for (prefix, dtype) in [("f64/", DType::F64), ("f32/", DType::F32)] {
        let Some(golden) = Golden::open(file) else { return };
        let Some(world) = World::open(dtype) else { return };
        let run = Run { golden, prefix, world };
        let ours = ours(&run);
        match dtype {
            DType::F64 => run.assert_agrees(&ours),
            _ => run.assert_similar(&ours, differing_in_f32),
        }
    }
}

impl Run {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn triplets(&self, mining: &str) -> Triplets {
        triplets(&self.golden, &self.key(mining))
    }

    fn benign(&self) -> Tensor {
        self.world.net.frozen().unwrap().embed(&self.world.images).unwrap()
    }

    /// The embedding shift with the recorded noise, away from these embeddings.
    fn shift(&self, start: &Tensor) -> EmbeddingShift {
        let noise = self.golden.tensor(&self.key("xi_times_1e7")).to_dtype(start.dtype()).unwrap();
        EmbeddingShift::with_directions(start, &noise).unwrap()
    }

    /// The recorded images of a name, without the benign anchors that may stand in front of those attacked.
    fn attacked(&self, name: &str, rows: usize) -> Tensor {
        let recorded = self.golden.tensor(&self.key(name));
        let all = recorded.dim(0).unwrap();
        recorded.narrow(0, all - rows, rows).unwrap()
    }

    fn assert_agrees(&self, ours: &Ours) {
        let rows = ours.attack.pixels.dim(0).unwrap();
        for (update, pixels) in (1..).zip(&ours.pixels_after) {
            let name = format!("x_after_{update}");
            if self.golden.has(&self.key(&name)) {
                assert_tensors_close(&name, pixels, &self.attacked(&name, rows), RELATIVE);
            }
        }
        assert_close("J", &ours.attack.objectives, &self.golden.f64s(&self.key("J")), RELATIVE);
        assert_tensors_close("x_final", &ours.attack.pixels, &self.attacked("x_final", rows), RELATIVE);
        assert_close("loss", &values(&ours.loss), &self.golden.f64s(&self.key("loss")), RELATIVE);
        assert!(self.golden.has(&self.key("grad/conv1.weight")), "the file has no gradients to compare");
        self.world.assert_gradients(&self.golden, self.prefix, &ours.loss.backward().unwrap(), RELATIVE);
    }

    fn assert_similar(&self, ours: &Ours, differing: f64) {
        let want = pictures(&self.attacked("x_final", ours.attack.pixels.dim(0).unwrap())).concat();
        let got = values(&ours.attack.pixels);
        let different = got.iter().zip(&want).filter(|(a, b)| (*a - *b).abs() > 1e-5).count();
        let share = different as f64 / want.len() as f64;
        assert!(share <= differing, "{share} of the pixels differ in float32");
        assert_close("J in float32", &ours.attack.objectives, &self.golden.f64s(&self.key("J")), 1e-2);
    }

    /// A defense of mined triplets on the recorded ones; without an objective, with its own.
    fn attacked_triplet<A: Adversary>(&self, adversary: A, objective: Option<&mut Objective<'_>>) -> Ours {
        let (net, images, triplets) = (&self.world.net, &self.world.images, self.triplets("mined1"));
        let mut pixels_after = Vec::new();
        let mut observe = |step: &Step<'_>| pixels_after.push(step.pixels.clone());
        let mut own = adversary.objective(&self.benign(), &mut ChaCha8Rng::seed_from_u64(0)).unwrap();
        let config = AttackedTripletConfig { pgd: budget(&self.golden, self.prefix), ..Default::default() };
        let defense = AttackedTriplet::new(config, adversary);

        let objective = objective.unwrap_or(&mut *own);
        let attack = defense.attack(net, images, &triplets, objective, &mut observe).unwrap();
        let loss = defense.embed(net, images, &triplets, &attack.pixels).unwrap().loss(0.2).unwrap();
        Ours { attack, pixels_after, loss }
    }
}

#[test]
fn the_anti_collapse_triplet_agrees() {
    compare("defense_act", 0.01, |run| run.attacked_triplet(Act, None));
}

#[test]
fn the_anti_collapse_triplet_agrees_at_the_border_of_a_small_ball() {
    compare("defense_act_softhard_smalleps", 0.01, |run| run.attacked_triplet(Act, None));
}

#[test]
fn the_min_max_triplet_agrees() {
    compare("defense_amd", 0.01, |run| run.attacked_triplet(Amd, None));
}

#[test]
fn embedding_shift_of_mined_positives_and_negatives_agrees() {
    assert_eq!(Rest::MOVES, Moves::PositivesAndNegatives);
    compare("defense_rest", 0.25, |run| {
        let triplets = run.triplets("mined1");
        let start = gathered(&run.benign(), &[&triplets.positives[..], &triplets.negatives].concat());
        let shift = run.shift(&start);
        run.attacked_triplet(Rest, Some(&mut |updates, embeddings| shift.objective(updates, embeddings)))
    });
}

/// The attack of EST and SES on the recorded batch.
fn shifted(run: &Run) -> (Attacked, Vec<Tensor>) {
    let config = EmbeddingShiftConfig { pgd: budget(&run.golden, run.prefix), ..Default::default() };
    let mut pixels_after = Vec::new();
    let mut observe = |step: &Step<'_>| pixels_after.push(step.pixels.clone());
    let World { net, images, .. } = &run.world;
    let attack = Est::new(config).attack(net, images, &run.shift(&run.benign()), &mut observe).unwrap();
    (attack, pixels_after)
}

#[test]
fn the_embedding_shifted_triplet_agrees_and_mines_among_the_attacked() {
    compare("defense_est", 0.25, |run| {
        let (attack, pixels_after) = shifted(run);
        let embeddings = run.world.net.embed(&attack.pixels).unwrap();
        let loss = run.triplets("mined1").embedded(&embeddings).unwrap().loss(0.2).unwrap();
        Ours { attack, pixels_after, loss }
    });
}

#[test]
fn benign_triplets_with_a_term_of_the_shift_agree() {
    compare("defense_ses", 0.25, |run| {
        let (attack, pixels_after) = shifted(run);
        let World { net, images, .. } = &run.world;
        let (benign, shifted) = (net.embed(images).unwrap(), net.embed(&attack.pixels).unwrap());
        let defense = Ses::new(EmbeddingShiftConfig::default());
        let loss = defense.loss_of(&benign, &shifted, &run.triplets("mined0")).unwrap();
        Ours { attack, pixels_after, loss }
    });
}
