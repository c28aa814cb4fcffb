//! Adam's update of one parameter: one pass over memory.

use crate::host::{Real, slice};
use candle_core::backend::BackendDevice;
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Result, Storage, Tensor, bail};
use rayon::prelude::*;
use std::cell::RefCell;

/// Enough values a task that the pass is bound by memory, not by scheduling.
const CHUNK: usize = 16 * 1024;

/// The numbers of one step of Adam that all parameters share.
#[derive(Clone, Copy, Debug)]
pub struct AdamRates {
    /// How much of a parameter is added to its gradient.
    pub weight_decay: f64,
    /// β₁: how much of the mean of the gradients is kept.
    pub first_decay: f64,
    /// β₂: how much of the mean of their squares is kept.
    pub second_decay: f64,
    /// The learning rate over the bias correction of the first moment, 1 − β₁ᵗ.
    pub step_size: f64,
    /// The square root of the bias correction of the second moment, √(1 − β₂ᵗ).
    pub second_scale: f64,
    /// ε: keeps the divisor from 0.
    pub epsilon: f64,
}

/// The running means of one parameter's gradient and of its square, on the parameter's device.
pub struct AdamMoments {
    first: Storage,
    second: Storage,
}

impl AdamMoments {
    /// Those of a parameter (any shape) that has made no step.
    ///
    /// # Errors
    /// If the device is neither the CPU nor a CUDA device, or has no memory left.
    pub fn zeros(parameter: &Tensor) -> Result<Self> {
        let (shape, dtype) = (parameter.shape(), parameter.dtype());
        let zeros = || match parameter.device() {
            Device::Cpu => candle_core::cpu_backend::CpuDevice.zeros_impl(shape, dtype).map(Storage::Cpu),
            Device::Cuda(device) => device.zeros_impl(shape, dtype).map(Storage::Cuda),
            Device::Metal(_) => bail!("adam runs on the CPU or on a CUDA device, not on Metal"),
        };
        Ok(Self { first: zeros()?, second: zeros()? })
    }

    /// Copies of both, the mean of the gradient first, in the shape of their parameter.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn tensors(&self, parameter: &Tensor) -> Result<[Tensor; 2]> {
        let layout = Layout::contiguous(parameter.shape());
        let copy = |moment: &Storage| -> Result<Tensor> {
            Ok(Tensor::from_storage(moment.try_clone(&layout)?, parameter.shape(), BackpropOp::none(), false))
        };
        Ok([copy(&self.first)?, copy(&self.second)?])
    }

    /// Moments with these values, the mean of the gradient first, on the tensors' device.
    ///
    /// # Errors
    /// If the device has no memory left.
    pub fn from_tensors([first, second]: [&Tensor; 2]) -> Result<Self> {
        let copy = |tensor: &Tensor| {
            let tensor = tensor.force_contiguous()?;
            let (storage, layout) = tensor.storage_and_layout();
            storage.try_clone(layout)
        };
        Ok(Self { first: copy(first)?, second: copy(second)? })
    }
}

/// Moves a parameter (any shape) against its gradient (the same shape), in place, and updates its moments.
///
/// ```text
/// g ← g + decay · p        m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²
/// p ← p − step_size · m / (√v / second_scale + ε)
/// ```
///
/// # Errors
/// If shapes, types or devices differ, the parameter is not contiguous, or its elements are neither `f32` nor `f64`.
///
/// Source: Kingma and Ba, arXiv 1412.6980; the decay is PyTorch's ("L2"), not that of AdamW.
pub fn adam_step(parameter: &Tensor, gradient: &Tensor, moments: &mut AdamMoments, rates: &AdamRates) -> Result<()> {
    if parameter.shape() != gradient.shape() {
        bail!("adam: the parameter is {:?}, its gradient {:?}", parameter.dims(), gradient.dims());
    }
    parameter.inplace_op2(&gradient.contiguous()?, &Step { moments: RefCell::new(moments), rates: *rates })
}

struct Step<'a> {
    // The operation's signature lends itself immutably, and the moments change with the parameter.
    moments: RefCell<&'a mut AdamMoments>,
    rates: AdamRates,
}

impl InplaceOp2 for Step<'_> {
    fn name(&self) -> &'static str {
        "adam-step"
    }

    fn cpu_fwd(
        &self,
        values: &mut CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let mut moments = self.moments.borrow_mut();
        let AdamMoments { first: Storage::Cpu(first), second: Storage::Cpu(second) } = &mut **moments else {
            bail!("adam: the parameter is on the CPU, its moments are not")
        };
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("adam needs a contiguous parameter") };
        match (values, first, second) {
            (CpuStorage::F32(values), CpuStorage::F32(first), CpuStorage::F32(second)) => {
                update(&mut values[start..end], slice(gradient, gradient_layout)?, first, second, &self.rates);
            }
            (CpuStorage::F64(values), CpuStorage::F64(first), CpuStorage::F64(second)) => {
                update(&mut values[start..end], slice(gradient, gradient_layout)?, first, second, &self.rates);
            }
            _ => bail!("adam needs a parameter in f32 or f64, and its moments in the same type"),
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        values: &mut candle_core::CudaStorage,
        layout: &Layout,
        gradient: &candle_core::CudaStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let mut moments = self.moments.borrow_mut();
        let AdamMoments { first: Storage::Cuda(first), second: Storage::Cuda(second) } = &mut **moments else {
            bail!("adam: the parameter is on a CUDA device, its moments are not")
        };
        crate::cuda::adam_step((values, layout), (gradient, gradient_layout), first, second, &self.rates)
    }
}

/// Every chunk by itself: no sum, so the same bits for every number of threads.
fn update<T: Root>(values: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T], rates: &AdamRates) {
    let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
    let chunks = values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(moments);
    chunks.for_each(|((values, gradient), (first, second))| update_chunk(values, gradient, first, second, rates));
}

fn update_chunk<T: Root>(values: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T], rates: &AdamRates) {
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
        *value -= step_size * *mean / (square.root() / second_scale + epsilon);
    }
}

/// A number format with a square root.
trait Root: Real {
    fn root(self) -> Self;
}

impl Root for f32 {
    fn root(self) -> Self {
        self.sqrt()
    }
}

impl Root for f64 {
    fn root(self) -> Self {
        self.sqrt()
    }
}
