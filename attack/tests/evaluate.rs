//! The evaluation protocol: reproducible, averaged as published, complete or an error.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod support;

use candle_core::DType;
use holdfast_attack::{AttackScore, ERS_TERMS, Error, EvaluateOptions, Report, by_names, evaluate};
use support::{Health, Linear, World, profile};

const PICTURES: usize = 120;
const BATCH: usize = 25; // five batches, the last of 20

fn options(queries: Option<usize>) -> EvaluateOptions {
    EvaluateOptions { profile: profile(BATCH), queries, seed: 5 }
}

fn report(attacks: &str, options: &EvaluateOptions) -> Report {
    let world = World::new(PICTURES);
    let attacks = by_names(attacks).unwrap();
    evaluate(&Linear::sound(), &world.pixels, &world.labels, &attacks, options, &mut |_, _, _| ()).unwrap()
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
    evaluate(&Linear::sound(), &world.pixels, &world.labels, &attacks, &options(Some(30)), &mut note).unwrap();

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
    evaluate(&Linear::sound(), &world.pixels, &world.labels, &attacks, &options(Some(30)), &mut note).unwrap();

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
        text.starts_with("profile test: epsilon 0.1, alpha 0.02, 8 steps, batches of 25\n25 queries, gallery of 120")
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
        evaluate(&embedder, &world.pixels, &world.labels, &attacks, &options(None), &mut |_, _, _| ()).unwrap_err()
    };

    assert!(matches!(try_with(Health::NotANumber), Error::NotFinite { .. }));
    assert!(matches!(try_with(Health::Detached), Error::NoGradient { .. }));
}

#[test]
fn mismatched_labels_and_empty_runs_are_refused() {
    let world = World::new(PICTURES);
    let try_with = |labels: &[u32], queries| {
        let attacks = by_names("ES").unwrap();
        evaluate(&Linear::sound(), &world.pixels, labels, &attacks, &options(queries), &mut |_, _, _| ()).unwrap_err()
    };

    assert!(matches!(try_with(&world.labels[1..], None), Error::LabelCount { pictures: 120, labels: 119 }));
    assert!(matches!(try_with(&world.labels, Some(0)), Error::Empty { .. }));
}
