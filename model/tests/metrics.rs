//! Retrieval metrics against the reference, a naive loop, and a case counted by hand.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

use candle_core::{DType, Device, Tensor};
use holdfast_model::metrics::{Retrieval, retrieval};
use holdfast_model::testing::{Golden, assert_close};
use holdfast_model::{EmbeddingSet, distance};
use proptest::prelude::*;

/// Batch of the golden file's `batch64_mean_of_means`.
const BATCH: usize = 64;

fn set_of(rows: &[Vec<f64>], labels: &[u32]) -> EmbeddingSet {
    let flat = Tensor::from_vec(rows.concat(), (rows.len(), rows[0].len()), &Device::Cpu).unwrap();
    EmbeddingSet::new(distance::normalize(&flat).unwrap(), Some(labels.to_vec())).unwrap()
}

/// Points on the upper half of the circle, one angle (in degrees) and label each.
fn on_circle(points: &[(f64, u32)]) -> EmbeddingSet {
    let rows: Vec<_> =
        points.iter().map(|(degrees, _)| vec![degrees.to_radians().cos(), degrees.to_radians().sin()]).collect();
    let labels: Vec<_> = points.iter().map(|&(_, label)| label).collect();
    set_of(&rows, &labels)
}

fn means(retrieval: &Retrieval, batch: usize) -> [f64; 4] {
    [
        retrieval.recall_at_over_batches(1, batch),
        retrieval.recall_at_over_batches(2, batch),
        retrieval.mean_average_precision_over_batches(batch),
        retrieval.mean_average_precision_at_10_over_batches(batch),
    ]
}

#[test]
fn every_query_fares_as_in_the_reference() {
    let Some(golden) = Golden::open("benign_metrics") else { return };
    let set = EmbeddingSet::new(golden.tensor("E"), Some(golden.labels("labels"))).unwrap();

    let got = retrieval(&set).unwrap();

    let found_within = |k| got.ranks.iter().map(|&rank| f64::from(u8::from(rank < k))).collect::<Vec<_>>();
    assert_eq!(got.ranks, golden.indices("rank"));
    assert_eq!(found_within(1), golden.f64s("r@1"));
    assert_eq!(found_within(2), golden.f64s("r@2"));
    assert_close("AP", &got.average_precision, &golden.f64s("AP"), 1e-7);
    assert_close("AP@R10", &got.average_precision_at_10, &golden.f64s("AP@R10"), 1e-7);
    assert_close("means", &means(&got, 0), &golden.f64s("dataset_mean"), 1e-7);
    assert_close("means of batch means", &means(&got, BATCH), &golden.f64s("batch64_mean_of_means"), 1e-7);
}

#[test]
fn a_case_counted_by_hand() {
    // The order seen from the first point: 10° (other), 25° (same), 45° (other), 70° (same).
    let set = on_circle(&[(0.0, 1), (10.0, 2), (25.0, 1), (45.0, 2), (70.0, 1)]);

    let got = retrieval(&set).unwrap();

    assert_eq!(got.ranks, [1, 2, 2, 2, 1]);
    let expected = [
        (1.0 / 2.0 + 2.0 / 4.0) / 2.0, // positions 2 and 4
        1.0 / 3.0,                     // from 10°: 0° other, 25° other, 45° same, 70° other
        (1.0 / 3.0 + 2.0 / 4.0) / 2.0, // from 25°: 10° other, 45° other, 0° same, 70° same
        1.0 / 3.0,                     // from 45°: 25° and 70° other, 10° same, 0° other
        (1.0 / 2.0 + 2.0 / 4.0) / 2.0, // from 70°: 45° other, 25° same, 10° other, 0° same
    ];
    assert_close("AP", &got.average_precision, &expected, 1e-12);
    assert_close("AP@R10 of the first", &got.average_precision_at_10[..1], &[(0.5 + 0.5) / 10.0], 1e-12);
    assert_close("means", &[got.recall_at(1), got.recall_at(2), got.recall_at(3)], &[0.0, 0.4, 1.0], 1e-12);
}

#[test]
fn a_short_last_batch_counts_like_a_full_one() {
    let got = Retrieval {
        ranks: vec![0, 0, 5],
        average_precision: vec![1.0, 0.5, 0.25],
        average_precision_at_10: vec![0.2, 0.4, 0.6],
    };

    assert_close("batches of 2", &means(&got, 2), &[0.5, 0.5, 0.5, 0.45], 1e-12);
    assert_close("one batch", &means(&got, 0), &[2.0 / 3.0, 2.0 / 3.0, 1.75 / 3.0, 0.4], 1e-12);
}

