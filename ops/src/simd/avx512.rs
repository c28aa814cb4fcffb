//! 512-bit vectors.

use super::{Kernel, Lanes};
use std::arch::x86_64::*;

/// Proof that the processor runs AVX-512F; made by [`Avx512::run`] alone.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Runs a kernel in code compiled for AVX-512F.
    ///
    /// # Safety
    /// The processor runs AVX-512F.
    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(crate) unsafe fn run<T, K: Kernel<T>>(kernel: K) -> K::Output
    where
        Self: Lanes<T>,
    {
        kernel.run(Self(()))
    }
}

/// The operations of one element type. Every intrinsic's block has the same reason: a value of [`Avx512`] exists only where the
/// processor runs AVX-512F, and pointers are the caller's to vouch for.
macro_rules! lanes {
    ($real:ty, $vector:ty, $width:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $multiply_add:ident) => {
        impl Lanes<$real> for Avx512 {
            type Vector = $vector;
            const WIDTH: usize = $width;
            const ROWS: usize = 12;

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

lanes!(f32, __m512, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_fmadd_ps);
lanes!(f64, __m512d, 8, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_add_pd, _mm512_fmadd_pd);
