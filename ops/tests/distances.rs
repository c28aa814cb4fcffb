//! Distances and losses of distances against plain loops, and their gradients against central differences in float64;
//! the step of projected descent against its formula.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

use candle_core::{DType, Device, Result, Tensor, Var, WithDType};
use holdfast_ops::{DistanceLoss, Points, distance_loss, distance_matrix, find, scalar_of};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(shape: &[usize], seed: u64) -> Tensor {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
    tensor.to_dtype(DType::F64).unwrap().to_vec2().unwrap()
}

fn single(tensor: &Tensor) -> Tensor {
    tensor.to_dtype(DType::F32).unwrap()
}

fn naive_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// A scalar in which every output element has its own weight.
fn weighted_sum(output: &Tensor) -> Result<Tensor> {
    (output * random(output.dims(), 99))?.sum_all()
}

/// The gradient of `loss` in `x`.
fn gradient(x: &Tensor, loss: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f64> {
    let var = Var::from_tensor(x).unwrap();
    flat(&loss(&var).unwrap().backward().unwrap().remove(&var).unwrap())
}

/// The same by central differences.
fn differences(x: &Tensor, loss: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let values = flat(x);
    let slope = |index: usize| {
        let at = |offset: f64| {
            let mut moved = values.clone();
            moved[index] += offset;
            flat(&loss(&Tensor::from_vec(moved, x.dims(), &Device::Cpu).unwrap()).unwrap())[0]
        };
        (at(STEP) - at(-STEP)) / (2.0 * STEP)
    };
    (0..values.len()).map(slope).collect()
}

fn close(got: &[f64], want: &[f64], tolerance: f64) -> bool {
    got.len() == want.len() && got.iter().zip(want).all(|(got, want)| (got - want).abs() <= tolerance)
}

/// Σⱼ wⱼ(q) · d² for the first `active` points: another weight for every query and point, no slope beyond.
struct Squares {
    active: usize,
}

fn weight(query: usize, point: usize) -> f64 {
    ((query * 31 + point * 17) % 23) as f64 - 11.0
}

impl DistanceLoss for Squares {
    fn term<T: WithDType>(&self, query: usize, distances: &[T], slopes: &mut [T]) -> T {
        let mut sum = T::zero();
        for (point, &distance) in distances.iter().enumerate().take(self.active) {
            let weight = T::from_f64(weight(query, point));
            sum += weight * distance * distance;
            slopes[point] = T::from_f64(2.0) * weight * distance;
        }
        sum
    }
}

fn naive_squares(queries: &Tensor, points: &Tensor, active: usize) -> f64 {
    let points = rows(points);
    let term = |(query, row): (usize, &Vec<f64>)| -> f64 {
        let terms = points.iter().enumerate().take(active);
        terms.map(|(point, values)| weight(query, point) * naive_distance(row, values).powi(2)).sum()
    };
    rows(queries).iter().enumerate().map(term).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_distance_matrix_equals_its_definition(seed: u64, n in 1..8usize, m in 1..70usize, dim in 1..40usize) {
        let (x, y) = (random(&[n, dim], seed), random(&[m, dim], seed ^ 1));
        let (left, right) = (rows(&x), rows(&y));
        let want: Vec<f64> = left.iter().flat_map(|x| right.iter().map(|y| naive_distance(x, y))).collect();

        prop_assert!(close(&flat(&distance_matrix(&x, &y).unwrap()), &want, 1e-7));
        prop_assert!(close(&flat(&distance_matrix(&single(&x), &single(&y)).unwrap()), &want, 2e-3));
    }

    #[test]
    fn a_fused_loss_equals_its_sum_and_has_the_gradient_of_the_matrix(
        seed: u64, n in 1..6usize, m in 1..90usize, dim in 1..40usize, active in 0..90usize,
    ) {
        let (queries, gallery) = (random(&[n, dim], seed), random(&[m, dim], seed ^ 1));
        let points = Points::new(&gallery).unwrap();
        let weights: Vec<f64> = (0..n * m).map(|i| if i % m < active { weight(i / m, i % m) } else { 0.0 }).collect();
        let weights = Tensor::from_vec(weights, (n, m), &Device::Cpu).unwrap();
        let chain = |queries: &Tensor| (distance_matrix(queries, &gallery)?.sqr()? * &weights)?.sum_all();
        let fused = |queries: &Tensor| distance_loss(queries, &points, &Squares { active });

        let want = naive_squares(&queries, &gallery, active);
        prop_assert!(close(&flat(&fused(&queries).unwrap()), &[want], 1e-9 * (1.0 + want.abs())));
        prop_assert!(close(&gradient(&queries, fused), &gradient(&queries, chain), 1e-9));

        let points = Points::new(&single(&gallery)).unwrap();
        let fused = |queries: &Tensor| distance_loss(queries, &points, &Squares { active });
        prop_assert!(close(&gradient(&single(&queries), fused), &gradient(&queries, chain), 2e-2));
    }
}

#[test]
fn gradients_of_distances_match_central_differences_for_both_sets_of_points() {
    let (x, y) = (random(&[5, 7], 1), random(&[9, 7], 2));

    let of_x = |x: &Tensor| weighted_sum(&distance_matrix(x, &y)?);
    assert!(close(&gradient(&x, of_x), &differences(&x, of_x), 1e-7));
    let of_y = |y: &Tensor| weighted_sum(&distance_matrix(&x, y)?);
    assert!(close(&gradient(&y, of_y), &differences(&y, of_y), 1e-7));
    let strided = |x: &Tensor| weighted_sum(&distance_matrix(&x.t()?, &random(&[4, 5], 3))?);
    assert!(close(&gradient(&x, strided), &differences(&x, strided), 1e-7));
}

#[test]
fn gradients_of_fused_losses_match_central_differences_dense_and_sparse() {
    let (queries, gallery) = (random(&[4, 6], 4), random(&[50, 6], 5));
    let points = Points::new(&gallery).unwrap();
    for active in [50, 2] {
        let loss = |queries: &Tensor| distance_loss(queries, &points, &Squares { active });
        assert!(close(&gradient(&queries, loss), &differences(&queries, loss), 1e-5), "{active} active points");
    }
}

#[test]
fn points_that_coincide_have_no_slope() {
    let x = random(&[3, 8], 6);
    let loss = |y: Tensor| move |x: &Tensor| distance_matrix(x, &y)?.sum_all();

    assert_eq!(gradient(&x.narrow(0, 0, 1).unwrap(), loss(x.narrow(0, 0, 1).unwrap())), [0.0; 8]);
    assert_eq!(gradient(&single(&x).narrow(0, 0, 1).unwrap(), loss(single(&x).narrow(0, 0, 1).unwrap())), [0.0; 8]);
}

#[test]
fn what_is_not_a_number_stays_one_even_if_a_loss_ignores_it() {
    let broken = Tensor::new(&[[f64::NAN, 0.0], [1.0, 0.0]], &Device::Cpu).unwrap();
    let gallery = random(&[5, 2], 7);

    let distances = rows(&distance_matrix(&broken, &gallery).unwrap());
    assert!(distances[0].iter().all(|distance| distance.is_nan()) && distances[1].iter().all(|d| d.is_finite()));
    let loss = distance_loss(&broken, &Points::new(&gallery).unwrap(), &Squares { active: 0 }).unwrap();
    assert!(flat(&loss)[0].is_nan());
}

#[test]
fn a_scalar_hands_its_gradient_down_and_has_none_if_none_was_given() {
    let x = Var::new(&[1.0f64, 2.0], &Device::Cpu).unwrap();
    let slopes = Tensor::new(&[3.0, -4.0], &Device::Cpu).unwrap();

    let loss = (scalar_of(&x, 5.0, Some(slopes.clone())).unwrap() * 10.0).unwrap();
    assert_eq!(flat(&loss), [50.0]);
    assert_eq!(flat(&loss.backward().unwrap().remove(&x).unwrap()), [30.0, -40.0]);
    let detached = scalar_of(&x, 5.0, None).unwrap();
    assert!(detached.backward().unwrap().get(&x).is_none());
    assert!(scalar_of(&x, 5.0, Some(slopes.narrow(0, 0, 1).unwrap())).is_err());
}

#[test]
fn the_first_wanted_element_is_found_whatever_the_layout() {
    let x = Tensor::new(&[[1.0f32, 7.0], [f32::NAN, 9.0]], &Device::Cpu).unwrap();

    assert_eq!(find(&x, |value| value > 5.0).unwrap(), Some(7.0));
    assert_eq!(find(&x.t().unwrap(), |value| value > 8.0).unwrap(), Some(9.0));
    assert!(find(&x, f64::is_nan).unwrap().unwrap().is_nan());
    assert_eq!(find(&x, f64::is_infinite).unwrap(), None);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (queries, gallery) = (single(&random(&[37, 96], 8)), single(&random(&[700, 96], 9)));
            let points = Points::new(&gallery).unwrap();
            let fused = |active| gradient(&queries, |q| distance_loss(q, &points, &Squares { active }));
            let chain = |y: &Tensor| weighted_sum(&single(&distance_matrix(&queries, y)?).to_dtype(DType::F64)?);
            (fused(700), fused(3), gradient(&gallery, chain))
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn shapes_that_do_not_fit_are_errors_that_name_both_sides() {
    let (x, y) = (random(&[2, 3], 1), random(&[2, 4], 1));
    assert!(distance_matrix(&x, &y).unwrap_err().to_string().contains("3 values"));
    let points = Points::new(&y).unwrap();
    assert!(distance_loss(&x, &points, &Squares { active: 1 }).unwrap_err().to_string().contains("points 4"));
}