#[test]
fn a_duplicate_of_the_query_does_not_take_its_place() {
    // Rows 0 and 1 coincide and differ in class: were row 0 dropped for the query of row 1, row 1 would find itself.
    let set = on_circle(&[(30.0, 1), (30.0, 2), (80.0, 1), (85.0, 2)]);

    let got = retrieval(&set).unwrap();

    assert_eq!(got.ranks[..2], [1, 2]);
}

#[test]
fn more_queries_than_are_held_at_once_give_the_same_as_any_of_them_alone() {
    let points: Vec<_> = (0..600_u32).map(|row| (f64::from(row * 7919 % 1800) / 10.0, row % 5)).collect();

    let got = retrieval(&on_circle(&points)).unwrap();

    assert_eq!(got.ranks.len(), 600);
    let labels: Vec<_> = points.iter().map(|&(_, label)| label).collect();
    for query in [0, 255, 256, 511, 512, 599] {
        let distances: Vec<_> = points.iter().map(|&(degrees, _)| (degrees - points[query].0).abs()).collect();
        assert_eq!(got.ranks[query], naive(query, &distances, &labels).0, "row {query}");
    }
}

#[test]
fn single_precision_agrees_where_distances_are_apart() {
    let set = on_circle(&[(0.0, 1), (10.0, 2), (25.0, 1), (45.0, 2), (70.0, 1)]);
    let single = EmbeddingSet::new(set.embeddings.to_dtype(DType::F32).unwrap(), set.labels.clone()).unwrap();

    assert_eq!(retrieval(&single).unwrap(), retrieval(&set).unwrap());
}

#[test]
fn a_query_that_could_find_nothing_is_an_error() {
    let lonely = retrieval(&on_circle(&[(0.0, 1), (10.0, 1), (20.0, 7)])).unwrap_err().to_string();
    let unlabelled = EmbeddingSet::new(on_circle(&[(0.0, 1), (10.0, 1)]).embeddings, None).unwrap();

    assert!(lonely.contains("class 7 has one member, row 2"), "{lonely}");
    assert!(retrieval(&unlabelled).unwrap_err().to_string().contains("no labels"));
}

/// Rank, AP and AP@R10 of one query, as section "evaluation" of the reference words it.
fn naive(query: usize, distances: &[f64], labels: &[u32]) -> (usize, f64, f64) {
    let mut others: Vec<usize> = (0..labels.len()).filter(|&row| row != query).collect();
    others.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
    let (mut found, mut sum, mut sum_of_ten, mut rank) = (0.0, 0.0, 0.0, None);
    for (position, row) in others.into_iter().enumerate() {
        if labels[row] != labels[query] {
            continue;
        }
        rank = rank.or(Some(position));
        found += 1.0;
        sum += found / (position + 1) as f64;
        if position < 10 {
            sum_of_ten += found / (position + 1) as f64;
        }
    }
    (rank.unwrap(), sum / found, sum_of_ten / 10.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn all_queries_agree_with_a_naive_loop(
        rows in prop::collection::vec(prop::collection::vec(-1.0_f64..1.0, 6), 8..60),
        classes in 1_u32..5,
    ) {
        prop_assume!(rows.iter().all(|row| row.iter().any(|value| value.abs() > 0.01)));
        let classes = classes.min(rows.len() as u32 / 2);
        let labels: Vec<u32> = (0..rows.len() as u32).map(|row| row % classes).collect();
        let set = set_of(&rows, &labels);

        let got = retrieval(&set).unwrap();

        let unit = set.embeddings.to_vec2::<f64>().unwrap();
        for query in 0..rows.len() {
            let distance = |row: &Vec<f64>| row.iter().zip(&unit[query]).map(|(x, y)| (x - y).powi(2)).sum::<f64>();
            let distances: Vec<f64> = unit.iter().map(distance).collect();
            let (rank, average_precision, at_10) = naive(query, &distances, &labels);
            prop_assert_eq!(got.ranks[query], rank);
            prop_assert!((got.average_precision[query] - average_precision).abs() < 1e-12);
            prop_assert!((got.average_precision_at_10[query] - at_10).abs() < 1e-12);
        }
    }
}
