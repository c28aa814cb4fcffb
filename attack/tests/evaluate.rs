//! The evaluation protocol: reproducible, averaged as published, complete or an error.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod support;

use candle_core::DType;
use holdfast_attack::{
    AttackScore, Conformance, ERS_TERMS, Error, EvaluateOptions, Labelled, Profile, Protocol, Report, TestSet,
    by_names, evaluate,
};
use support::{Health, Linear, World, profile};

const PICTURES: usize = 120;
const BATCH: usize = 25; // five batches, the last of 20

fn options(queries: Option<usize>) -> EvaluateOptions {
    EvaluateOptions { profile: profile(BATCH), queries, seed: 5, sanity: 0 }
}

fn report(attacks: &str, options: &EvaluateOptions) -> Report {
    let world = World::new(PICTURES);
    let attacks = by_names(attacks).unwrap();
    evaluate(&Linear::sound(), &world.set(), &attacks, options, &mut |_, _, _| ()).unwrap()
}

fn score(report: &Report, name: &str) -> AttackScore {
    report.attacks[name]
}

#[test]
fn a_run_of_one_attack_repeats_its_part_of_a_run_of_all() {
    let all = report("all", &options(None));

    for name in ["CA+", "QA-", "TMA", "LTM", "GTM", "GTT"] {
        assert_eq!(score(&report(name, &options(None)), name), score(&all, name));
    }
}

#[test]
fn all_attacks_give_the_ten_terms_of_the_robustness_score_and_fewer_give_none() {
    let all = report("all", &options(None));

    let mut terms = ERS_TERMS;
    terms.sort_unstable();
    assert_eq!(all.attacks.keys().collect::<Vec<_>>(), terms);
    let mean = all.attacks.values().map(|attack| attack.score).sum::<f64>() / 10.0;
    assert!((all.ers.unwrap() - mean).abs() < 1e-12, "{all}");
    assert!(all.to_string().ends_with(&format!("ERS {mean:.1}")), "{all}");
    assert_eq!(report("CA+,CA-,QA+,QA-,TMA,ES,LTM,GTM", &options(None)).ers, None);
}

#[test]
fn batches_meet_all_attacks_in_turn() {
    let world = World::new(PICTURES);
    let mut stages = Vec::new();
    let mut note = |stage: &str, done, _| stages.push((stage.to_owned(), done));
    let attacks = by_names("TMA,ES").unwrap();
    evaluate(&Linear::sound(), &world.set(), &attacks, &options(Some(30)), &mut note).unwrap();

    let turns = [("TMA", 25), ("ES", 25), ("TMA", 30), ("ES", 30)].map(|(stage, done)| (stage.to_owned(), done));
    assert_eq!(stages[5..], turns);
}

#[test]
fn another_seed_draws_other_targets() {
    let other = EvaluateOptions { seed: 6, ..options(None) };

    assert_ne!(score(&report("TMA", &options(None)), "TMA"), score(&report("TMA", &other), "TMA"));
}

#[test]
fn attacks_do_harm_and_the_report_shows_it() {
    let report = report("ES,QA+", &options(None));

    assert!(report.recall_at_1 > 70.0 && report.recall_at_2 >= report.recall_at_1, "{report}");
    assert!((report.queries_recall_at_1 - report.recall_at_1).abs() < 1e-9, "every picture was a query");
    assert!(score(&report, "ES:R").recall_at_1.unwrap() < report.recall_at_1, "{report}");
    assert_eq!(score(&report, "ES:R").recall_at_1, Some(score(&report, "ES:R").raw));
    assert!(score(&report, "ES:D").embedding_shift > score(&report, "ES:D").raw, "the last update counts\n{report}");
}

#[test]
fn a_limit_attacks_the_first_pictures_in_the_same_batches() {
    let world = World::new(PICTURES);
    let limited = report("TMA", &options(Some(BATCH)));
    let mut stages = Vec::new();
    let attacks = by_names("TMA").unwrap();
    let mut note = |stage: &str, done, total| stages.push((stage.to_owned(), done, total));
    evaluate(&Linear::sound(), &world.set(), &attacks, &options(Some(30)), &mut note).unwrap();

    assert_eq!((limited.queries, limited.gallery), (BATCH, PICTURES));
    assert_eq!(stages[4], ("gallery".to_owned(), 120, 120));
    assert_eq!(stages[5..], [("TMA".to_owned(), 25, 30), ("TMA".to_owned(), 30, 30)]);
}

#[test]
fn a_short_last_batch_counts_like_a_full_one() {
    let mean = |queries| score(&report("QA+", &options(Some(queries))), "QA+").embedding_shift;
    let world = World::new(PICTURES);
    let first = mean(BATCH);
    let both = mean(BATCH + 1);

    let tail = 2.0 * both - first;
    assert!(tail > 0.0 && tail < 2.0, "one picture's own shift, got {tail}");
    assert!((both - first).abs() > 1e-3 * first, "a weighted mean would hardly move: {first} → {both}");
    assert_eq!(world.labels.len(), PICTURES);
}

