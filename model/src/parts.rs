//! Training passes that hold the activations of a few pictures at a time.
//!
//! A graph over a whole batch keeps every activation until the backward pass. Here the embeddings are computed part by part
//! and nothing is kept; the backward pass computes each part's graph again, and adds the parts' gradients up. That costs one
//! more forward pass ("gradient checkpointing" of the whole net, with micro-batches).

use candle_core::{Tensor, bail};
use holdfast_ops::add_gradients;

use crate::distance::normalize;
use crate::layer::{Layer, Sequence};
use crate::{Parameters, Result, tape};

/// Pixels (B, C, H, W) → embeddings (B, D), differentiable in the tracked ones of `parameters`, which the layers are over.
///
/// The same embeddings as of all pictures at once, as each depends on its picture alone; of the gradients, the sums are
/// taken in another order.
///
/// # Errors
/// If a tensor operation fails; the backward pass fails if a tracked parameter gets no gradient.
pub(crate) fn embed(layers: &Sequence, parameters: &Parameters, pixels: &Tensor, part: usize) -> Result<Tensor> {
    let parts: Vec<Tensor> = (0..pixels.dim(0)?)
        .step_by(part)
        .map(|first| pixels.narrow(0, first, part.min(pixels.dim(0)? - first)))
        .collect::<candle_core::Result<_>>()?;
    let values = parts.iter().map(|pixels| Ok(normalize(&layers.forward(pixels)?)?.detach()));
    let values = Tensor::cat(&values.collect::<Result<Vec<_>>>()?, 0)?;

    let variables: Vec<(String, Tensor)> = parameters
        .iter()
        .filter(|(_, parameter)| parameter.track_op())
        .map(|(name, parameter)| (name.to_owned(), parameter.clone()))
        .collect();
    let flat = flatten(variables.iter().map(|(_, variable)| variable.clone()))?;
    let layers = layers.clone();
    let back = move |gradient: &Tensor| {
        let mut first = 0;
        let mut total: Option<Tensor> = None;
        for pixels in parts {
            let embeddings = normalize(&layers.forward(&pixels)?).map_err(candle_core::Error::wrap)?;
            let gradient = gradient.narrow(0, first, pixels.dim(0)?)?;
            first += pixels.dim(0)?;
            let of_part = of_variables(&(embeddings * gradient)?.sum_all()?, &variables)?;
            total = Some(match total {
                Some(total) => add_gradients(total, &of_part)?,
                None => of_part,
            });
        }
        total.map_or_else(|| bail!("there are no pictures to differentiate"), Ok)
    };
    Ok(tape::node(&flat, values, Box::new(back))?)
}

/// The gradient of a scalar in all variables, one after another.
fn of_variables(scalar: &Tensor, variables: &[(String, Tensor)]) -> candle_core::Result<Tensor> {
    let mut gradients = scalar.backward()?;
    let of_variables = variables.iter().map(|(name, variable)| match gradients.remove(variable) {
        Some(gradient) => Ok(gradient),
        None => bail!("the embeddings do not depend on the parameter \"{name}\""),
    });
    flatten(of_variables.collect::<candle_core::Result<Vec<_>>>()?.into_iter())
}

/// Tensors as one vector, one after another.
fn flatten(tensors: impl Iterator<Item = Tensor>) -> candle_core::Result<Tensor> {
    let vectors: Vec<Tensor> = tensors.map(|tensor| tensor.flatten_all()).collect::<candle_core::Result<_>>()?;
    Tensor::cat(&vectors, 0)
}
