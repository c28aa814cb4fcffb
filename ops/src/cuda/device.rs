//! The way from candle's storages to kernels and back.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, CudaView, DeviceRepr, LaunchArgs, LaunchConfig, PushKernelArg, ValidAsZeroBits,
};
use candle_core::cuda_backend::{CudaDType, CudaDevice};
use candle_core::{CudaStorage, Layout, Result, Shape, WithDType, bail};
use half::bf16;
use std::sync::Arc;

/// One argument of an operation, as candle hands it over.
pub(crate) type Operand<'a> = (&'a CudaStorage, &'a Layout);

/// What an operation gives back to candle.
pub(crate) type Output = (CudaStorage, Shape);

/// Element types that the kernels take.
pub(super) trait Number: WithDType + CudaDType + DeviceRepr + ValidAsZeroBits {
    /// The last part of the kernels' names.
    const SUFFIX: &'static str;

    /// The type in which kernels compute and sum.
    type Wide: CudaDType + DeviceRepr;
}

impl Number for f32 {
    const SUFFIX: &'static str = "f32";
    type Wide = Self;
}

impl Number for f64 {
    const SUFFIX: &'static str = "f64";
    type Wide = Self;
}

impl Number for bf16 {
    const SUFFIX: &'static str = "bf16";
    type Wide = f32;
}

/// Runs `$body` with `$number` bound to the element type of `$operand`.
macro_rules! with_number {
    ($operand:expr, $number:ident => $body:expr) => {
        match candle_core::backend::BackendStorage::dtype($operand.0) {
            candle_core::DType::F32 => {
                type $number = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $number = f64;
                $body
            }
            candle_core::DType::BF16 => {
                type $number = half::bf16;
                $body
            }
            other => candle_core::bail!("operations on a GPU compute in f32, f64 or bf16, got {other:?}"),
        }
    };
}
pub(super) use with_number;

/// The elements of a contiguous tensor.
///
/// # Errors
/// If the tensor is strided, or of another type.
pub(super) fn elements<'a, T: Number>((storage, layout): Operand<'a>) -> Result<CudaView<'a, T>> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("expected a contiguous tensor, got strides {:?} for shape {:?}", layout.stride(), layout.dims());
    };
    Ok(storage.as_cuda_slice::<T>()?.slice(start..end))
}

/// An array on the device, lent or made for the occasion.
pub(super) enum Array<'a, T> {
    Lent(CudaView<'a, T>),
    Made(CudaSlice<T>),
}

impl<T> Array<'_, T> {
    pub(super) fn view(&self) -> CudaView<'_, T> {
        match self {
            Self::Lent(view) => view.slice(..),
            Self::Made(values) => values.as_view(),
        }
    }
}

/// The elements of a contiguous tensor at an address that cuDNN's kernels can load vectors from; a copy, where the tensor
/// is part of a larger one and starts in between.
pub(super) fn aligned_elements<'a, T: Number>((storage, layout): Operand<'a>) -> Result<Array<'a, T>> {
    const VECTOR_BYTES: usize = 16;
    let values = elements::<T>((storage, layout))?;
    if (layout.start_offset() * size_of::<T>()).is_multiple_of(VECTOR_BYTES) {
        return Ok(Array::Lent(values));
    }
    Ok(Array::Made(storage.device().cuda_stream().clone_dtod(&values)?))
}

/// Memory for a result, as yet without values.
pub(super) fn unwritten<T: DeviceRepr>(device: &CudaDevice, count: usize) -> Result<CudaSlice<T>> {
    #[expect(unsafe_code, reason = "memory without values is unsafe to hand out")]
    // SAFETY: it holds plain numbers, for which every bit pattern is a value, and each caller launches the kernel that
    // writes all elements on the device's one stream before any reader can be queued there.
    unsafe {
        device.alloc::<T>(count)
    }
}

/// A result for candle.
pub(super) fn output<T: Number>(values: CudaSlice<T>, device: &CudaDevice, shape: impl Into<Shape>) -> Output {
    (CudaStorage::wrap_cuda_slice(values, device.clone()), shape.into())
}

/// A compiled file of kernels.
#[derive(Clone, Copy)]
pub(super) struct Source {
    name: &'static str,
    ptx: &'static str,
}

