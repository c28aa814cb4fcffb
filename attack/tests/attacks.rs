//! Every attack: its loss against the written formula, its outcome by hand, and what it must never do silently.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod support;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use holdfast_attack::attacks::candidate::CandidateAim;
use holdfast_attack::attacks::embedding_shift::ShiftAim;
use holdfast_attack::attacks::greedy_misranking::GreedyMisranking;
use holdfast_attack::attacks::greedy_translocation::TranslocationAim;
use holdfast_attack::attacks::learned_misranking::MisrankingAim;
use holdfast_attack::attacks::query::QueryAim;
use holdfast_attack::attacks::targeted_mismatch::MismatchAim;
use holdfast_attack::{
    Aim, AttackedBatch, Conformance, Distances, Error, Goal, Knowledge, Pgd, Pictures, Protocol, Queries, Reached,
    Result, Role, Rules, attack_batch, attacks::attacks, score,
};
use holdfast_model::{EmbeddingSet, testing::assert_close};
use support::{Health, Linear, World, rng};

type Rows = Vec<Vec<f64>>;

fn rows(tensor: &Tensor) -> Rows {
    tensor.to_vec2().unwrap()
}

fn distance(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| (left - right).powi(2)).sum::<f64>().sqrt()
}

fn loss(aim: &dyn Aim, step: usize, embeddings: &Tensor) -> f64 {
    aim.loss(step, embeddings).unwrap().to_scalar().unwrap()
}

fn untouched(embeddings: &Tensor, gallery: &EmbeddingSet) -> Reached {
    let distances = Arc::new(Distances::measure(embeddings, &gallery.embeddings).unwrap());
    Reached { embeddings: embeddings.clone(), before_last_step: embeddings.clone(), distances, recall_at_1: None }
}

/// Three queries that are no gallery items, two targets each.
fn three_strangers() -> (EmbeddingSet, Tensor, Vec<Vec<usize>>) {
    let gallery = World::new(20).gallery();
    let strangers = World::new(43).gallery().embeddings.narrow(0, 40, 3).unwrap();
    (gallery, strangers, vec![vec![0, 5], vec![19, 3], vec![7, 7]])
}

/// Mean over queries, targets and gallery items of max(0, sign · (to target − to item)).
fn naive_hinge(sign: f64, embeddings: &Rows, targets: &[Vec<usize>], gallery: &Rows, item_to_query: bool) -> f64 {
    let mut terms = Vec::new();
    for (embedding, targets) in embeddings.iter().zip(targets) {
        for &target in targets {
            for item in gallery {
                let centre = if item_to_query { embedding } else { &gallery[target] };
                terms.push((sign * (distance(embedding, &gallery[target]) - distance(item, centre))).max(0.0));
            }
        }
    }
    terms.iter().sum::<f64>() / terms.len() as f64
}

#[test]
fn candidate_losses_compare_the_candidate_with_every_item_for_each_of_its_queries() {
    let (gallery, candidates, targets) = three_strangers();
    for (goal, sign) in [(Goal::Raise, 1.0), (Goal::Lower, -1.0)] {
        let aim = CandidateAim::new(goal, &targets, &gallery).unwrap();
        let naive = naive_hinge(sign, &rows(&candidates), &targets, &rows(&gallery.embeddings), false);
        assert_close("loss", &[loss(&aim, 0, &candidates)], &[naive], 1e-7);
    }
}

#[test]
fn query_losses_compare_each_target_with_every_item_as_seen_from_the_query() {
    let (gallery, queries, targets) = three_strangers();
    for (goal, sign) in [(Goal::Raise, 1.0), (Goal::Lower, -1.0)] {
        let aim = QueryAim::new(goal, targets.clone(), &gallery).unwrap();
        let naive = naive_hinge(sign, &rows(&queries), &targets, &rows(&gallery.embeddings), true);
        assert_close("loss", &[loss(&aim, 0, &queries)], &[naive], 1e-7);
    }
}

