//! How exactly a GPU multiplies.

use std::sync::atomic::{AtomicBool, Ordering};

/// The arithmetic of `f32` convolutions and matrix products on a GPU. The CPU always computes exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Math {
    /// Products and sums in `f32`.
    #[default]
    Exact,
    /// Factors are rounded to 10 bits of mantissa (TF32) and multiplied on tensor cores; sums are `f32`. Several times
    /// faster on GPUs that have it, and what PyTorch does in convolutions unless told otherwise.
    Tf32,
}

static TF32: AtomicBool = AtomicBool::new(false);

impl Math {
    /// What holds now; [`Math::Exact`] until something else is set.
    pub fn current() -> Self {
        if TF32.load(Ordering::Relaxed) { Self::Tf32 } else { Self::Exact }
    }

    /// Makes this hold for every operation of the process that starts from now on. Meant for the start of a program:
    /// candle knows only one setting for the whole process, and two settings would be two results.
    pub fn set(self) {
        TF32.store(self == Self::Tf32, Ordering::Relaxed);
        #[cfg(feature = "cuda")]
        candle_core::cuda_backend::set_gemm_reduced_precision_f32(self == Self::Tf32);
    }
}
