//! Scratch memory that starts on a cache line, so that no vector spans two.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// A slice whose first element lies at a multiple of 64 bytes.
pub(crate) struct Aligned<T> {
    elements: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy> Aligned<T> {
    /// No elements.
    pub(crate) fn new() -> Self {
        Self { elements: Vec::new(), start: 0, len: 0 }
    }

    /// `len` times `value`.
    pub(crate) fn filled(value: T, len: usize) -> Self {
        let mut new = Self::new();
        new.resize(value, len);
        new
    }

    /// Makes room for `len` elements, whose values are arbitrary: old ones, or `value`. Memory is kept from call to call.
    pub(crate) fn resize(&mut self, value: T, len: usize) {
        let room = len + LINE / size_of::<T>();
        if self.elements.len() < room {
            self.elements = vec![value; room];
            // Without alignment the numbers are the same, only later.
            self.start = match self.elements.as_ptr().align_offset(LINE) {
                offset if offset <= LINE / size_of::<T>() => offset,
                _ => 0,
            };
        }
        self.len = len;
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_on_a_cache_line_and_keeps_its_memory() {
        let mut scratch = Aligned::filled(7_f32, 33);
        assert_eq!(scratch.as_ptr() as usize % LINE, 0);
        assert!(scratch.len() == 33 && scratch.iter().all(|&value| value == 7.0));
        let before = scratch.as_ptr();
        scratch.resize(0.0, 20);
        assert_eq!((scratch.as_ptr(), scratch.len()), (before, 20));
    }
}
