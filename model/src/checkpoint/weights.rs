//! Parameters ↔ the bytes of `weights.safetensors`: f32, named as in PyTorch.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::CheckpointError;
use crate::{Parameters, Result};

/// Longest header that is parsed. A parameter takes about 100 bytes of it, so this is room for 10,000.
const MAX_HEADER_BYTES: u64 = 1 << 20;

/// The longest file that can hold parameters of these shapes.
pub(super) fn max_file_bytes(shapes: &BTreeMap<String, Vec<usize>>) -> u64 {
    let values = |shape: &Vec<usize>| shape.iter().fold(1_u64, |product, &side| product.saturating_mul(side as u64));
    let total = shapes.values().map(values).fold(0_u64, u64::saturating_add);
    total.saturating_mul(4).saturating_add(8 + MAX_HEADER_BYTES)
}

/// The file's bytes. `path` is where they will be, for messages.
pub(super) fn to_bytes(parameters: &Parameters, path: &Path) -> Result<Vec<u8>> {
    let mut flat = Vec::with_capacity(parameters.len());
    for (name, tensor) in parameters.iter() {
        let values = tensor.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        require_finite(&values, name, path)?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        flat.push((name, tensor.dims().to_vec(), bytes));
    }
    let mut views = Vec::with_capacity(flat.len());
    for (name, shape, bytes) in &flat {
        views.push((*name, TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| broken(path, e))?));
    }
    Ok(safetensors::serialize(views, None).map_err(|source| broken(path, source))?)
}

/// The parameters in a file's bytes, as f32 on the CPU, which must be exactly those of `shapes`.
pub(super) fn from_bytes(
    bytes: &[u8],
    shapes: &BTreeMap<String, Vec<usize>>,
    path: &Path,
) -> Result<BTreeMap<String, Tensor>> {
    check_header(bytes, path)?;
    let file = SafeTensors::deserialize(bytes).map_err(|source| broken(path, source))?;
    if let Some(name) = file.names().into_iter().find(|name| !shapes.contains_key(*name)) {
        return Err(CheckpointError::UnexpectedParameter { path: path.into(), name: name.into() }.into());
    }
    let mut parameters = BTreeMap::new();
    for (name, shape) in shapes {
        let missing = |_| CheckpointError::MissingParameter { path: path.into(), name: name.clone() };
        let values = read_values(&file.tensor(name).map_err(missing)?, name, shape, path)?;
        parameters.insert(name.clone(), Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?);
    }
    Ok(parameters)
}

fn check_header(bytes: &[u8], path: &Path) -> Result<(), CheckpointError> {
    // A file without room for the length is left to the parser, which says so.
    let Some(length) = bytes.first_chunk::<8>() else { return Ok(()) };
    let bytes = u64::from_le_bytes(*length);
    if bytes > MAX_HEADER_BYTES {
        return Err(CheckpointError::HeaderTooLong { path: path.into(), bytes, max_bytes: MAX_HEADER_BYTES });
    }
    Ok(())
}

fn read_values(view: &TensorView, name: &str, shape: &[usize], path: &Path) -> Result<Vec<f32>, CheckpointError> {
    let (path_buf, name_string) = (path.to_path_buf(), name.to_string());
    if view.dtype() != Dtype::F32 {
        let found = view.dtype().to_string();
        return Err(CheckpointError::ParameterType { path: path_buf, name: name_string, found });
    }
    if view.shape() != shape {
        let (expected, found) = (shape.to_vec(), view.shape().to_vec());
        return Err(CheckpointError::ParameterShape { path: path_buf, name: name_string, expected, found });
    }
    let (quadruples, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = quadruples.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    require_finite(&values, name, path)?;
    Ok(values)
}

fn require_finite(values: &[f32], name: &str, path: &Path) -> Result<(), CheckpointError> {
    let Some(position) = values.iter().position(|value| !value.is_finite()) else { return Ok(()) };
    Err(CheckpointError::NotFinite { path: path.into(), name: name.into(), position, value: values[position] })
}

fn broken(path: &Path, source: safetensors::SafeTensorError) -> CheckpointError {
    CheckpointError::Safetensors { path: path.into(), source }
}