#[test]
fn a_report_survives_json_and_refuses_unknown_keys() {
    let report = report("TMA", &options(Some(BATCH)));

    let text = serde_json::to_string(&report).unwrap();
    let read: Report = serde_json::from_str(&text).unwrap();

    assert_eq!(read.attacks.keys().collect::<Vec<_>>(), ["TMA"]);
    assert_eq!((read.profile, read.seed, read.averaging), (report.profile, report.seed, report.averaging));
    assert!(text.contains("\"batch_means\""));
    assert!(serde_json::from_str::<Report>(&text.replace("\"seed\"", "\"sead\"")).is_err());
}

#[test]
fn a_report_prints_percentages() {
    let text = report("QA+,ES", &options(Some(BATCH))).to_string();

    assert!(
        text.starts_with(
            "profile test: epsilon 0.1, alpha 0.02, 8 steps, batches of 25, conformance reference\n25 queries, gallery of 120"
        ),
        "{text}"
    );
    assert!(
        text.contains("R@1 under attack") && text.contains(" %") && text.ends_with("no ERS: it needs all ten terms")
    );
}

#[test]
fn an_embedder_that_cannot_be_attacked_gets_no_report() {
    let world = World::new(PICTURES);
    let attacks = by_names("all").unwrap();
    let try_with = |health| {
        let embedder = Linear::new(health, DType::F64);
        evaluate(&embedder, &world.set(), &attacks, &options(None), &mut |_, _, _| ()).unwrap_err()
    };

    assert!(matches!(try_with(Health::NotANumber), Error::NotFinite { .. }));
    assert!(matches!(try_with(Health::Detached), Error::NoGradient { .. }));
}

#[test]
fn mismatched_labels_and_empty_runs_are_refused() {
    let world = World::new(PICTURES);
    let try_with = |labels: &[u32], queries| {
        let attacks = by_names("ES").unwrap();
        evaluate(
            &Linear::sound(),
            &TestSet::LeaveOneOut(Labelled { pixels: &world.pixels, labels }),
            &attacks,
            &options(queries),
            &mut |_, _, _| (),
        )
        .unwrap_err()
    };

    assert!(matches!(try_with(&world.labels[1..], None), Error::LabelCount { pictures: 120, labels: 119 }));
    assert!(matches!(try_with(&world.labels, Some(0)), Error::Empty { .. }));
}

/// The world's pictures without the first `queries`, which search in them.
fn two_sets(world: &World, queries: usize) -> (World, World) {
    let part = |start: usize, count: usize| World {
        pixels: world.pixels.narrow(0, start, count).unwrap(),
        labels: world.labels[start..start + count].to_vec(),
    };
    (part(0, queries), part(queries, PICTURES - queries))
}

#[test]
fn queries_search_in_a_gallery_that_does_not_hold_them() {
    let (queries, gallery) = two_sets(&World::new(PICTURES), 15);
    let set = TestSet::QueryGallery { queries: queries.labelled(), gallery: gallery.labelled() };
    let run = |set: &TestSet<'_>| {
        let attacks = by_names("ES,GTT").unwrap();
        evaluate(&Linear::sound(), set, &attacks, &options(None), &mut |_, _, _| ()).unwrap()
    };

    let report = run(&set);

    assert_eq!((report.protocol, report.queries, report.gallery), (Protocol::QueryGallery, 15, 105));
    let (rows, items) = (embeddings(&queries), embeddings(&gallery));
    let found = rows.iter().zip(&queries.labels).map(|(row, label)| {
        let nearest = (0..items.len()).min_by(|&a, &b| distance(row, &items[a]).total_cmp(&distance(row, &items[b])));
        if gallery.labels[nearest.unwrap()] == *label { 100.0 } else { 0.0 }
    });
    assert!((report.recall_at_1 - found.sum::<f64>() / 15.0).abs() < 1e-9, "{report}");
    assert!(report.to_string().contains("15 queries, separate gallery of 105"), "{report}");
}

#[test]
fn a_query_that_is_in_a_separate_gallery_finds_itself() {
    let world = World::new(PICTURES);
    let set = TestSet::QueryGallery { queries: world.labelled(), gallery: world.labelled() };

    let report = evaluate(&Linear::sound(), &set, &[], &options(None), &mut |_, _, _| ()).unwrap();

    assert_eq!((report.recall_at_1, report.queries_recall_at_1), (100.0, 100.0), "{report}");
}

#[test]
fn a_query_whose_class_the_gallery_lacks_is_named() {
    let (mut queries, gallery) = two_sets(&World::new(PICTURES), 15);
    queries.labels[7] = 99;
    let set = TestSet::QueryGallery { queries: queries.labelled(), gallery: gallery.labelled() };

    let error = evaluate(&Linear::sound(), &set, &[], &options(None), &mut |_, _, _| ()).unwrap_err();

    assert!(matches!(error, Error::NoMatch { query: 7, label: 99 }), "{error}");
}