/// The compiled form of `kernels/$name.cu`.
macro_rules! source {
    ($name:literal) => {
        $crate::cuda::device::Source::new(
            concat!("holdfast-", $name),
            include_str!(concat!(env!("OUT_DIR"), "/", $name, ".ptx")),
        )
    };
}
pub(super) use source;

impl Source {
    pub(super) const fn new(name: &'static str, ptx: &'static str) -> Self {
        Self { name, ptx }
    }

    /// The kernel `name` for elements of type `T`; the device keeps what it has loaded.
    pub(super) fn kernel<T: Number>(&self, device: &CudaDevice, name: &str) -> Result<Loaded> {
        let function = device.get_or_load_custom_func(&format!("{name}_{}", T::SUFFIX), self.name, self.ptx)?;
        Ok(Loaded { function: function.into_cuda_function(), stream: device.cuda_stream() })
    }
}

/// A kernel on a device.
pub(super) struct Loaded {
    function: CudaFunction,
    stream: Arc<CudaStream>,
}

impl Loaded {
    /// A call that still lacks its arguments, on the device's stream.
    pub(super) fn builder(&self) -> LaunchArgs<'_> {
        self.stream.launch_builder(&self.function)
    }
}

/// Threads of one block, where a block has no shape of its own.
const THREADS: u32 = 256;

/// One thread an element, and the number of elements as kernels take it.
///
/// # Errors
/// If there are more elements than the kernels' indices reach.
pub(super) fn one_thread_each(count: usize) -> Result<(LaunchConfig, u32)> {
    let count = index(count)?;
    let grid_dim = (count.div_ceil(THREADS).max(1), 1, 1);
    Ok((LaunchConfig { grid_dim, block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }, count))
}

/// A size as kernels take it. cuDNN's limit is the same.
pub(super) fn index(size: usize) -> Result<u32> {
    match i32::try_from(size) {
        Ok(size) => Ok(size.unsigned_abs()),
        Err(_) => bail!("a tensor on a GPU holds at most {} elements here, got {size}; use a smaller batch", i32::MAX),
    }
}

/// The device of an operand.
pub(super) fn device_of<'a>((storage, _): Operand<'a>) -> &'a CudaDevice {
    storage.device()
}

/// A kernel by its file and name.
pub(super) type Kernel = (Source, &'static str);

/// The result, of `count` elements, of a kernel that computes each from `inputs`; an absent input is a null pointer.
///
/// The kernel's parameters must be, in this order: the inputs, the result, the number of its elements; and the inputs as
/// large as the kernel reads them for that many results.
pub(super) fn map<T: Number>(
    device: &CudaDevice,
    kernel: Kernel,
    inputs: &[Option<&CudaView<'_, T>>],
    count: usize,
) -> Result<CudaSlice<T>> {
    launch_map(device, kernel, inputs, None::<&u32>, count)
}

/// [`map`] of a kernel that takes settings between the result and the number of its elements.
pub(super) fn map_with<T: Number, S: DeviceRepr>(
    device: &CudaDevice,
    kernel: Kernel,
    inputs: &[Option<&CudaView<'_, T>>],
    settings: &S,
    count: usize,
) -> Result<CudaSlice<T>> {
    launch_map(device, kernel, inputs, Some(settings), count)
}

fn launch_map<T: Number, S: DeviceRepr>(
    device: &CudaDevice,
    (source, name): Kernel,
    inputs: &[Option<&CudaView<'_, T>>],
    settings: Option<&S>,
    count: usize,
) -> Result<CudaSlice<T>> {
    let mut result = unwritten::<T>(device, count)?;
    let (grid, count) = one_thread_each(count)?;
    let kernel = source.kernel::<T>(device, name)?;
    let mut call = kernel.builder();
    for input in inputs {
        match input {
            Some(view) => call.arg(*view),
            None => call.arg(&NULL),
        };
    }
    call.arg(&mut result);
    if let Some(settings) = settings {
        call.arg(settings);
    }
    call.arg(&count);
    #[expect(unsafe_code, reason = "kernels take raw pointers")]
    // SAFETY: the callers in this folder pass what the kernel's parameters are, which its file shows, and have checked
    // the shapes of the inputs against that of the result; a kernel of this kind writes `count` elements.
    unsafe { call.launch(grid) }?;
    Ok(result)
}

/// A pointer to nothing, as a kernel's argument.
pub(super) const NULL: usize = 0;
