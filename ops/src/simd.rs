//! Which instruction set computes: AVX-512, AVX2 or portable Rust, chosen once when the program first computes.
//!
//! A kernel is written once, over vectors of any width, and compiled for each instruction set. The environment variable
//! [`VARIABLE`] forces one; the tests use it to hold every path to the same numbers.

#![expect(unsafe_code, reason = "instruction sets that not every processor has; each block says why it may")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::host::Real;
use candle_core::{Result, bail};
use std::fmt;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;

/// The environment variable that forces an instruction set: `portable`, `avx2` or `avx512`.
pub const VARIABLE: &str = "HOLDFAST_SIMD";

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Plain Rust, one element at a time; what the others are tested against.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Level {
    /// Every level, the slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The value of [`VARIABLE`] that forces this level.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this machine can run it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Self::Avx2.is_available() && is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The level that a value of [`VARIABLE`] asks for; the best available one where it is absent.
    fn choose(forced: Option<&str>) -> std::result::Result<Self, String> {
        let Some(name) = forced else {
            let best = Self::ALL.into_iter().rev().find(|level| level.is_available());
            return Ok(best.unwrap_or(Self::Portable));
        };
        match Self::ALL.into_iter().find(|level| level.name() == name) {
            Some(level) if level.is_available() => Ok(level),
            Some(level) => Err(format!("{VARIABLE}={level}, but this processor cannot run {level}; unset it")),
            None => {
                Err(format!("{VARIABLE} must be portable, avx2 or avx512, got {name:?}; unset it for the best one"))
            }
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The instruction set in use.
///
/// # Errors
/// If the environment asks for one that does not exist or that this processor cannot run.
pub fn level() -> Result<Level> {
    static LEVEL: OnceLock<std::result::Result<Level, String>> = OnceLock::new();
    let chosen = LEVEL.get_or_init(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "which machine code runs is no part of an experiment's configuration"
        )]
        let forced = std::env::var(VARIABLE).ok();
        Level::choose(forced.as_deref())
    });
    match chosen {
        Ok(level) => Ok(*level),
        Err(problem) => bail!("{problem}"),
    }
}

/// Vectors of `T` in one instruction set. A value of the type proves that the processor can run it.
///
/// Implementations inline into the function that [`run`] compiles for the instruction set.
pub(crate) trait Lanes<T>: Copy {
    /// The elements of one register.
    type Vector: Copy;
    /// Elements of one vector.
    const WIDTH: usize;
    /// Rows of a register tile of two vectors a row.
    const ROWS: usize;

    fn splat(self, value: T) -> Self::Vector;

    /// # Safety
    /// `WIDTH` elements lie at `from`.
    unsafe fn load(self, from: *const T) -> Self::Vector;

    /// # Safety
    /// `WIDTH` elements lie at `to`.
    unsafe fn store(self, to: *mut T, vector: Self::Vector);

    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a · b + c; rounded once where the instruction set can, twice in portable Rust.
    fn multiply_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
}

/// A computation over vectors. Implementations of `run` are `#[inline(always)]`, so that each instruction set gets its own
/// machine code.
pub(crate) trait Kernel<T> {
    type Output;
    fn run<L: Lanes<T>>(self, lanes: L) -> Self::Output;
}

/// Runs a kernel in the instruction set in use.
pub(crate) fn run<T: Real, K: Kernel<T>>(kernel: K) -> K::Output {
    T::run_at(level().unwrap_or(Level::Portable), kernel)
}

/// Defines a function whose body is compiled for each instruction set: plain loops over slices become vector code.
///
/// The body computes the same bits in each, since nothing in it is fused or reordered.
macro_rules! vectorized {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident<$real:ident: $bound:path>($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)? $body:block) => {
        $(#[$attribute])*
        $visibility fn $name<$real: $bound>($($argument: $type),*) $(-> $output)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, clippy::allow_attributes, reason = "as the function it is the body of")]
            fn body<$real: $bound>($($argument: $type),*) $(-> $output)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$real: $bound>($($argument: $type),*) $(-> $output)? {
                body::<$real>($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            fn avx512<$real: $bound>($($argument: $type),*) $(-> $output)? {
                body::<$real>($($argument),*)
            }
            match $crate::simd::level() {
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "the caller vouches for the instruction set")]
                // SAFETY: `level` only names what the processor was found to run.
                Ok($crate::simd::Level::Avx512) => unsafe { avx512::<$real>($($argument),*) },
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "the caller vouches for the instruction set")]
                // SAFETY: as above.
                Ok($crate::simd::Level::Avx2) => unsafe { avx2::<$real>($($argument),*) },
                _ => body::<$real>($($argument),*),
            }
        }
    };
}
pub(crate) use vectorized;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_level_is_used_or_refused_with_the_choices() {
        assert_eq!(Level::choose(Some("portable")), Ok(Level::Portable));
        assert!(Level::choose(None).unwrap().is_available());
        let unknown = Level::choose(Some("sse9")).unwrap_err();
        assert!(unknown.contains("portable, avx2 or avx512") && unknown.contains("sse9"), "{unknown}");
        for level in Level::ALL {
            assert_eq!(Level::choose(Some(level.name())).is_ok(), level.is_available());
        }
    }
}
