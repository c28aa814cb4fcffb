//! The way from candle's storages to plain slices and back.

use candle_core::{CpuStorage, DType, Layout, Result, WithDType, bail};

/// Element types that the operations compute in.
pub(crate) trait Real: WithDType {}
impl Real for f32 {}
impl Real for f64 {}

/// The elements of a contiguous tensor.
///
/// # Errors
/// If the tensor is strided; the public functions call `contiguous()` first.
pub(crate) fn slice<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("expected a contiguous tensor, got strides {:?} for shape {:?}", layout.stride(), layout.dims());
    };
    Ok(&T::cpu_storage_as_slice(storage)?[start..end])
}

/// Runs `$body` with `$real` bound to the element type of `$storage`.
macro_rules! with_real {
    ($storage:expr, $real:ident => $body:expr) => {
        match $crate::host::dtype($storage)? {
            candle_core::DType::F64 => {
                type $real = f64;
                $body
            }
            _ => {
                type $real = f32;
                $body
            }
        }
    };
}
pub(crate) use with_real;

/// The element type, if it is one that the operations compute in.
pub(crate) fn dtype(storage: &CpuStorage) -> Result<DType> {
    use candle_core::backend::BackendStorage;
    match storage.dtype() {
        real @ (DType::F32 | DType::F64) => Ok(real),
        other => bail!("operations compute in f32 or f64, got {other:?}; convert with to_dtype first"),
    }
}

/// Defines `cuda_fwd` as: copy to the host, run `cpu_fwd`, copy back.
macro_rules! cuda_through_host {
    ($first:ident $first_layout:ident $(, $storage:ident $layout:ident)*) => {
        fn cuda_fwd(
            &self,
            $first: &candle_core::CudaStorage,
            $first_layout: &candle_core::Layout,
            $($storage: &candle_core::CudaStorage, $layout: &candle_core::Layout,)*
        ) -> candle_core::Result<(candle_core::CudaStorage, candle_core::Shape)> {
            use candle_core::backend::{BackendDevice, BackendStorage};
            let device = $first.device();
            let $first = $first.to_cpu_storage()?;
            $(let $storage = $storage.to_cpu_storage()?;)*
            let (result, shape) = self.cpu_fwd(&$first, $first_layout $(, &$storage, $layout)*)?;
            Ok((device.storage_from_cpu_storage_owned(result)?, shape))
        }
    };
}
pub(crate) use cuda_through_host;
