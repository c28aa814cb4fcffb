//! cuDNN's convolutions: one handle a device and thread, one plan a shape.

use super::device::{Number, index};
use crate::{Conv, Math};
use candle_core::cuda_backend::cudarc::cudnn::sys::{
    cudnnConvolutionBwdDataAlgo_t, cudnnConvolutionBwdFilterAlgo_t, cudnnConvolutionFwdAlgo_t, cudnnConvolutionMode_t,
    cudnnMathType_t, cudnnTensorFormat_t,
};
use candle_core::cuda_backend::cudarc::cudnn::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnDataType, FilterDescriptor,
    TensorDescriptor,
};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView};
use candle_core::cuda_backend::{CudaDevice, DeviceId};
use candle_core::{Result, Shape, bail};
use half::bf16;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// The sizes of one convolution: everything that a plan depends on, but for the arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: usize,
    pub(super) outputs: usize,
    pub(super) kernel_height: usize,
    pub(super) kernel_width: usize,
    pub(super) conv: Conv,
}

impl Sizes {
    /// Of x (B, H, W, C) under a weight (O, C / groups, kh, kw).
    ///
    /// # Errors
    /// If they do not fit together.
    pub(super) fn new(conv: Conv, x: &Shape, weight: &Shape) -> Result<Self> {
        let ((batch, height, width, channels), (outputs, inputs, kernel_height, kernel_width)) =
            (x.dims4()?, weight.dims4()?);
        let Conv { stride, padding, groups } = conv;
        if stride == 0 || groups == 0 || inputs * groups != channels || outputs % groups != 0 {
            bail!(
                "conv2d: x has {channels} channels, the weight (O, C / groups, kh, kw) is {weight:?}, with stride {stride} and {groups} groups"
            );
        }
        if height + 2 * padding < kernel_height || width + 2 * padding < kernel_width {
            bail!(
                "conv2d: a {kernel_height}×{kernel_width} kernel does not fit {height}×{width} pixels with padding {padding}"
            );
        }
        Ok(Self { batch, height, width, channels, outputs, kernel_height, kernel_width, conv })
    }

    /// Of the result.
    pub(super) fn out_height(&self) -> usize {
        (self.height + 2 * self.conv.padding - self.kernel_height) / self.conv.stride + 1
    }

    /// Of the result.
    pub(super) fn out_width(&self) -> usize {
        (self.width + 2 * self.conv.padding - self.kernel_width) / self.conv.stride + 1
    }

    /// Elements of the result (B, H', W', O).
    pub(super) fn out_len(&self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.outputs
    }

    /// # Errors
    /// If an upstream gradient of `len` elements is not of the result's size.
    pub(super) fn expect_upstream(&self, len: usize) -> Result<()> {
        if len != self.out_len() {
            bail!("conv2d: the upstream gradient has {len} elements, the result {}", self.out_len());
        }
        Ok(())
    }

    /// Elements of the weight.
    pub(super) fn weight_len(&self) -> usize {
        self.outputs * (self.channels / self.conv.groups) * self.kernel_height * self.kernel_width
    }
}

/// Element types that cuDNN convolves channels-last; sums are `f32`.
pub(super) trait Convolved: Number + CudnnDataType {
    fn plans(handle: &Handle) -> &Plans<Self>;

    /// One and zero, in this order.
    const UNITS: (Self, Self);

    /// The arithmetic that cuDNN may choose from.
    fn arithmetic(math: Math) -> cudnnMathType_t;
}

impl Convolved for f32 {
    fn plans(handle: &Handle) -> &Plans<Self> {
        &handle.single
    }

    const UNITS: (Self, Self) = (1.0, 0.0);

    /// cuDNN's default includes TF32 on GPUs that have it; only the plain multiply-adds are `f32` throughout.
    fn arithmetic(math: Math) -> cudnnMathType_t {
        match math {
            Math::Exact => cudnnMathType_t::CUDNN_FMA_MATH,
            Math::Tf32 => cudnnMathType_t::CUDNN_DEFAULT_MATH,
        }
    }
}

