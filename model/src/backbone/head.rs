//! The last layer of a pretrained backbone: a linear map to the embedding in the place of the classifier.

use super::Tensors;
use super::init::uniform;
use crate::ParameterSpec;

/// The name of the last layer.
pub(super) const HEAD: &str = "fc";

/// The length of an embedding, as in the reference's ResNet-18.
const EMBEDDING: usize = 512;

/// A fresh head over `features`, as PyTorch starts a linear layer.
pub(super) fn specs(features: usize) -> [ParameterSpec; 2] {
    uniform(HEAD, &[EMBEDDING, features])
}

/// Whether a parameter is the head's.
pub(super) fn is_part(parameter: &str) -> bool {
    parameter.strip_prefix(HEAD).is_some_and(|rest| rest.starts_with('.'))
}

/// The tensors of a published file without its classifier: whatever begins with one of `prefixes`, and a head of another
/// shape than ours. A head of our shape, as in the weights of a checkpoint, stays.
pub(super) fn without_classifier(mut tensors: Tensors, prefixes: &[&str], specs: &[ParameterSpec]) -> Tensors {
    tensors.retain(|name, _| !prefixes.iter().any(|prefix| name.starts_with(prefix)));
    let weight = format!("{HEAD}.weight");
    let ours = specs.iter().find(|spec| spec.name == weight).map(|spec| spec.shape.as_slice());
    if tensors.get(&weight).is_some_and(|tensor| Some(tensor.dims()) != ours) {
        tensors.retain(|name, _| *name != weight && *name != format!("{HEAD}.bias"));
    }
    tensors
}
