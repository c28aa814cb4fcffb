//! One layer, one pass, on our operations.

use std::time::{Duration, Instant};

use anyhow::Result;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor, Var};
use holdfast_ops::{Conv, Pullback, conv2d, conv2d_with_pullback, linear, linear_with_pullback};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::{Work, timed};
use crate::layers::{LayerPass, Pass};

/// A work that does `layer.pass` `layer.repeat` times in a row.
pub fn prepare(layer: LayerPass) -> Result<Work> {
    let x = Tensor::from_vec(uniform(layer.inputs()), layer.input_shape(), &Device::Cpu)?;
    let weight = Tensor::from_vec(uniform(layer.weights()), layer.weight_shape(), &Device::Cpu)?;
    match layer.pass {
        Pass::Forward => Ok(timed(move || (0..layer.repeat).try_for_each(|_| layer.apply(&x, &weight).map(drop)))),
        Pass::Input => input_gradient(layer, x, weight),
        Pass::Weight => weight_gradient(&layer, &x, &weight),
    }
}

/// The way back that attacks take. It can be gone once, so each is made anew, which is not timed.
fn input_gradient(layer: LayerPass, x: Tensor, weight: Tensor) -> Result<Work> {
    let upstream = like(&layer.apply(&x, &weight)?)?;
    Ok(Box::new(move || {
        let mut taken = Duration::ZERO;
        for _ in 0..layer.repeat {
            let pullback = layer.pullback(&x, &weight)?;
            let started = Instant::now();
            pullback(&upstream)?;
            taken += started.elapsed();
        }
        Ok(taken)
    }))
}

/// The way back that training takes, through candle's autograd. The input is not tracked.
fn weight_gradient(layer: &LayerPass, x: &Tensor, weight: &Tensor) -> Result<Work> {
    let y = layer.apply(x, Var::from_tensor(weight)?.as_tensor())?;
    let (loss, repeat) = (y.apply_op1(Upstream(like(&y)?))?, layer.repeat);
    Ok(timed(move || {
        (0..repeat).try_for_each(|_| {
            loss.backward()?;
            Ok(())
        })
    }))
}

impl LayerPass {
    fn input_shape(&self) -> Shape {
        match self.size {
            0 => (self.batch, self.channels).into(),
            size => (self.batch, size, size, self.channels).into(),
        }
    }

    fn weight_shape(&self) -> Shape {
        match self.size {
            0 => (self.outputs, self.channels).into(),
            _ => (self.outputs, self.channels, self.kernel, self.kernel).into(),
        }
    }

    fn inputs(&self) -> usize {
        self.input_shape().elem_count()
    }

    fn weights(&self) -> usize {
        self.weight_shape().elem_count()
    }

    fn apply(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(match self.size {
            0 => linear(x, weight, None)?,
            _ => conv2d(x, weight, None, Conv::new(self.stride, self.padding))?,
        })
    }

    fn pullback(&self, x: &Tensor, weight: &Tensor) -> Result<Pullback> {
        let (_, pullback) = match self.size {
            0 => linear_with_pullback(x, weight, None)?,
            _ => conv2d_with_pullback(x, weight, None, Conv::new(self.stride, self.padding))?,
        };
        Ok(pullback)
    }
}

fn like(tensor: &Tensor) -> Result<Tensor> {
    Ok(Tensor::from_vec(uniform(tensor.elem_count()), tensor.shape(), &Device::Cpu)?)
}

fn uniform(values: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    (0..values).map(|_| rng.random()).collect()
}

/// A loss whose gradient is this tensor: what a backward pass starts from, at no cost of its own.
struct Upstream(Tensor);

impl CustomOp1 for Upstream {
    fn name(&self) -> &'static str {
        "upstream"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), ().into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}
