//! Which values of their windows won, as the forward pass of a pooling leaves it to the gradient.

use candle_core::Result;
#[cfg(feature = "cuda")]
use candle_core::cuda_backend::cudarc::driver::CudaSlice;

/// For each element of the result: the index of the value in its window. Where the result was computed.
pub(crate) enum Winners<I> {
    /// In the host's memory.
    Host(Vec<I>),
    /// In a GPU's.
    #[cfg(feature = "cuda")]
    Device(CudaSlice<I>),
}

impl<I> Winners<I> {
    /// Those in the host's memory.
    ///
    /// # Errors
    /// If the result was computed on a GPU, and its gradient is not.
    pub(crate) fn on_host(&self) -> Result<&[I]> {
        match self {
            Self::Host(winners) => Ok(winners),
            #[cfg(feature = "cuda")]
            Self::Device(_) => {
                candle_core::bail!("a result on a GPU needs its upstream gradient there, got one on the CPU")
            }
        }
    }

    /// Those on the GPU.
    ///
    /// # Errors
    /// If the result was computed on the CPU, and its gradient is not.
    #[cfg(feature = "cuda")]
    pub(crate) fn on_device(&self) -> Result<&CudaSlice<I>> {
        match self {
            Self::Host(_) => {
                candle_core::bail!("a result on the CPU needs its upstream gradient there, got one on a GPU")
            }
            Self::Device(winners) => Ok(winners),
        }
    }
}