/// Gallery east, north, west; the picture lies east and aims at north.
fn compass() -> (EmbeddingSet, Tensor) {
    let gallery = Tensor::new(&[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], &Device::Cpu).unwrap();
    let east = Tensor::new(&[[1.0, 0.0]], &Device::Cpu).unwrap();
    (EmbeddingSet::new(gallery, None).unwrap(), east)
}

#[test]
fn a_query_by_hand() {
    let (gallery, east) = compass();
    let aim = |goal| QueryAim::new(goal, vec![vec![1]], &gallery).unwrap();
    let root = 2.0f64.sqrt(); // distances from east: 0, √2, 2

    assert_close("QA+", &[loss(&aim(Goal::Raise), 0, &east)], &[root / 3.0], 1e-12);
    assert_close("QA-", &[loss(&aim(Goal::Lower), 0, &east)], &[(2.0 - root) / 3.0], 1e-12);
    let outcome = &aim(Goal::Raise).outcomes(&untouched(&east, &gallery)).unwrap()[0];
    assert_eq!((outcome.name, outcome.raw.clone()), ("QA+", vec![100.0 / 3.0]));
}

#[test]
fn a_candidate_by_hand() {
    let (gallery, east) = compass();
    let aim = |goal| CandidateAim::new(goal, &[vec![1]], &gallery).unwrap();
    let root = 2.0f64.sqrt(); // distances from north: √2, 0, √2; the candidate ties with two items

    assert_close("CA+", &[loss(&aim(Goal::Raise), 0, &east)], &[root / 3.0], 1e-12);
    assert_close("CA-", &[loss(&aim(Goal::Lower), 0, &east)], &[0.0], 1e-12);
    let nearer = Tensor::new(&[[0.6, 0.8]], &Device::Cpu).unwrap();
    let outcome = &aim(Goal::Lower).outcomes(&untouched(&nearer, &gallery)).unwrap()[0];
    assert_eq!((outcome.name, outcome.raw.clone()), ("CA-", vec![100.0 / 3.0]), "only north itself is nearer");
}

#[test]
fn mismatch_measures_the_cosine_to_its_target() {
    let (gallery, east) = compass();
    let aim = MismatchAim::new(&[2], &gallery).unwrap();

    assert_close("loss", &[loss(&aim, 0, &east)], &[2.0], 1e-12);
    assert_close("TMA", &aim.outcomes(&untouched(&east, &gallery)).unwrap()[0].raw, &[-1.0], 1e-12);
}

#[test]
fn shift_starts_beside_itself_and_reports_one_update_before_the_end() {
    let (gallery, east) = compass();
    let aim = ShiftAim::new(&east, Conformance::Reference).unwrap();
    let north = Tensor::new(&[[0.0, 1.0]], &Device::Cpu).unwrap();

    assert_close("first loss", &[1e6 * loss(&aim, 0, &east)], &[-0.9 * 2.0f64.sqrt()], 1e-6);
    assert_close("later loss", &[1e6 * loss(&aim, 1, &east)], &[-(2.0f64.sqrt())], 1e-6);
    let reached = Reached { before_last_step: north, recall_at_1: Some(vec![100.0]), ..untouched(&east, &gallery) };
    let outcomes = aim.outcomes(&reached).unwrap();
    assert_close("ES:D", &outcomes[0].raw, &[2.0f64.sqrt()], 1e-5);
    assert_eq!((outcomes[1].name, outcomes[1].raw.clone()), ("ES:R", vec![100.0]));
}

