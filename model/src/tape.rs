//! A whole net as one node of candle's graph.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};
use holdfast_ops::Pullback;

/// `value`, as what candle takes for the result of an operation on `input` whose way back is `pullback`.
///
/// Everything that the pullback holds is freed when it was called, or with the last tensor of the graph. So a second
/// backward pass over the same graph is an error.
pub(crate) fn node(input: &Tensor, value: Tensor, pullback: Pullback) -> Result<Tensor> {
    input.apply_op1(Node { value: Mutex::new(Some(value)), pullback: Mutex::new(Some(pullback)) })
}

struct Node {
    /// Until candle asks for it.
    value: Mutex<Option<Tensor>>,
    /// Until the backward pass.
    pullback: Mutex<Option<Pullback>>,
}

/// What stands in the slot. A panic cannot leave an option half taken.
fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Node {
    fn value(&self) -> Result<Tensor> {
        take(&self.value).map_or_else(|| bail!("{}: the value was handed out already", self.name()), |v| v.contiguous())
    }
}

impl CustomOp1 for Node {
    fn name(&self) -> &'static str {
        "embedding-net"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let value = self.value()?;
        let (storage, layout) = value.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: pixels are on the CPU and the embeddings are not", self.name()),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let value = self.value()?;
        let (storage, layout) = value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => bail!("{}: pixels are on a CUDA device and the embeddings are not", self.name()),
        }
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        match take(&self.pullback) {
            Some(pullback) => pullback(&gradient.contiguous()?).map(Some),
            None => bail!("{}: its graph was differentiated already; embed the pixels again", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use candle_core::{Device, Var};

    use super::*;

    /// A node over a variable, and what its pullback holds.
    fn held() -> (Var, Tensor, Arc<()>) {
        let (input, memory) = (Var::new(&[1.0, 2.0], &Device::Cpu).unwrap(), Arc::new(()));
        let held = Arc::clone(&memory);
        let back: Pullback = Box::new(move |gradient| {
            let _alive = &held;
            gradient * 3.0
        });
        let value = Tensor::new(&[10.0, 20.0], &Device::Cpu).unwrap();
        let node = node(&input, value, back).unwrap();
        assert_eq!(Arc::strong_count(&memory), 2);
        (input, node, memory)
    }

    #[test]
    fn a_node_hands_out_its_value_and_sends_the_gradient_through_its_pullback() {
        let (input, node, _) = held();

        let gradients = node.sqr().unwrap().sum_all().unwrap().backward().unwrap();

        assert_eq!(node.to_vec1::<f64>().unwrap(), [10.0, 20.0]);
        assert_eq!(gradients.get(&input).unwrap().to_vec1::<f64>().unwrap(), [60.0, 120.0]);
    }

    #[test]
    fn what_the_pullback_held_is_freed_by_the_backward_pass_although_the_graph_lives_on() {
        let (_input, node, memory) = held();

        node.sum_all().unwrap().backward().unwrap();

        assert_eq!(Arc::strong_count(&memory), 1);
        drop(node);
    }

    #[test]
    fn what_the_pullback_held_is_freed_with_the_graph_without_a_backward_pass() {
        let (_input, node, memory) = held();

        let detached = node.detach();
        drop(node);

        assert_eq!(Arc::strong_count(&memory), 1);
        drop(detached);
    }

    #[test]
    fn a_value_that_is_a_strided_view_is_handed_out_as_it_looks() {
        let input = Var::new(&[0.0], &Device::Cpu).unwrap();
        let view = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap().t().unwrap().narrow(0, 1, 1).unwrap();

        let node = node(&input, view, Box::new(|gradient| Ok(gradient.clone()))).unwrap();

        assert_eq!(node.to_vec2::<f64>().unwrap(), [[2.0, 4.0]]);
    }
}
