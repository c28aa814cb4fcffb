//! 256-bit vectors with fused multiply-add.

use super::{Kernel, Lanes};
use std::arch::x86_64::*;

/// Proof that the processor runs AVX2 and FMA; made by [`Avx2::run`] alone.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Runs a kernel in code compiled for AVX2 and FMA.
    ///
    /// # Safety
    /// The processor runs AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(crate) unsafe fn run<T, K: Kernel<T>>(kernel: K) -> K::Output
    where
        Self: Lanes<T>,
    {
        kernel.run(Self(()))
    }
}

/// The operations of one element type. Every intrinsic's block has the same reason: a value of [`Avx2`] exists only where the
/// processor runs AVX2 and FMA, and pointers are the caller's to vouch for.
macro_rules! lanes {
    ($real:ty, $vector:ty, $width:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $multiply_add:ident) => {
        impl Lanes<$real> for Avx2 {
            type Vector = $vector;
            const WIDTH: usize = $width;
            const ROWS: usize = 6;

            #[inline(always)]
            fn splat(self, value: $real) -> $vector {
                // SAFETY: `self` is proof of the instruction set.
                unsafe { $splat(value) }
            }

            #[inline(always)]
            unsafe fn load(self, from: *const $real) -> $vector {
                // SAFETY: `self` is proof of the instruction set, the caller of the elements.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $real, vector: $vector) {
                // SAFETY: `self` is proof of the instruction set, the caller of the elements.
                unsafe { $store(to, vector) }
            }

            #[inline(always)]
            fn add(self, a: $vector, b: $vector) -> $vector {
                // SAFETY: `self` is proof of the instruction set.
                unsafe { $add(a, b) }
            }

            #[inline(always)]
            fn multiply_add(self, a: $vector, b: $vector, c: $vector) -> $vector {
                // SAFETY: `self` is proof of the instruction set.
                unsafe { $multiply_add(a, b, c) }
            }
        }
    };
}

lanes!(f32, __m256, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_fmadd_ps);
lanes!(f64, __m256d, 4, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_add_pd, _mm256_fmadd_pd);