/// A gallery on the line from east to north, labelled, and its first row as query.
fn fan(labels: &[u32]) -> (EmbeddingSet, Queries) {
    let rows: Vec<f64> =
        (0..labels.len()).flat_map(|row| [(0.1 * row as f64).cos(), (0.1 * row as f64).sin()]).collect();
    let rows = Tensor::from_vec(rows, (labels.len(), 2), &Device::Cpu).unwrap();
    let gallery = EmbeddingSet::new(rows.clone(), Some(labels.to_vec())).unwrap();
    let queries = rows.narrow(0, 0, 1).unwrap();
    let queries = Queries::new(queries, Some(&labels[..1]), Protocol::LeaveOneOut, &gallery).unwrap();
    (gallery, queries)
}

fn chord(steps: f64) -> f64 {
    2.0 * (0.05 * steps).sin()
}

#[test]
fn learned_misranking_compares_the_farthest_stranger_with_the_nearest_of_the_own_class() {
    let (gallery, _) = fan(&[7, 8, 7, 8, 8]);
    let aim = MisrankingAim::new(&[7], vec![None], &gallery).unwrap();
    let at = |row: usize| gallery.embeddings.narrow(0, row, 1).unwrap();

    assert_close("at home, itself is nearest", &[loss(&aim, 0, &at(0))], &[chord(4.0)], 1e-7);
    assert_close("one step away", &[loss(&aim, 1, &at(1))], &[chord(3.0) - chord(1.0)], 1e-7);
    assert_eq!(
        loss(&MisrankingAim::new(&[9], vec![None], &gallery).unwrap(), 1, &at(1)),
        0.0,
        "a class that nobody has"
    );
}

#[test]
fn learned_misranking_rests_once_every_stranger_is_nearer() {
    let (gallery, _) = fan(&[8, 8, 8, 7, 7]);
    let aim = MisrankingAim::new(&[7], vec![None], &gallery).unwrap();
    let east = Var::from_tensor(&gallery.embeddings.narrow(0, 0, 1).unwrap()).unwrap();

    let loss = aim.loss(1, &east).unwrap();

    assert_eq!(loss.to_scalar::<f64>().unwrap(), 0.0);
    assert_eq!(rows(&loss.backward().unwrap().remove(&east).unwrap()), [[0.0, 0.0]]);
}

#[test]
fn greedy_misranking_counts_the_unmatched_as_the_reference_does_or_corrected_takes_the_nearest() {
    // The nearest neighbour, row 1, is of class 7; the nearest of another class is row 3, the second unmatched in order.
    let (gallery, queries) = fan(&[8, 7, 7, 9, 8]);

    let targets = |reading| GreedyMisranking.targets(&queries, &gallery, reading).unwrap();
    assert_eq!(targets(Conformance::Reference), [1]);
    assert_eq!(targets(Conformance::Corrected), [3]);
}

#[test]
fn greedy_translocation_asks_for_the_first_four_places_without_the_query_itself() {
    let (gallery, queries) = fan(&[0; 9]);
    let aim = TranslocationAim::new(&[1], &queries, &gallery).unwrap();
    let outcome = |row: usize| {
        let reached = untouched(&gallery.embeddings.narrow(0, row, 1).unwrap(), &gallery);
        aim.outcomes(&reached).unwrap()[0].raw[0]
    };

    // From row 3, rows 3, 2, 4 are nearer than row 1; from row 4, rows 4, 3, 5, 2, 6 are.
    assert_eq!((outcome(0), outcome(3), outcome(4)), (100.0, 100.0, 0.0));
}

#[test]
fn attacks_between_classes_refuse_a_gallery_of_one_class() {
    let mut world = World::new(200);
    world.labels.fill(1);
    for name in ["LTM", "GTM"] {
        let result = attack(&world, name, Health::Sound, Some(&world.labels[..16]));
        assert!(matches!(result, Err(Error::OneClass { items: 200, .. })), "{name}: {result:?}");
    }
}

#[test]
fn attacks_that_are_defined_by_labels_refuse_to_do_without() {
    let world = World::new(600);
    for attacker in attacks() {
        let refused = matches!(attack(&world, attacker.name(), Health::Sound, None), Err(Error::LabelsMissing { .. }));
        assert_eq!(refused, attacker.needs_labels(), "{}", attacker.name());
        assert_eq!(refused, ["LTM", "GTM"].contains(&attacker.name()), "{}", attacker.name());
    }
}

