//! The operations on NVIDIA GPUs: cuDNN's convolutions, cuBLAS' matrix products, and kernels of our own for the rest.
//!
//! **Never run.** All of this compiles; it has not been linked into a program, and no machine with a GPU was at hand yet. `tests/cuda.rs` compares every
//! operation with the CPU's as soon as there is one.
//!
//! Each function here is the `cuda_fwd` of one operation, in its layout (channels last) and with its rules; gradients
//! are sums in a fixed order, without atomic additions, except for those of cuDNN. Elements are `f32`, `f64` (convolution through
//! the host) or `bf16`, which is summed in `f32`.

mod attention;
mod batch_norm;
mod conv2d;
mod conv_pool_relu;
mod cudnn;
mod depthwise;
mod device;
mod linear;
mod pointwise;
mod pool;
mod rows;
mod sums;
mod transpose;
mod update;
mod upsample;

pub(crate) use attention::{attention, attention_gradient};
pub(crate) use batch_norm::{
    batch_norm, batch_norm_gradient, batch_norm_gradient_of_parameters, batch_norm_statistics,
};
pub(crate) use conv_pool_relu::{
    forward as conv_pool_relu, gradient_of_input as conv_pool_relu_gradient_of_input,
    gradient_of_weight as conv_pool_relu_gradient_of_weight,
};
pub(crate) use conv2d::{
    forward as conv2d, gradient_of_input as conv2d_gradient_of_input, gradient_of_weight as conv2d_gradient_of_weight,
};
pub(crate) use linear::{
    forward as linear, gradient_of_input as linear_gradient_of_input, gradient_of_weight as linear_gradient_of_weight,
};
pub(crate) use pointwise::{
    add_relu, affine, affine_gradient, gelu, gelu_gradient, gelu_tanh, gelu_tanh_gradient, relu, relu_gradient, relu6,
    relu6_gradient,
};
pub(crate) use pool::{
    avg_pool, avg_pool_gradient, global_avg_pool, global_avg_pool_gradient, max_pool, max_pool_gradient,
};
pub(crate) use rows::{
    l2_normalize, l2_normalize_gradient, layer_norm, layer_norm_gradient, layer_norm_gradient_of_parameters, softmax,
    softmax_gradient,
};
pub(crate) use sums::{sum_per_channel, sums_per_channel};
pub(crate) use transpose::{channels_first, channels_last};
pub(crate) use update::{adam_step, pgd_step};
pub(crate) use upsample::upsample;