impl Convolved for bf16 {
    fn plans(handle: &Handle) -> &Plans<Self> {
        &handle.brain
    }

    const UNITS: (Self, Self) = (bf16::ONE, bf16::ZERO);

    fn arithmetic(_: Math) -> cudnnMathType_t {
        cudnnMathType_t::CUDNN_TENSOR_OP_MATH
    }
}

type Plans<T> = RefCell<HashMap<(Sizes, Math), Rc<Plan<T>>>>;

/// cuDNN on one device, as one thread sees it, and the plans made so far.
pub(super) struct Handle {
    cudnn: Arc<Cudnn>,
    single: Plans<f32>,
    brain: Plans<bf16>,
}

thread_local! {
    // cuDNN's handles may not be shared between threads.
    static HANDLES: RefCell<HashMap<DeviceId, Rc<Handle>>> = RefCell::default();
}

/// The plan for a convolution, made on its first use.
pub(super) fn plan<T: Convolved>(device: &CudaDevice, sizes: Sizes) -> Result<Rc<Plan<T>>> {
    let handle = handle(device)?;
    let key = (sizes, Math::current());
    if let Some(plan) = T::plans(&handle).borrow().get(&key) {
        return Ok(plan.clone());
    }
    let plan = Rc::new(Plan::new(&handle.cudnn, sizes, key.1)?);
    T::plans(&handle).borrow_mut().insert(key, plan.clone());
    Ok(plan)
}

fn handle(device: &CudaDevice) -> Result<Rc<Handle>> {
    HANDLES.with_borrow_mut(|handles| {
        if let Some(handle) = handles.get(&device.id()) {
            return Ok(handle.clone());
        }
        let cudnn = Cudnn::new(device.cuda_stream())?;
        let handle = Rc::new(Handle { cudnn, single: RefCell::default(), brain: RefCell::default() });
        handles.insert(device.id(), handle.clone());
        Ok(handle)
    })
}

/// A convolution of fixed sizes: its descriptors, and for each direction, once used, the algorithm that cuDNN's
/// heuristics prefer and the bytes of memory that it works in.
pub(super) struct Plan<T> {
    x: TensorDescriptor<T>,
    /// In the order O, kh, kw, C / groups.
    weight: FilterDescriptor<T>,
    y: TensorDescriptor<T>,
    conv: ConvDescriptor<f32>,
    forward: OnceCell<(cudnnConvolutionFwdAlgo_t, usize)>,
    to_input: OnceCell<(cudnnConvolutionBwdDataAlgo_t, usize)>,
    to_weight: OnceCell<(cudnnConvolutionBwdFilterAlgo_t, usize)>,
}

impl<T: Convolved> Plan<T> {
    fn new(cudnn: &Arc<Cudnn>, sizes: Sizes, math: Math) -> Result<Self> {
        const LAST: cudnnTensorFormat_t = cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;
        let Sizes { batch, height, width, channels, outputs, kernel_height, kernel_width, conv } = sizes;
        index(batch * height * width * channels)?;
        index(sizes.out_len())?;
        // cuDNN counts the axes as N, C, H, W whatever their order in memory.
        let x = cudnn.create_4d_tensor(LAST, ints([batch, channels, height, width])?)?;
        let y = cudnn.create_4d_tensor(LAST, ints([batch, outputs, sizes.out_height(), sizes.out_width()])?)?;
        let weight =
            cudnn.create_4d_filter(LAST, ints([outputs, channels / conv.groups, kernel_height, kernel_width])?)?;
        let correlation = cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
        let mut descriptor =
            cudnn.create_conv2d(ints([conv.padding; 2])?, ints([conv.stride; 2])?, [1; 2], correlation)?;
        descriptor.set_group_count(ints([conv.groups])?[0])?;
        descriptor.set_math_type(T::arithmetic(math))?;
        let (forward, to_input, to_weight) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Ok(Self { x, weight, y, conv: descriptor, forward, to_input, to_weight })
    }

