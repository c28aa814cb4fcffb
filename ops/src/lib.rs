//! Which differentiable operations does candle lack, get wrong or do slowly?
//!
//! Pictures are channels-last, (B, H, W, C), weights as PyTorch's, (O, C, kh, kw), in `f32` or `f64`. Every operation
//! computes a gradient only for the inputs that are tracked, so a network whose weights are detached costs no weight
//! gradients; inside an attack that is a third of the work. Many come in a second form, `…_with_pullback`, which needs no
//! graph: the value, and a [`Pullback`] to the gradient of the first input.
//!
//! ```
//! use candle_core::{Device, Tensor, Var};
//! use holdfast_ops::Conv;
//!
//! let pixels = Var::from_tensor(&Tensor::ones((2, 5, 5, 1), candle_core::DType::F32, &Device::Cpu)?)?;
//! let weight = Tensor::ones((3, 1, 3, 3), candle_core::DType::F32, &Device::Cpu)?;
//! let features = holdfast_ops::conv2d(&pixels, &weight, None, Conv::new(2, 1))?;
//! assert_eq!(features.dims(), [2, 3, 3, 3]); // (B, H', W', O)
//! let gradients = holdfast_ops::relu(&features)?.sum_all()?.backward()?;
//! assert!(gradients.get(&pixels).is_some());
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! | module | operation | why it is not candle's |
//! |---|---|---|
//! | `conv2d` | convolution | candle's input gradient has no matrix product, and fails on odd inputs with stride 2 |
//! | `conv2d_pool_relu` | convolution, 2×2 max pooling, ReLU | the large tensors between the three never leave the cache |
//! | `affine` | scale and shift per channel; with ReLU; with a residual and ReLU | one pass over memory instead of two to four |
//! | `relu` | ReLU, ReLU6 | candle's derivative at 0 is 1 |
//! | `add_relu` | addition, ReLU | one pass over memory instead of two |
//! | `max_pool` | max pooling | candle divides the gradient by the window's size and knows no overlap |
//! | `avg_pool` | average pooling, over windows and over all pixels | candle's gradient knows no overlap, its sums no threads |
//! | `batch_norm` | batch normalization by the batch's own statistics | candle differentiates it in many passes on one thread |
//! | `layer_norm` | layer normalization | `candle_nn`'s has no gradient |
//! | `l2_normalize` | rows of unit length | candle's gradient of a row of zeros is NaN |
//! | `gelu` | GELU, by the error function or by tanh | one pass over memory, on all threads |
//! | `softmax` | softmax over the last axis | `candle_nn`'s has no gradient |
//! | `attention` | scaled dot-product attention | candle keeps the weights of all heads |
//! | `upsample` | nearest, bilinear and bicubic interpolation | candle's gradients are wrong or absent |
//! | `layout` | (B, C, H, W) ↔ (B, H, W, C) | candle's copies know no blocks and no threads |
//! | `linear` | linear layer | candle's matmul always computes the weight gradient |
//! | `distance_matrix` | distances between rows | candle's chain is single-threaded, and NaN where points coincide |
//! | `distance_loss` | a loss of such distances, with its gradient | as a chain, it makes a dozen large tensors |
//! | `scalar` | a scalar that came with its gradient | candle derives every gradient itself |
//! | `pgd` | a step of projected gradient descent | as a chain, it makes seven tensors, on one thread |
//! | `adam` | a step of Adam | as a chain, it makes a dozen tensors, on one thread |
//! | `find` | the first element with a property | candle has no search |
//!
//! Beside them stand the updates that training and attacks make in place of chains of tensor operations:
//! [`adam_step`] and [`PgdStep`].
//!
//! With the feature `cuda`, operations have kernels for NVIDIA GPUs as well, which take `bf16` too: see the module `cuda`.
//! They compile, and have never been run. The distance matrix and the scalars still copy through the host.

mod adam;
mod add_relu;
mod affine;
mod aligned;
mod attention;
mod avg_pool;
mod batch_norm;
mod bias;
mod conv2d;
mod conv_pool_relu;
#[cfg(feature = "cuda")]
mod cuda;
mod distance_loss;
mod distance_matrix;
mod elementary;
mod find;
mod fresh;
mod gelu;
mod host;
mod l2_normalize;
mod layer_norm;
mod layout;
mod linear;
mod math;
mod matrix;
mod max_pool;
mod memory;
mod panel;
mod pgd;
mod pooling;
mod pullback;
mod pullbacks;
mod reduce;
mod relu;
mod resampling;
mod rows;
mod scalar;
pub mod simd;
mod small_product;
mod softmax;
mod tile;
mod upsample;
mod weight;
mod window;
mod winners;

pub use adam::{AdamMoments, AdamRates, adam_step};
pub use add_relu::{add_relu, add_relu_with_pullback};
pub use affine::{
    affine, affine_add_relu, affine_add_relu_with_pullback, affine_relu, affine_relu_with_pullback,
    affine_with_pullback,
};
pub use attention::{attention, attention_with_pullback};
pub use avg_pool::{avg_pool2d, avg_pool2d_with_pullback, global_avg_pool, global_avg_pool_with_pullback};
pub use batch_norm::{BatchNorm, batch_norm, batch_norm_with_pullback};
pub use conv_pool_relu::{conv2d_pool_relu, conv2d_pool_relu_with_pullback};
pub use conv2d::{Conv, conv2d, conv2d_with_pullback};
pub use distance_loss::{DistanceLoss, Points, distance_loss};
pub use distance_matrix::distance_matrix;
pub use find::find;
pub use gelu::{gelu, gelu_tanh, gelu_tanh_with_pullback, gelu_with_pullback};
pub use l2_normalize::{l2_normalize, l2_normalize_with_pullback};
pub use layer_norm::{layer_norm, layer_norm_with_pullback};
pub use layout::{channels_first, channels_first_with_pullback, channels_last, channels_last_with_pullback};
pub use linear::{linear, linear_with_pullback};
pub use math::Math;
pub use max_pool::{max_pool2d, max_pool2d_with_pullback};
pub use memory::keep_freed_memory;
pub use pgd::PgdStep;
pub use pullback::{Pullback, add_gradients, with_pullback};
pub use pullbacks::Pullbacks;
pub use relu::{relu, relu_with_pullback, relu6, relu6_with_pullback};
pub use scalar::scalar_of;
pub use softmax::{softmax, softmax_with_pullback};
pub use upsample::{
    upsample_bicubic2d, upsample_bicubic2d_with_pullback, upsample_bilinear2d, upsample_bilinear2d_with_pullback,
    upsample_nearest2d, upsample_nearest2d_with_pullback,
};
pub use weight::Weight;