#[test]
fn the_loss_of_a_batch_is_the_sum_or_the_mean_of_the_losses_of_its_pictures() {
    let world = World::new(600);
    let (queries, gallery) = (world.queries(5), world.gallery());
    let beside = World::new(43).gallery().embeddings.narrow(0, 20, 5).unwrap();
    for attacker in attacks() {
        let aim = attacker.aim(&queries, &gallery, &Rules::from(Pgd::new(0.1, 0.02, 8).unwrap()), &mut rng(3)).unwrap();
        for step in [0, 1] {
            let losses = aim.losses(step, &beside).unwrap();
            let (whole, sum) = (loss(aim.as_ref(), step, &beside), losses.iter().sum::<f64>());
            let close = |wanted: f64| (whole - wanted).abs() <= 1e-9 * whole.abs();
            assert_eq!(losses.len(), 5);
            assert!(close(sum) || close(sum / 5.0), "{}: {whole} of {losses:?}", attacker.name());
        }
    }
}

#[test]
fn corrected_misranking_leaves_the_querys_own_row_out() {
    let (gallery, queries) = fan(&[7, 8, 7, 8, 8]);
    let at_home = |conformance| {
        let rules = Rules { conformance, ..Rules::from(Pgd::new(0.1, 0.02, 8).unwrap()) };
        let aim = holdfast_attack::by_names("LTM").unwrap()[0].aim(&queries, &gallery, &rules, &mut rng(1)).unwrap();
        loss(aim.as_ref(), 0, &queries.embeddings)
    };

    assert_close("itself is nearest", &[at_home(Conformance::Reference)], &[chord(4.0)], 1e-7);
    assert_close("row 2 is nearest", &[at_home(Conformance::Corrected)], &[chord(4.0) - chord(2.0)], 1e-7);
}

#[test]
fn corrected_shift_is_read_at_the_end() {
    let (gallery, east) = compass();
    let north = Tensor::new(&[[0.0, 1.0]], &Device::Cpu).unwrap();
    let reached = Reached { before_last_step: east.clone(), ..untouched(&north, &gallery) };
    let shift = |conformance| ShiftAim::new(&east, conformance).unwrap().outcomes(&reached).unwrap()[0].raw[0];

    assert!(shift(Conformance::Reference) < 1e-5);
    assert_close("ES:D", &[shift(Conformance::Corrected)], &[2.0f64.sqrt()], 1e-5);
}

#[test]
fn semantics_preservation_prices_what_it_spoils_among_the_near_neighbours() {
    let (world, price) = (World::new(600), |exponent: f64, kept: f64| (exponent * kept).exp().min(1e9));
    let (queries, gallery) = (world.queries(3), world.gallery());
    let beside = World::new(43).gallery().embeddings.narrow(0, 20, 3).unwrap();
    let spqa = holdfast_attack::by_names("SPQA+").unwrap()[0];
    let kept: Vec<Vec<usize>> = (0..3).map(|query| queries.nearest(query, 5)).collect();
    let kept = naive_hinge(1.0, &rows(&beside), &kept, &rows(&gallery.embeddings), true);
    let with = |semantics_exponent| {
        let rules = Rules { semantics_exponent, ..Rules::from(Pgd::new(0.1, 0.02, 8).unwrap()) };
        loss(spqa.aim(&queries, &gallery, &rules, &mut rng(2)).unwrap().as_ref(), 1, &beside)
    };

    // At exponent 0 the price is 1; the same draw of candidates costs the same in all three.
    let candidates = with(0.0) - kept;
    assert!(kept > 1e-3 && candidates > 1e-3, "{kept} {candidates}");
    for exponent in [3.0, 4e4] {
        assert_close("loss", &[with(exponent)], &[candidates + price(exponent, kept) * kept], 1e-6);
    }
}

