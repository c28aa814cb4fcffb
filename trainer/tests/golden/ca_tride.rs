//! CA-TRIDE: its miner, both of its attacks with all their objectives, and the loss with its parameter gradients.

use candle_core::{DType, Tensor};
use holdfast_attack::{Pgd, Step};
use holdfast_model::Embedder;
use holdfast_model::distance::pairwise_distance;
use holdfast_model::testing::{Golden, assert_close, assert_tensors_close, values};
use holdfast_trainer::defense::ca_tride::collapse::{FarMean, near_half};
use holdfast_trainer::defense::ca_tride::perturbation::{AnchorObjective, CandidateObjective, Perturbation};
use holdfast_trainer::defense::ca_tride::{CaTride, CaTrideConfig, mining_margin};
use holdfast_trainer::defense::inner_attack::Attacked;
use holdfast_trainer::miner::candidates::{Candidates, Draw};
use holdfast_trainer::miner::{Hardness, Triplets};
use holdfast_trainer::triplet::Embedded;

use crate::{RELATIVE, World, budget, gathered, triplets};

/// A recorded run.
struct Run {
    golden: Golden,
    world: World,
    perturbation: Perturbation,
    config: CaTrideConfig,
    source: Triplets,
}

impl Run {
    fn open(file: &str, perturbation: Perturbation) -> Option<Self> {
        let (golden, world) = (Golden::open(file)?, World::open(DType::F64)?);
        let config = CaTrideConfig {
            far_mean: FarMean { temperature: golden.scalar("cfg/lambda"), ..FarMean::default() },
            epochs: golden.indices("cfg/maxepoch")[0],
            // The recorded number of steps only selects the reference's step rule: it makes 16.
            pgd: Pgd { steps: 16, ..budget(&golden, "") },
            ..CaTrideConfig::default()
        };
        let source = triplets(&golden, "src");
        Some(Self { golden, world, perturbation, config, source })
    }

    fn epoch(&self) -> usize {
        self.golden.indices("cfg/epoch")[0]
    }

    /// The pictures that move, benign.
    fn moving(&self) -> Tensor {
        let candidates = [&self.source.positives[..], &self.source.negatives].concat();
        gathered(&self.world.images, if self.moves_anchors() { &self.source.anchors } else { &candidates })
    }

    fn moves_anchors(&self) -> bool {
        self.perturbation == Perturbation::Anchors
    }

    /// The benign embeddings of the triplets, of which the candidates may be recorded.
    fn benign(&self) -> Embedded {
        let net = self.world.net.frozen().unwrap();
        let benign = self.source.embedded(&net.embed(&self.world.images).unwrap()).unwrap();
        if !self.golden.has("x_pos_neg") {
            return benign;
        }
        let [positives, negatives]: [Tensor; 2] =
            net.embed(&self.golden.tensor("x_pos_neg")).unwrap().chunk(2, 0).unwrap().try_into().unwrap();
        Embedded { positives, negatives, ..benign }
    }

    /// The distances to positives and to negatives, in the objective's order of arguments, of pictures that moved.
    fn distances(&self, pixels: &Tensor) -> [Tensor; 2] {
        let (benign, moved) = (self.benign(), self.world.net.frozen().unwrap().embed(pixels).unwrap());
        let distance = |x: &Tensor, y: &Tensor| pairwise_distance(x, y).unwrap();
        if self.moves_anchors() {
            return [distance(&benign.positives, &moved), distance(&moved, &benign.negatives)];
        }
        let moved = moved.chunk(2, 0).unwrap();
        [distance(&moved[0], &benign.anchors), distance(&benign.anchors, &moved[1])]
    }

    fn collapseness(&self, pixels: &Tensor) -> f64 {
        let [to_positives, to_negatives] = self.distances(pixels);
        values(&self.config.far_mean.collapseness(&to_positives, &to_negatives).unwrap())[0]
    }

    fn attack(&self) -> (Attacked, Vec<Tensor>) {
        let mut seen = vec![self.moving()];
        let Some(budget) = self.config.budget(self.epoch()) else {
            return (Attacked::untouched(self.moving()), seen);
        };
        let mut observe = |step: &Step<'_>| seen.push(step.pixels.clone());
        let (net, moving) = (&self.world.net, self.moving());
        let defense = CaTride::new(self.config.clone());
        let attack = defense.attack(net, &budget, (self.perturbation, &moving), &self.benign(), &mut observe).unwrap();
        (attack, seen)
    }

    fn assert_attack(&self, attack: &Attacked, seen: &[Tensor]) {
        let check = |name: &str, got: &[f64]| assert_close(name, got, &self.golden.f64s(name), RELATIVE);
        if self.golden.has("x_after_1") {
            assert_tensors_close("x_after_1", &seen[1], &self.golden.tensor("x_after_1"), RELATIVE);
        }
        assert_tensors_close("x_final", &attack.pixels, &self.golden.tensor("x_final"), RELATIVE);
        check("J", &attack.objectives);
        check("updates_run", &[attack.objectives.len() as f64]);
        check("C_final", &[self.collapseness(&attack.pixels)]);
        let evaluations = self.golden.f64s("C").len();
        let of_each = |number: &dyn Fn(&Tensor) -> f64| seen[..evaluations].iter().map(number).collect::<Vec<_>>();
        check("C", &of_each(&|pixels| self.collapseness(pixels)));
        if self.moves_anchors() {
            check("an_half", &of_each(&|pixels| values(&near_half(&self.distances(pixels)[1]).unwrap())[0]));
        }
    }

