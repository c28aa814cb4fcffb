//! New vectors, which tasks fill side by side.

use crate::host::Real;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// A vector of `len` elements. `write(index, elements)` gets `task` of them at a time, as zeros.
///
/// Each task sets its own elements to zero first, in its core's cache. `vec![0; len]` would do so on one thread, and in the
/// memory that was freed before rather than in fresh pages.
#[expect(unsafe_code, reason = "memory is set to zero by the tasks, not by the allocation")]
pub(crate) fn fill_tasks<T: Real>(len: usize, task: usize, write: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let mut out = Vec::with_capacity(len);
    let tasks = out.spare_capacity_mut()[..len].par_chunks_mut(task.max(1)).enumerate();
    tasks.for_each(|(index, elements)| write(index, zeroed(elements)));
    // SAFETY: the tasks cover all `len` elements, and each has written its own.
    unsafe { out.set_len(len) };
    out
}

/// Elements that may never have been written, as zeros.
#[expect(unsafe_code, reason = "memory is set to zero by the tasks, not by the allocation")]
fn zeroed<T: Real>(elements: &mut [MaybeUninit<T>]) -> &mut [T] {
    elements.fill(MaybeUninit::new(T::zero()));
    // SAFETY: every element was written just now, and `MaybeUninit<T>` has the layout of `T`.
    unsafe { &mut *(std::ptr::from_mut(elements) as *mut [T]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_get_zeros_and_what_they_write_stays() {
        let odd = fill_tasks(10, 4, |index, elements: &mut [f32]| {
            assert!(elements.iter().all(|&element| element == 0.0));
            if index == 1 {
                elements[3] = 7.0;
            }
        });
        assert_eq!(odd, [0., 0., 0., 0., 0., 0., 0., 7., 0., 0.]);
        assert!(fill_tasks(0, 4, |_, _: &mut [f64]| unreachable!()).is_empty());
    }
}