#[test]
fn semantics_preservation_spoils_less_than_the_plain_attack() {
    let world = World::new(600);
    let neighbours_left = |name| {
        let (batch, queries) = (attack(&world, name, Health::Sound, None).unwrap(), world.queries(16));
        let reached = Queries::new(batch.embeddings, None, Protocol::LeaveOneOut, &world.gallery()).unwrap();
        let left = |query: usize| {
            let now = reached.nearest(query, 12);
            queries.nearest(query, 5).iter().filter(|item| now.contains(item)).count()
        };
        (0..16).map(left).sum::<usize>()
    };

    assert!(neighbours_left("SPQA+") > neighbours_left("QA+"), "{}", neighbours_left("SPQA+"));
}

#[test]
fn a_target_outside_the_gallery_is_refused() {
    let (gallery, _) = compass();
    for targets in [vec![vec![3]], vec![vec![0], vec![0, 1]], vec![vec![]], vec![]] {
        assert!(QueryAim::new(Goal::Raise, targets.clone(), &gallery).is_err(), "{targets:?}");
    }
}

#[test]
fn a_batch_of_another_size_than_its_targets_is_refused() {
    let (gallery, queries, targets) = three_strangers();
    let one = queries.narrow(0, 0, 1).unwrap();
    let aims: [Box<dyn Aim>; 3] = [
        Box::new(QueryAim::new(Goal::Lower, targets.clone(), &gallery).unwrap()),
        Box::new(MisrankingAim::new(&[0, 1, 2], vec![None; 3], &gallery).unwrap()),
        Box::new(CandidateAim::new(Goal::Raise, &targets, &gallery).unwrap()),
    ];
    for aim in aims {
        assert!(aim.loss(0, &queries).is_ok() && aim.loss(0, &one).is_err(), "{aim:?}");
    }
}

fn attack(world: &World, name: &str, health: Health, labels: Option<&[u32]>) -> Result<AttackedBatch> {
    let pixels = world.pixels.narrow(0, 0, 16).unwrap();
    let pictures = Pictures { pixels: &pixels, labels, protocol: Protocol::LeaveOneOut };
    let attack = holdfast_attack::by_names(name).unwrap()[0];
    let rules = Rules::from(Pgd::new(0.1, 0.02, 8).unwrap());
    attack_batch(&Linear::new(health, DType::F64), pictures, &world.gallery(), attack, &rules, &mut rng(1))
}

#[test]
fn every_attack_gets_somewhere_and_every_outcome_has_a_score() {
    let world = World::new(600);
    for attacker in attacks() {
        let batch = attack(&world, attacker.name(), Health::Sound, Some(&world.labels[..16])).unwrap();

        for (after, before) in batch.outcomes.iter().zip(&batch.benign.outcomes) {
            let score = |raw| score(after.name, raw).unwrap();
            assert!(score(after.mean()) < score(before.mean()), "{after:?} against {before:?}");
        }
        assert!(batch.embedding_shift.iter().any(|&shift| shift > 0.05), "{}", attacker.name());
        assert_eq!(batch.recall_at_1.is_some(), attacker.role() == Role::Query);
    }
}

#[test]
fn a_query_hides_one_of_its_nearest_percent_but_never_itself() {
    let batch = attack(&World::new(300), "QA-", Health::Sound, None).unwrap();

    let positions: Vec<f64> = batch.benign.outcomes[0].raw.iter().map(|rank| (rank * 3.0).round()).collect();
    assert!(positions.iter().all(|position| (1.0..=3.0).contains(position)), "{positions:?}");
    assert!(positions.iter().any(|position| *position != positions[0]), "drawn, not chosen: {positions:?}");
}