    fn assert_loss(&self, attack: &Attacked) {
        let check = |name: &str, got: &Tensor| assert_close(name, &values(got), &self.golden.f64s(name), RELATIVE);
        for (moment, pixels) in [("start", &attack.benign), ("final", &attack.pixels)] {
            let [to_positives, to_negatives] = self.distances(pixels);
            check(&format!("d_ap_{moment}"), &to_positives);
            check(&format!("d_an_{moment}"), &to_negatives);
        }
        let defense = CaTride::new(self.config.clone());
        let attacked = (self.perturbation, &attack.pixels);
        let embedded = defense.embed(&self.world.net, &self.world.images, &self.source, attacked).unwrap();

        let (triplet, halves) = defense.terms(&embedded).unwrap();
        let loss = (&triplet + (&halves * self.config.near_halves.weight).unwrap()).unwrap();

        check("loss_triplet", &triplet);
        check("loss_half_unweighted", &halves);
        check("loss", &loss);
        self.world.assert_gradients(&self.golden, "", &loss.backward().unwrap(), RELATIVE);
    }
}

fn compare(file: &str, perturbation: Perturbation) {
    let Some(run) = Run::open(file, perturbation) else { return };
    let (attack, seen) = run.attack();
    run.assert_attack(&attack, &seen);
    run.assert_loss(&attack);
}

#[test]
fn attacks_on_candidates_agree() {
    for file in ["catride_CAP", "catride_CAP_l2_smalleps", "catride_CAP_l9.5_early"] {
        compare(file, Perturbation::Candidates);
    }
}

#[test]
fn attacks_on_anchors_agree() {
    for file in ["catride_ANP", "catride_ANP_l2_smalleps", "catride_ANP_l9.5_early"] {
        compare(file, Perturbation::Anchors);
    }
}

#[test]
fn an_attack_on_anchors_undoes_a_collapse_first() {
    let Some(run) = Run::open("catride_ANP_collapsed", Perturbation::Anchors) else { return };
    assert!(run.collapseness(&run.moving()) > 0.0);

    let (attack, seen) = run.attack();

    run.assert_attack(&attack, &seen);
}

#[test]
fn the_first_epoch_trains_on_benign_pictures() {
    let Some(run) = Run::open("catride_CAP_epoch0", Perturbation::Candidates) else { return };

    let (attack, _) = run.attack();

    assert_tensors_close("x_final", &attack.pixels, &run.golden.tensor("x_final"), RELATIVE);
    run.assert_loss(&attack);
    // The reference evaluates its objective 16 times, at the same pixels.
    let objective = CandidateObjective { far: run.config.far_mean, anchors: run.benign().anchors };
    let benign = run.world.net.frozen().unwrap().embed(&attack.benign).unwrap();
    let once = values(&objective.of(&benign).unwrap())[0];
    assert_close("J", &[once; 16], &run.golden.f64s("J"), RELATIVE);
    assert_close("C", &[run.collapseness(&attack.benign); 16], &run.golden.f64s("C"), RELATIVE);
}

#[test]
fn the_shift_of_the_anchors_agrees() {
    for file in ["catride_ANP", "catride_ANP_collapsed", "catride_ANP_l2_smalleps", "catride_ANP_l9.5_early"] {
        let Some(run) = Run::open(file, Perturbation::Anchors) else { return };
        let net = run.world.net.frozen().unwrap();
        let start = net.embed(&run.moving()).unwrap();
        let benign = run.benign();
        let (_, seen) = run.attack();
        let shift = |pixels: &Tensor| -> f64 {
            let shift = pairwise_distance(&net.embed(pixels).unwrap(), &start).unwrap();
            values(&shift.mean_all().unwrap())[0]
        };

        let recorded = run.golden.f64s("aa");
        let got: Vec<f64> = seen[..recorded.len()].iter().map(shift).collect();

        assert_close(&format!("aa of {file}"), &got, &recorded, RELATIVE);
        // At the start the term is the offset of the distance alone, from bit-equal embeddings.
        let mut objective = AnchorObjective::new(run.config.far_mean, benign.positives, benign.negatives);
        assert_close("J[0]", &values(&objective.of(&start).unwrap()), &run.golden.f64s("J")[..1], RELATIVE);
    }
}

#[test]
fn the_gradually_hard_miner_agrees() {
    let (Some(golden), Some(miners)) = (Golden::open("catride_miner"), Golden::open("miners")) else { return };
    let epochs = golden.indices("maxepoch")[0];
    let margins: Vec<f64> = golden.indices("epoch").iter().map(|&epoch| mining_margin(epoch, epochs)).collect();
    assert_close("margin", &margins, &golden.f64s("margin"), RELATIVE);

    let mut compared = 0;
    for key in golden.keys() {
        let Some((case, index)) = key.split_once("/neg_set_") else { continue };
        let (labels, distances) = (miners.labels(&format!("{case}/labels")), miners.f64s(&format!("{case}/D")));
        let rows = labels.len();
        let margin = margins[index.parse::<usize>().unwrap()];
        for (pair, mask) in golden.f64s(key).chunks(rows).enumerate() {
            let distances = &distances[2 * pair * rows..(2 * pair + 1) * rows];
            let candidates = Candidates { anchor: 2 * pair, distances, labels: &labels, dim: 1 };
            let expected: Vec<usize> = (0..rows).filter(|&row| mask[row] != 0.0).collect();
            assert_eq!(
                candidates.negative(Hardness::Semihard, margin).unwrap(),
                Draw::Uniform(expected),
                "{key}, pair {pair}"
            );
            compared += 1;
        }
    }
    assert!(compared > 0);
}
