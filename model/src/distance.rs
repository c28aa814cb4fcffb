//! The distances of metric learning, differentiable, in `f32` and `f64`.
//!
//! They differ in the fifth digit and at coincident points, and results depend on which stands where: the triplet loss
//! and the hardness use [`pairwise_distance`], retrieval uses [`distance_matrix`].

use crate::Result;
use candle_core::{D, DType, Tensor};
use holdfast_ops::Pullback;

/// Added to every coordinate of a difference by [`pairwise_distance`]; PyTorch's `PairwiseDistance` does.
const OFFSET: f64 = 1e-6;

/// The least length that [`normalize`] divides by.
const FLOOR: f64 = 1e-12;

/// x / max(‖x‖₂, 1e-12), row by row: (N, D) → (N, D).
///
/// # Errors
/// If a tensor operation fails.
pub fn normalize(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_div(&norm(x, FLOOR)?)?)
}

/// [`normalize`] without a graph, and the way back.
pub(crate) fn normalize_with_pullback(x: &Tensor) -> candle_core::Result<(Tensor, Pullback)> {
    holdfast_ops::with_pullback(x, |x| x.broadcast_div(&norm(x, FLOOR)?))
}

/// ‖x − y + 1e-6‖₂, row by row: (N, D), (N, D) → (N).
///
/// Not symmetric, 1e-6·√D at x = y, and differentiable everywhere.
///
/// # Errors
/// If the shapes differ.
pub fn pairwise_distance(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    Ok(((x - y)? + OFFSET)?.sqr()?.sum(D::Minus1)?.sqrt()?)
}

/// ‖x − y‖₂, row by row: (N, D), (N, D) → (N). The gradient is 0 where x and y coincide.
///
/// # Errors
/// If the shapes differ.
pub fn euclidean_distance(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    root(&(x - y)?.sqr()?.sum(D::Minus1)?)
}

/// All distances between the rows of x and y: (N, D), (M, D) → (N, M).
///
/// √max(0, ‖x‖² + ‖y‖² − 2⟨x, y⟩), whose gradient is 0 where two rows coincide: an explicit difference would turn the
/// rounding noise between two evaluations of one picture into a unit vector of random direction.
///
/// # Errors
/// If the rows have different lengths.
pub fn distance_matrix(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    Ok(holdfast_ops::distance_matrix(x, y)?)
}

/// ⟨x, y⟩ / (max(‖x‖, 1e-8) · max(‖y‖, 1e-8)), row by row: (N, D), (N, D) → (N).
///
/// # Errors
/// If the shapes differ.
pub fn cosine_similarity(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let norms = (norm(x, 1e-8)? * norm(y, 1e-8)?)?.squeeze(1)?;
    Ok((x * y)?.sum(1)?.div(&norms)?)
}

/// max(‖x‖₂, floor), row by row: (N, D) → (N, 1).
fn norm(x: &Tensor, floor: f64) -> candle_core::Result<Tensor> {
    x.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(floor)
}

/// √x for x ≥ 0, whose gradient is 0 where √x is no more than rounding noise.
fn root(squares: &Tensor) -> Result<Tensor> {
    let noise = if squares.dtype() == DType::F64 { 1e-7 } else { 1e-3 };
    let apart = squares.gt(noise * noise)?;
    let safe = apart.where_cond(squares, &squares.ones_like()?)?;
    Ok(apart.where_cond(&safe.sqrt()?, &squares.detach().sqrt()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn coincident_points_have_no_gradient_and_the_offset_distance_has_one() {
        let x = Var::new(&[[0.6f64, 0.8], [1.0, 0.0]], &Device::Cpu).unwrap();
        let gradient = |loss: Tensor| -> Vec<f64> {
            let gradients = loss.sum_all().unwrap().backward().unwrap();
            gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };

        let y = x.as_detached_tensor();

        assert_eq!(gradient(euclidean_distance(&x, &y).unwrap()), [0.0; 4]);
        let offset = gradient(pairwise_distance(&x, &y).unwrap());
        assert!(offset.iter().all(|g| (g - 0.5f64.sqrt()).abs() < 1e-9), "1/√D per coordinate, got {offset:?}");
        // Row 0 is pulled towards y₁ only, row 1 towards y₀ only.
        let between = gradient(distance_matrix(&x, &y).unwrap());
        let apart = ((0.6f64 - 1.0).powi(2) + 0.64).sqrt();
        let want = [-0.4 / apart, 0.8 / apart, 0.4 / apart, -0.8 / apart];
        assert!(
            between.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-9),
            "{between:?}, expected {want:?}"
        );
    }
}