#[test]
fn a_picture_alone_in_its_class_is_named_where_it_searches_among_the_others() {
    let mut world = World::new(PICTURES);
    world.labels[5] = 99;

    let error = evaluate(&Linear::sound(), &world.set(), &[], &options(None), &mut |_, _, _| ()).unwrap_err();

    assert!(error.to_string().contains("class 99 has one member, row 5"), "{error}");
}

fn embeddings(world: &World) -> Vec<Vec<f64>> {
    world.gallery().embeddings.to_vec2().unwrap()
}

fn distance(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| (left - right).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn benign_metrics_are_those_of_a_naive_loop() {
    let world = World::new(PICTURES);
    let rows = embeddings(&world);
    let found = |query: usize| {
        let mut others: Vec<usize> = (0..PICTURES).filter(|&item| item != query).collect();
        others.sort_by(|&a, &b| distance(&rows[query], &rows[a]).total_cmp(&distance(&rows[query], &rows[b])));
        let hits: Vec<bool> = others.iter().map(|&item| world.labels[item] == world.labels[query]).collect();
        let rank = hits.iter().position(|&hit| hit).unwrap();
        let precision = |place: usize| hits[..=place].iter().filter(|&&hit| hit).count() as f64 / (place + 1) as f64;
        let short = (0..10).filter(|&place| hits[place]).map(precision).sum::<f64>() / 10.0;
        (rank as f64, 100.0 * short)
    };
    let found: Vec<(f64, f64)> = (0..PICTURES).map(found).collect();
    let mean = |value: fn(&(f64, f64)) -> f64| {
        let batches = found.chunks(BATCH).map(|batch| batch.iter().map(value).sum::<f64>() / batch.len() as f64);
        batches.sum::<f64>() / 5.0
    };

    let report = report("TMA", &options(Some(BATCH)));

    assert!((report.mean_rank.unwrap() - mean(|found| found.0)).abs() < 1e-9, "{report}");
    assert!((report.mean_average_precision_at_10.unwrap() - mean(|found| found.1)).abs() < 1e-9, "{report}");
    let shared = report.normalized_mutual_information.unwrap();
    assert!((20.0..=100.0).contains(&shared), "classes are patterns under noise: {report}");
    assert!(report.to_string().contains("NMI"), "{report}");
}

#[test]
fn corrected_attacks_give_other_terms_and_the_report_says_so() {
    let corrected = Profile { conformance: Conformance::Corrected, ..profile(BATCH) };
    let run = |attacks| {
        (
            report(attacks, &options(None)),
            report(attacks, &EvaluateOptions { profile: corrected.clone(), ..options(None) }),
        )
    };

    let (reference, corrected) = run("ES,LTM,GTM,TMA");

    for name in ["ES:D", "GTM"] {
        assert_ne!(score(&reference, name).raw, score(&corrected, name).raw, "{name}");
    }
    for name in ["ES:R", "TMA"] {
        assert_eq!(score(&reference, name), score(&corrected, name));
    }
    assert_ne!(score(&reference, "LTM").embedding_shift, score(&corrected, "LTM").embedding_shift);
    assert!((score(&corrected, "ES:D").raw - score(&corrected, "ES:D").embedding_shift).abs() < 1e-12);
    assert!(corrected.to_string().contains("conformance corrected"), "{corrected}");
    assert!(serde_json::to_string(&corrected).unwrap().contains("\"conformance\":\"corrected\""));
}

#[test]
fn attacks_outside_the_robustness_score_never_change_it() {
    let world = World::new(600);
    let run = |attacks| {
        let attacks = by_names(attacks).unwrap();
        let options = options(Some(BATCH));
        evaluate(&Linear::sound(), &world.set(), &attacks, &options, &mut |_, _, _| ()).unwrap()
    };

    let (score_alone, with_more) = (run("all"), run("all,NES,SPQA+,SPQA-"));

    assert_eq!(score_alone.ers, with_more.ers);
    for further in ["NES:D", "NES:R", "SPQA+", "SPQA-"] {
        assert!(with_more.attacks.contains_key(further), "{with_more}");
    }
    assert_eq!(score(&with_more, "NES:D").model_queries, Some(8 * 50));
    assert_eq!(score(&with_more, "ES:D").model_queries, None);
    assert!(score(&with_more, "NES:D").raw < score(&with_more, "ES:D").embedding_shift, "{with_more}");
}

#[test]
fn a_report_of_an_older_program_can_still_be_read() {
    let report = report("TMA", &options(Some(BATCH)));
    let mut json = serde_json::to_value(&report).unwrap();
    let table = json.as_object_mut().unwrap();
    for key in ["protocol", "mean_average_precision_at_10", "mean_rank", "normalized_mutual_information", "sanity"] {
        table.remove(key).unwrap();
    }
    table["profile"].as_object_mut().unwrap().remove("conformance").unwrap();

    let read: Report = serde_json::from_value(json).unwrap();

    assert_eq!((read.profile, read.protocol, read.mean_rank), (report.profile, Protocol::LeaveOneOut, None));
}
