//! Agreement with the authors' published code: recorded triplets go in, recorded numbers come out.
//!
//! Every size is read from the files, so that the tests run against any fixtures of the same format
//! (`HOLDFAST_GOLDEN`). Where a file is absent, the test says that it was skipped.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise, in its helpers too")]

mod ca_tride;
mod defenses;
mod hardness_manipulation;
mod miners;
mod optimizer;
mod primitives;
mod training;
mod vanilla;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use holdfast_attack::Pgd;
use holdfast_model::testing::{Golden, assert_tensors_close, golden_net, values};
use holdfast_model::{EmbeddingNet, Precision};
use holdfast_trainer::miner::Triplets;

/// float64 throughout: an independent implementation agrees to 1e-10.
const RELATIVE: f64 = 1e-9;

/// The fixtures' net with its parameters as variables, and its batch of pairs.
struct World {
    net: EmbeddingNet,
    parameters: Vec<(String, Var)>,
    /// (2P, 1, 28, 28)
    images: Tensor,
}

impl World {
    fn open(dtype: DType) -> Option<Self> {
        let (net, model) = golden_net(dtype)?;
        let (net, parameters) = net.trainable().unwrap();
        Some(Self { net, parameters, images: model.tensor("images").to_dtype(dtype).unwrap() })
    }

    /// Compares the gradient of every parameter, where the file holds them.
    fn assert_gradients(&self, golden: &Golden, prefix: &str, gradients: &GradStore, relative: f64) {
        for (name, variable) in &self.parameters {
            let key = format!("{prefix}grad/{name}");
            if golden.has(&key) {
                assert_tensors_close(&key, gradients.get(variable).unwrap(), &golden.tensor(&key), relative);
            }
        }
    }
}

fn triplets(golden: &Golden, prefix: &str) -> Triplets {
    let indices = |part: &str| golden.indices(&format!("{prefix}/{part}"));
    Triplets { anchors: indices("anc"), positives: indices("pos"), negatives: indices("neg") }
}

/// The recorded budget.
fn budget(golden: &Golden, prefix: &str) -> Pgd {
    Pgd {
        epsilon: golden.scalar(&format!("{prefix}cfg/eps")),
        alpha: golden.scalar(&format!("{prefix}cfg/alpha")),
        steps: golden.indices(&format!("{prefix}cfg/eta"))[0],
        precision: Precision::F32,
    }
}

/// The rows of a batch (B, …) at these indices.
fn gathered(batch: &Tensor, rows: &[usize]) -> Tensor {
    let rows: Vec<u32> = rows.iter().map(|&row| u32::try_from(row).unwrap()).collect();
    batch.index_select(&Tensor::new(rows, batch.device()).unwrap(), 0).unwrap()
}

/// The values of each picture.
fn pictures(tensor: &Tensor) -> Vec<Vec<f64>> {
    let pictures = tensor.dim(0).unwrap();
    values(tensor).chunks(tensor.elem_count() / pictures).map(<[f64]>::to_vec).collect()
}
