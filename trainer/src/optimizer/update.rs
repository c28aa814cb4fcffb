//! One parameter's Adam update: one parallel pass over raw slices on the CPU, tensor operations elsewhere.

use std::cell::RefCell;

use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Tensor, Var, WithDType, bail};
use rayon::prelude::*;

use crate::error::Result;

/// Enough values a task that the pass is bound by memory, not by scheduling.
const CHUNK: usize = 16 * 1024;

/// The numbers of one step that all parameters share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    pub weight_decay: f64,
    pub first_decay: f64,
    pub second_decay: f64,
    /// The learning rate over the bias correction of the first moment.
    pub step_size: f64,
    /// The square root of the bias correction of the second moment.
    pub second_scale: f64,
    pub epsilon: f64,
}

/// The running means of a parameter's gradient and of its square.
pub(super) enum Moments {
    /// In the host's memory, updated in one pass.
    Host { first: CpuStorage, second: CpuStorage },
    /// On an accelerator, updated by a chain of tensor operations.
    Device { first: Tensor, second: Tensor },
}

impl Moments {
    pub fn zeros(variable: &Var) -> Result<Self> {
        let count = variable.elem_count();
        let zeros = || match variable.dtype() {
            DType::F32 => CpuStorage::F32(vec![0.0; count]),
            _ => CpuStorage::F64(vec![0.0; count]),
        };
        match variable.device().is_cpu() {
            true => Ok(Self::Host { first: zeros(), second: zeros() }),
            false => Self::zeros_on_device(variable),
        }
    }

    fn zeros_on_device(variable: &Var) -> Result<Self> {
        Ok(Self::Device { first: variable.zeros_like()?.detach(), second: variable.zeros_like()?.detach() })
    }

    /// Moves the parameter against its (contiguous) gradient, in place.
    pub fn update(&mut self, variable: &Var, gradient: &Tensor, rates: &Rates) -> Result<()> {
        match self {
            Self::Host { first, second } => {
                let update = HostUpdate { moments: RefCell::new((first, second)), rates: *rates };
                Ok(variable.inplace_op2(gradient, &update)?)
            }
            Self::Device { first, second } => Ok(update_tensors(variable, gradient, first, second, rates)?),
        }
    }
}

struct HostUpdate<'a> {
    // The operation's signature lends itself immutably, and the moments change with the parameter.
    moments: RefCell<(&'a mut CpuStorage, &'a mut CpuStorage)>,
    rates: Rates,
}

impl InplaceOp2 for HostUpdate<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        values: &mut CpuStorage,
        values_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (Some((start, end)), Some((from, to))) =
            (values_layout.contiguous_offsets(), gradient_layout.contiguous_offsets())
        else {
            bail!("adam needs a contiguous parameter and gradient")
        };
        let mut moments = self.moments.borrow_mut();
        let (first, second) = &mut *moments;
        match (values, gradient, &mut **first, &mut **second) {
            (CpuStorage::F32(p), CpuStorage::F32(g), CpuStorage::F32(m), CpuStorage::F32(v)) => {
                update_slices(&mut p[start..end], &g[from..to], m, v, &self.rates);
            }
            (CpuStorage::F64(p), CpuStorage::F64(g), CpuStorage::F64(m), CpuStorage::F64(v)) => {
                update_slices(&mut p[start..end], &g[from..to], m, v, &self.rates);
            }
            _ => bail!("adam needs a parameter and a gradient that are both f32 or both f64"),
        }
        Ok(())
    }
}

/// A number format with a square root.
trait Real: WithDType {
    fn square_root(self) -> Self;
}

impl Real for f32 {
    fn square_root(self) -> Self {
        self.sqrt()
    }
}

impl Real for f64 {
    fn square_root(self) -> Self {
        self.sqrt()
    }
}

fn update_slices<T: Real>(values: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T], rates: &Rates) {
    values
        .par_chunks_mut(CHUNK)
        .zip(gradient.par_chunks(CHUNK))
        .zip(first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK)))
        .for_each(|((values, gradient), (first, second))| update_chunk(values, gradient, first, second, rates));
}

fn update_chunk<T: Real>(values: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T], rates: &Rates) {
    let number = T::from_f64;
    let weight_decay = number(rates.weight_decay);
    let (first_kept, first_new) = (number(rates.first_decay), number(1.0 - rates.first_decay));
    let (second_kept, second_new) = (number(rates.second_decay), number(1.0 - rates.second_decay));
    let (step_size, second_scale, epsilon) =
        (number(rates.step_size), number(rates.second_scale), number(rates.epsilon));

    for (((value, &slope), mean), square) in values.iter_mut().zip(gradient).zip(first).zip(second) {
        let slope = slope + weight_decay * *value;
        *mean = first_kept * *mean + first_new * slope;
        *square = second_kept * *square + second_new * slope * slope;
        *value -= step_size * *mean / (square.square_root() / second_scale + epsilon);
    }
}

fn update_tensors(
    variable: &Var,
    gradient: &Tensor,
    first: &mut Tensor,
    second: &mut Tensor,
    rates: &Rates,
) -> candle_core::Result<()> {
    let values = variable.as_detached_tensor();
    let slope = (gradient + (&values * rates.weight_decay)?)?;
    *first = ((&*first * rates.first_decay)? + (&slope * (1.0 - rates.first_decay))?)?;
    *second = ((&*second * rates.second_decay)? + (slope.sqr()? * (1.0 - rates.second_decay))?)?;
    let scale = ((second.sqrt()? / rates.second_scale)? + rates.epsilon)?;
    variable.set(&(values - (&*first / scale)? * rates.step_size)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn rates(step: i32) -> Rates {
        Rates {
            weight_decay: 0.02,
            first_decay: 0.9,
            second_decay: 0.999,
            step_size: 0.01 / (1.0 - 0.9f64.powi(step)),
            second_scale: (1.0 - 0.999f64.powi(step)).sqrt(),
            epsilon: 1e-8,
        }
    }

    /// A wave of values over more than one chunk.
    fn wave(phase: f64) -> Tensor {
        let values: Vec<f64> = (0..2 * CHUNK + 5).map(|i| (i as f64 * 0.37 + phase).sin()).collect();
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn the_pass_over_slices_and_the_tensor_operations_agree() {
        let (on_host, on_device) = (Var::from_tensor(&wave(0.0)).unwrap(), Var::from_tensor(&wave(0.0)).unwrap());
        let mut host = Moments::zeros(&on_host).unwrap();
        let mut device = Moments::zeros_on_device(&on_device).unwrap();

        for step in 1..=4 {
            let gradient = wave(f64::from(step));
            host.update(&on_host, &gradient, &rates(step)).unwrap();
            device.update(&on_device, &gradient, &rates(step)).unwrap();
        }

        let difference = (on_host.as_tensor() - on_device.as_tensor()).unwrap().abs().unwrap();
        assert!(difference.max_all().unwrap().to_scalar::<f64>().unwrap() < 1e-14);
    }
}
