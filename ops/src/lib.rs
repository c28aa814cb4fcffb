//! Which differentiable operations does candle lack, get wrong or do slowly?
//!
//! Tensors are NCHW, in `f32` or `f64`. Every operation computes a gradient only for the inputs that are tracked, so a
//! network whose weights are detached costs no weight gradients; inside an attack that is a third of the work.
//!
//! ```
//! use candle_core::{Device, Tensor, Var};
//!
//! let pixels = Var::from_tensor(&Tensor::ones((2, 1, 5, 5), candle_core::DType::F32, &Device::Cpu)?)?;
//! let weight = Tensor::ones((3, 1, 3, 3), candle_core::DType::F32, &Device::Cpu)?;
//! let features = holdfast_ops::conv2d(&pixels, &weight, None, 2, 1)?;
//! assert_eq!(features.dims(), [2, 3, 3, 3]);
//! let gradients = holdfast_ops::relu(&features)?.sum_all()?.backward()?;
//! assert!(gradients.get(&pixels).is_some());
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! | module | operation | why it is not candle's |
//! |---|---|---|
//! | `conv2d` | convolution | candle's input gradient has no matrix product, and fails on odd inputs with stride 2 |
//! | `conv2d_pool_relu` | convolution, 2×2 max pooling, ReLU | the large tensors between the three never leave the cache |
//! | `max_pool2d` | max pooling | candle divides the gradient by the window's size and knows no overlap |
//! | `relu` | ReLU | candle's derivative at 0 is 1 |
//! | `linear` | linear layer | candle's matmul always computes the weight gradient |
//!
//! The arithmetic runs on the CPU. Tensors on another device are copied there and back: right, but slow.

mod bias;
mod conv2d;
mod conv_pool_relu;
mod host;
mod linear;
mod matrix;
mod pool;
mod relu;
mod window;

pub use conv_pool_relu::conv2d_pool_relu;
pub use conv2d::conv2d;
pub use linear::linear;
pub use pool::max_pool2d;
pub use relu::relu;
