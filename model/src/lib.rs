//! What is this picture, as a vector, and how good are such vectors?
//!
//! Pixels become embeddings here and nowhere else: [`pixels`] decodes and resizes, an [`EmbeddingNet`] embeds,
//! [`pretrained`] starts one from published weights,
//! [`checkpoint`] keeps it, [`metrics`] measures it. This crate knows nothing of attacks, training or servers.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use holdfast_model::{Embedder, EmbeddingNet};
//! use rand::SeedableRng;
//!
//! let rng = &mut rand_chacha::ChaCha8Rng::seed_from_u64(1);
//! let net = EmbeddingNet::init("c2f2", &Device::Cpu, DType::F32, rng)?;
//! let pixels = Tensor::zeros((2, 1, 28, 28), DType::F32, &Device::Cpu)?;
//! assert_eq!(net.embed(&pixels)?.dims(), [2, 512]);
//! # Ok::<(), holdfast_model::Error>(())
//! ```

pub mod atomic;
pub mod backbone;
mod batch_norm;
mod card;
pub mod checkpoint;
pub mod device;
pub mod distance;
mod embedder;
mod embedding_set;
mod error;
mod layer;
pub mod metrics;
mod parameters;
mod parts;
pub mod pixels;
mod precision;
pub mod pretrained;
mod resize;
mod tape;
#[doc(hidden)]
pub mod testing;

pub use batch_norm::BatchNorm;
pub use embedder::{Embedder, EmbeddingNet, InputShape};
pub use embedding_set::EmbeddingSet;
pub use error::{Error, Result};
pub use parameters::{Init, ParameterSpec, Parameters};
pub use precision::Precision;
