//! Weights, and the orders in which products read them.

use crate::host::Real;
use crate::panel::Panels;
use candle_core::{Result, Tensor};
use std::any::Any;
use std::sync::{Arc, OnceLock};

/// The weight of a convolution or a linear layer, as operations take it.
///
/// Products read weights in panels. A plain weight is laid out in every pass; a [packed](Self::packed) one when it is first
/// needed, once for the result and once for the gradient of the input, and clones share that. It costs the weight's memory
/// once more for each of the two.
#[derive(Clone, Debug)]
pub struct Weight {
    tensor: Tensor,
    packing: Packing,
}

impl Weight {
    /// A weight that does not change: a tensor that is overwritten later goes unnoticed.
    #[must_use]
    pub fn packed(tensor: Tensor) -> Self {
        Self { tensor, packing: Packing(Some(Arc::default())) }
    }

    /// The weight in PyTorch's order.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The weight contiguous, and its packing.
    pub(crate) fn parts(self) -> Result<(Tensor, Packing)> {
        Ok((self.tensor.contiguous()?, self.packing))
    }
}

/// A weight that is laid out in every pass.
impl From<Tensor> for Weight {
    fn from(tensor: Tensor) -> Self {
        Self { tensor, packing: Packing::default() }
    }
}

impl From<&Tensor> for Weight {
    fn from(tensor: &Tensor) -> Self {
        tensor.clone().into()
    }
}

impl From<&Self> for Weight {
    fn from(weight: &Self) -> Self {
        weight.clone()
    }
}

/// Where a packed weight keeps its panels; plain ones keep none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packing(Option<Arc<Orders>>);

#[derive(Debug, Default)]
struct Orders {
    forward: Order,
    backward: Order,
}

/// Panels of one element type.
type Order = OnceLock<Arc<dyn Any + Send + Sync>>;

impl Packing {
    /// The panels for the result.
    pub(crate) fn forward<T: Real>(&self, pack: impl FnOnce() -> Panels<T>) -> Arc<Panels<T>> {
        kept(self.0.as_deref().map(|orders| &orders.forward), pack)
    }

    /// The panels for the gradient of the input.
    pub(crate) fn backward<T: Real>(&self, pack: impl FnOnce() -> Panels<T>) -> Arc<Panels<T>> {
        kept(self.0.as_deref().map(|orders| &orders.backward), pack)
    }
}

fn kept<T: Real>(order: Option<&Order>, pack: impl FnOnce() -> Panels<T>) -> Arc<Panels<T>> {
    let Some(order) = order else { return Arc::new(pack()) };
    let panels = Arc::clone(order.get_or_init(|| Arc::new(pack())));
    Arc::downcast(panels).expect("a weight's panels are of its element type. This is a bug.")
}
