//! Asking for memory before it is needed.

/// Has the line that `value` begins in brought into the nearest cache; nothing on processors without such an instruction.
#[inline(always)]
pub fn fetch<T>(value: &T) {
    fetch_beyond(value, 0);
}

/// The same for what is `count` values further on. There need not be anything.
#[inline(always)]
pub fn fetch_beyond<T>(value: &T, count: usize) {
    let address = std::ptr::from_ref(value).wrapping_add(count);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64, and a prefetch is a hint that has no effect but on caches, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Has every line of `values` brought there.
pub fn fetch_all<T>(values: &[T]) {
    const LINE: usize = 64;
    let step = (LINE / size_of::<T>().max(1)).max(1);
    values.iter().step_by(step).for_each(fetch);
}