    /// y ← x convolved with the weight (O, kh, kw, C / groups). Sizes are the plan's.
    pub(super) fn forward(
        &self,
        device: &CudaDevice,
        x: &CudaView<'_, T>,
        weight: &CudaView<'_, T>,
        y: &mut CudaSlice<T>,
    ) -> Result<()> {
        let call = ConvForward { conv: &self.conv, x: &self.x, w: &self.weight, y: &self.y };
        let choose = || {
            let algorithm = call.pick_algorithm()?;
            Ok((algorithm, call.get_workspace_size(algorithm)?))
        };
        let (algorithm, bytes) = once(&self.forward, choose)?;
        let mut workspace = workspace(device, bytes)?;
        #[expect(unsafe_code, reason = "cuDNN takes raw pointers")]
        // SAFETY: `super::conv2d` passes contiguous arrays of the sizes and the order that the descriptors were made
        // from, and the workspace is as large as the algorithm asked for.
        unsafe { call.launch(algorithm, workspace.as_mut(), T::UNITS, x, weight, y) }?;
        Ok(())
    }

    /// x ← the gradient of the input, from g, that of the result, and the weight.
    pub(super) fn gradient_of_input(
        &self,
        device: &CudaDevice,
        g: &CudaView<'_, T>,
        weight: &CudaView<'_, T>,
        x: &mut CudaSlice<T>,
    ) -> Result<()> {
        let call = ConvBackwardData { conv: &self.conv, dx: &self.x, w: &self.weight, dy: &self.y };
        let choose = || {
            let algorithm = call.pick_algorithm()?;
            Ok((algorithm, call.get_workspace_size(algorithm)?))
        };
        let (algorithm, bytes) = once(&self.to_input, choose)?;
        let mut workspace = workspace(device, bytes)?;
        #[expect(unsafe_code, reason = "cuDNN takes raw pointers")]
        // SAFETY: as in `forward`.
        unsafe { call.launch(algorithm, workspace.as_mut(), T::UNITS, x, weight, g) }?;
        Ok(())
    }

    /// weight ← the gradient of the weight (O, kh, kw, C / groups), from g, that of the result, and the input.
    pub(super) fn gradient_of_weight(
        &self,
        device: &CudaDevice,
        g: &CudaView<'_, T>,
        x: &CudaView<'_, T>,
        weight: &mut CudaSlice<T>,
    ) -> Result<()> {
        let call = ConvBackwardFilter { conv: &self.conv, x: &self.x, dw: &self.weight, dy: &self.y };
        let choose = || {
            let algorithm = call.pick_algorithm()?;
            Ok((algorithm, call.get_workspace_size(algorithm)?))
        };
        let (algorithm, bytes) = once(&self.to_weight, choose)?;
        let mut workspace = workspace(device, bytes)?;
        #[expect(unsafe_code, reason = "cuDNN takes raw pointers")]
        // SAFETY: as in `forward`.
        unsafe { call.launch(algorithm, workspace.as_mut(), T::UNITS, x, weight, g) }?;
        Ok(())
    }
}

/// What is in the cell, chosen and put there if it is empty. (`OnceCell::get_or_try_init` is not stable.)
fn once<C: Copy>(cell: &OnceCell<C>, choose: impl FnOnce() -> Result<C>) -> Result<C> {
    match cell.get() {
        Some(chosen) => Ok(*chosen),
        None => choose().map(|chosen| *cell.get_or_init(|| chosen)),
    }
}

/// Memory for one call, from the device's pool.
fn workspace(device: &CudaDevice, bytes: usize) -> Result<Option<CudaSlice<u8>>> {
    (bytes > 0).then(|| super::device::unwritten(device, bytes)).transpose()
}

fn ints<const N: usize>(sizes: [usize; N]) -> Result<[i32; N]> {
    let mut ints = [0; N];
    for (int, size) in ints.iter_mut().zip(sizes) {
        *int = index(size)?.cast_signed();
    }
    Ok(ints)
}