#[test]
fn without_labels_shift_reports_no_recall() {
    let batch = attack(&World::new(200), "ES", Health::Sound, None).unwrap();

    assert_eq!(batch.outcomes.iter().map(|outcome| outcome.name).collect::<Vec<_>>(), ["ES:D"]);
    assert_eq!(batch.recall_at_1, None);
}

#[test]
fn an_embedder_that_returns_nan_is_an_error_and_never_robust() {
    let world = World::new(600);
    for attacker in attacks() {
        let result = attack(&world, attacker.name(), Health::NotANumber, Some(&world.labels[..16]));
        assert!(matches!(result, Err(Error::NotFinite { .. })), "{}", attacker.name());
    }
}

#[test]
fn an_embedder_without_a_gradient_is_an_error_and_never_robust_but_a_black_box_needs_none() {
    let world = World::new(600);
    for attacker in attacks() {
        let result = attack(&world, attacker.name(), Health::Detached, Some(&world.labels[..16]));
        let refused = matches!(result, Err(Error::NoGradient { step: 0 }));
        assert_eq!(refused, attacker.knowledge() == Knowledge::WhiteBox, "{}", attacker.name());
    }
}

#[test]
fn a_gallery_without_a_nearest_percent_is_refused_by_the_attacks_that_need_one() {
    let world = World::new(99);
    for attacker in attacks() {
        let result = attack(&world, attacker.name(), Health::Sound, Some(&world.labels[..16]));
        let refused = matches!(result, Err(Error::GalleryTooSmall { items: 99, pool: 0, .. }));
        assert_eq!(refused, attacker.name().ends_with('-'), "{}", attacker.name());
    }
}

#[test]
fn a_gallery_item_is_not_its_own_neighbour_but_a_stranger_may_have_a_double() {
    let world = World::new(60);
    let gallery = world.gallery();
    let embeddings = gallery.embeddings.narrow(0, 0, 5).unwrap();
    let stranger = Queries::new(embeddings, None, Protocol::QueryGallery, &gallery).unwrap();
    let member = world.queries(5);

    for query in 0..5 {
        assert_eq!(member.own_row(query), Some(query));
        assert_eq!(stranger.own_row(query), None);
        let neighbours = stranger.nearest(query, 4);
        assert_eq!(neighbours[0], query);
        assert_eq!(member.nearest(query, 3), neighbours[1..]);
    }
}

#[test]
fn a_gallery_item_is_no_hit_for_itself_but_a_strangers_double_is() {
    let World { pixels, mut labels } = World::new(60);
    labels[0] = 99; // the only one of its class
    let gallery = World { pixels, labels }.gallery();
    let embeddings = gallery.embeddings.narrow(0, 0, 1).unwrap();

    for (membership, recall) in [(Protocol::LeaveOneOut, 0.0), (Protocol::QueryGallery, 100.0)] {
        let queries = Queries::new(embeddings.clone(), Some(&[99]), membership, &gallery).unwrap();
        let reached = queries.reached(embeddings.clone(), embeddings.clone(), &gallery).unwrap();
        assert_eq!(reached.recall_at_1, Some(vec![recall]), "{membership:?}");
    }
}

#[test]
fn neighbours_come_nearest_first_and_the_whole_gallery_may_be_asked_for() {
    let world = World::new(60);
    let embeddings = rows(&world.gallery().embeddings);
    let nearest = world.queries(1).nearest(0, 1000);

    let mut sorted: Vec<usize> = (1..60).collect();
    sorted.sort_by(|&left, &right| {
        distance(&embeddings[0], &embeddings[left]).total_cmp(&distance(&embeddings[0], &embeddings[right]))
    });
    assert_eq!(nearest, sorted);
}

#[test]
fn labels_that_do_not_match_the_batch_are_refused() {
    let world = World::new(200);
    let result = attack(&world, "ES", Health::Sound, Some(&world.labels[..3]));
    assert!(matches!(result, Err(Error::LabelCount { pictures: 16, labels: 3 })), "{result:?}");
}
