//! Vectors of one element, in plain Rust: runs everywhere.

use super::Lanes;
use crate::host::Real;

/// No vector instructions.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl<T: Real> Lanes<T> for Portable {
    type Vector = T;
    const WIDTH: usize = 1;
    const ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, value: T) -> T {
        value
    }

    #[inline(always)]
    unsafe fn load(self, from: *const T) -> T {
        // SAFETY: the caller vouches for one element.
        unsafe { from.read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut T, vector: T) {
        // SAFETY: the caller vouches for one element.
        unsafe { to.write(vector) }
    }

    #[inline(always)]
    fn add(self, a: T, b: T) -> T {
        a + b
    }

    #[inline(always)]
    fn multiply_add(self, a: T, b: T, c: T) -> T {
        a * b + c
    }
}
