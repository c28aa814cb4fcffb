//! Gradients without a graph: what an operation leaves behind for its backward pass, as a closure.
//!
//! candle's autograd keeps every input of every operation and pays zeros and a sum for each gradient. Where only the
//! gradient of one input is wanted, as in an attack on pixels, an operation may be run for its value and a [`Pullback`]
//! instead, which holds no more than that gradient needs and is gone once it was called.

use crate::host::Real;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, Var};
use rayon::prelude::*;

/// From the gradient of an operation's result to that of its input, once.
///
/// The gradient that it returns is contiguous, and either new or a view of the one it was given: nobody else holds it.
pub type Pullback = Box<dyn FnOnce(&Tensor) -> Result<Tensor> + Send>;

/// The value of any differentiable `operation` at x, and its pullback by candle's autograd.
///
/// It keeps what candle keeps, a copy of x included: for operations that have no pullback of their own.
///
/// # Errors
/// If the operation fails. The pullback fails if the result does not depend on x.
pub fn with_pullback(x: &Tensor, operation: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<(Tensor, Pullback)> {
    let variable = Var::from_tensor(&x.detach())?;
    let result = operation(variable.as_tensor())?;
    let value = result.detach();
    let pullback = move |gradient: &Tensor| {
        let mut gradients = (result * gradient)?.sum_all()?.backward()?;
        match gradients.remove(variable.as_tensor()) {
            Some(gradient) => gradient.contiguous(),
            None => candle_core::bail!("the result of the operation does not depend on its input"),
        }
    };
    Ok((value, Box::new(pullback)))
}

/// The sum of two gradients of one shape. It is written over the first unless they share storage.
///
/// # Errors
/// If the shapes or types differ, or a gradient is not contiguous.
pub fn add_gradients(left: Tensor, right: &Tensor) -> Result<Tensor> {
    if left.dims() != right.dims() {
        candle_core::bail!("add_gradients: shapes {:?} and {:?} differ", left.dims(), right.dims());
    }
    let address = |tensor: &Tensor| std::ptr::from_ref(&*tensor.storage_and_layout().0);
    if address(&left) == address(right) || !left.device().is_cpu() {
        return left + right;
    }
    left.inplace_op2(right, &Add)?;
    Ok(left)
}

struct Add;

impl InplaceOp2 for Add {
    fn name(&self) -> &'static str {
        "add-gradients"
    }

    fn cpu_fwd(&self, to: &mut CpuStorage, to_layout: &Layout, from: &CpuStorage, from_layout: &Layout) -> Result<()> {
        let (Some((start, end)), Some((first, last))) =
            (to_layout.contiguous_offsets(), from_layout.contiguous_offsets())
        else {
            candle_core::bail!("add_gradients: gradients must be contiguous");
        };
        match (to, from) {
            (CpuStorage::F32(to), CpuStorage::F32(from)) => add(&mut to[start..end], &from[first..last]),
            (CpuStorage::F64(to), CpuStorage::F64(from)) => add(&mut to[start..end], &from[first..last]),
            _ => candle_core::bail!("add_gradients: both gradients must be f32, or both f64"),
        }
        Ok(())
    }
}

fn add<T: Real>(to: &mut [T], from: &[T]) {
    to.par_chunks_mut(GRAIN).zip(from.par_chunks(GRAIN)).for_each(|(to, from)| {
        to.iter_mut().zip(from).for_each(|(to, &from)| *to += from);
    });
}

/// Elements that one task adds: enough to outweigh the hand-over.
const GRAIN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn values(tensor: &Tensor) -> Vec<f64> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_pullback_is_the_transposed_derivative() {
        let x = Tensor::new(&[1.0, -2.0, 3.0], &Device::Cpu).unwrap();

        let (value, pullback) = with_pullback(&x, Tensor::sqr).unwrap();
        let gradient = pullback(&Tensor::new(&[1.0, 10.0, 100.0], &Device::Cpu).unwrap()).unwrap();

        assert_eq!(values(&value), [1.0, 4.0, 9.0]);
        assert!(!value.track_op(), "the value must not hold a graph");
        assert_eq!(values(&gradient), [2.0, -40.0, 600.0]);
    }

    #[test]
    fn a_result_that_ignores_its_input_has_no_pullback() {
        let x = Tensor::new(&[1.0], &Device::Cpu).unwrap();

        let (_, pullback) = with_pullback(&x, |x| Ok(x.detach())).unwrap();

        assert!(pullback(&x).unwrap_err().to_string().contains("does not depend on its input"));
    }

    #[test]
    fn gradients_add_up_over_the_first() {
        let numbers = |offset: f64| {
            let values: Vec<f64> = (0..GRAIN + 3).map(|i| i as f64 + offset).collect();
            Tensor::new(values, &Device::Cpu).unwrap()
        };

        let sum = add_gradients(numbers(0.0), &numbers(0.5)).unwrap();

        assert!(values(&sum).iter().enumerate().all(|(i, &value)| value == 2.0 * i as f64 + 0.5));
    }

    #[test]
    fn gradients_that_share_storage_add_up_elsewhere() {
        let gradient = Tensor::new(&[1.0, 2.0], &Device::Cpu).unwrap();
        let view = gradient.reshape((2, 1)).unwrap().reshape(2).unwrap();

        let sum = add_gradients(view, &gradient).unwrap();

        assert_eq!(values(&sum), [2.0, 4.0]);
        assert_eq!(values(&gradient), [1.0, 2.0]);
    }
}
