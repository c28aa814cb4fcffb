//! Looking for an element: the check that every number of a tensor is what it should be.

use crate::host::read;
use candle_core::{DType, Result, Tensor, WithDType};
use rayon::prelude::*;

/// Elements that one task handles: enough to outweigh the hand-over.
const GRAIN: usize = 16 * 1024;

/// The first element, row-major, that is `wanted`; none if there is no such element.
///
/// # Errors
/// If the element type is neither `f32` nor `f64`, or the transfer from another device fails.
pub fn find(x: &Tensor, wanted: impl Fn(f64) -> bool + Sync) -> Result<Option<f64>> {
    fn first<T: WithDType>(values: &[T], wanted: impl Fn(f64) -> bool + Sync) -> Option<f64> {
        let look = |values: &[T]| values.iter().map(|value| value.to_f64()).find(|&value| wanted(value));
        values.par_chunks(GRAIN).find_map_first(look)
    }
    match x.dtype() {
        DType::F64 => read(x, |values: &[f64]| first(values, wanted)),
        _ => read(x, |values: &[f32]| first(values, wanted)),
    }
}
