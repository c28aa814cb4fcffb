//! The way from candle's storages to plain slices and back.

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Kernel, Level, Portable, level};
use candle_core::{CpuStorage, DType, Device, Layout, Result, Storage, Tensor, WithDType, bail};

/// Element types that the operations compute in.
pub(crate) trait Real: WithDType {
    /// Runs a kernel in an instruction set that this processor has.
    fn run_at<K: Kernel<Self>>(level: Level, kernel: K) -> K::Output;
}

macro_rules! real {
    ($real:ty) => {
        impl Real for $real {
            fn run_at<K: Kernel<Self>>(level: Level, kernel: K) -> K::Output {
                match level {
                    #[cfg(target_arch = "x86_64")]
                    #[expect(unsafe_code, reason = "the caller vouches for the instruction set")]
                    // SAFETY: `level` is one that the processor was found to run.
                    Level::Avx512 => unsafe { Avx512::run(kernel) },
                    #[cfg(target_arch = "x86_64")]
                    #[expect(unsafe_code, reason = "the caller vouches for the instruction set")]
                    // SAFETY: as above.
                    Level::Avx2 => unsafe { Avx2::run(kernel) },
                    _ => kernel.run(Portable),
                }
            }
        }
    };
}
real!(f32);
real!(f64);

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

/// Shows the elements of a tensor, row-major, to `look`; copies only what is strided or lies on another device.
///
/// # Errors
/// If the element type is not `T`, or a copy fails.
pub(crate) fn read<T: Real, R>(tensor: &Tensor, look: impl FnOnce(&[T]) -> R) -> Result<R> {
    let tensor = tensor.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(look(slice(storage, layout)?)),
        _ => bail!("a tensor that was copied to the host is not there. This is a bug."),
    }
}

/// The storage of a new tensor.
pub(crate) fn storage<T: Real>(elements: Vec<T>) -> CpuStorage {
    T::to_cpu_storage_owned(elements)
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

/// The element type, if it is one that the operations compute in. Every operation asks, so a bad forced instruction set is
/// told here.
pub(crate) fn dtype(storage: &CpuStorage) -> Result<DType> {
    use candle_core::backend::BackendStorage;
    level()?;
    match storage.dtype() {
        real @ (DType::F32 | DType::F64) => Ok(real),
        other => bail!("operations compute in f32 or f64, got {other:?}; convert with to_dtype first"),
    }
}

/// Copies CUDA storages to the host, runs `cpu_fwd`, and copies its result back.
#[cfg(feature = "cuda")]
macro_rules! through_host {
    ($this:expr, $first:ident $first_layout:ident $(, $storage:ident $layout:ident)*) => {{
        use candle_core::backend::{BackendDevice, BackendStorage};
        let device = $first.device();
        let $first = $first.to_cpu_storage()?;
        $(let $storage = $storage.to_cpu_storage()?;)*
        let (result, shape) = $this.cpu_fwd(&$first, $first_layout $(, &$storage, $layout)*)?;
        Ok((device.storage_from_cpu_storage_owned(result)?, shape))
    }};
}
#[cfg(feature = "cuda")]
pub(crate) use through_host;

/// Defines `cuda_fwd` for an operation that has no kernel: it runs on the host.
macro_rules! cuda_through_host {
    ($($storage:ident $layout:ident),+) => {
        #[cfg(feature = "cuda")]
        fn cuda_fwd(
            &self,
            $($storage: &candle_core::CudaStorage, $layout: &candle_core::Layout,)+
        ) -> candle_core::Result<(candle_core::CudaStorage, candle_core::Shape)> {
            $crate::host::through_host!(self, $($storage $layout),+)
        }
    };
}
pub(crate) use cuda_through_host;

/// Defines `cuda_fwd` as a call into `crate::cuda`, which gives a result, or `None` for an element type that it has no
/// kernel for: then the operation runs on the host.
macro_rules! cuda_kernel {
    ($this:ident, $($storage:ident $layout:ident),+ => $kernel:expr) => {
        #[cfg(feature = "cuda")]
        fn cuda_fwd(
            &$this,
            $($storage: &candle_core::CudaStorage, $layout: &candle_core::Layout,)+
        ) -> candle_core::Result<(candle_core::CudaStorage, candle_core::Shape)> {
            match $kernel?.into() {
                Some(result) => Ok(result),
                None => $crate::host::through_host!($this, $($storage $layout),+),
            }
        }
    };
}
pub(crate) use cuda_kernel;
