//! From pointers and lengths to slices: the checks, in one place.

use std::ffi::{CStr, c_char};

use crate::{Error, Result};

/// `length` elements at `pointer`; empty for a length of 0, whatever the pointer.
///
/// # Safety
/// A pointer that is not null must be valid for reads of `length` elements for as long as the slice is used.
pub(super) unsafe fn input<'a, T>(pointer: *const T, length: usize, name: &str) -> Result<&'a [T]> {
    if length == 0 {
        return Ok(&[]);
    }
    check(pointer, length, name)?;
    // SAFETY: not null, aligned, and of a length that fits the address space; valid by this function's contract.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// As [`input`], with a null pointer meaning absent.
///
/// # Safety
/// As for [`input`].
pub(super) unsafe fn optional<'a, T>(
    pointer: *const T,
    length: usize,
    name: &str,
) -> Result<Option<&'a [T]>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on.
    unsafe { input(pointer, length, name) }.map(Some)
}

/// Copies `values` to `pointer` unless that is null.
///
/// # Safety
/// A pointer that is not null must be valid for writes of `values.len()` elements.
pub(super) unsafe fn write<T: Copy>(pointer: *mut T, values: &[T]) {
    if !pointer.is_null() {
        // SAFETY: valid by contract; `values` is ours and does not overlap it.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), pointer, values.len()) };
    }
}

/// Refuses an output pointer that is not aligned; null is no output.
pub(super) fn check_output<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_aligned() {
        Ok(())
    } else {
        Err(misaligned(name))
    }
}

/// A handle or object that must be there.
///
/// # Safety
/// A pointer that is not null must be valid for reads for as long as the reference is used.
pub(super) unsafe fn required<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    check(pointer, 1, name)?;
    // SAFETY: not null and aligned; valid by contract.
    Ok(unsafe { &*pointer })
}

/// A string that must be there.
///
/// # Safety
/// A pointer that is not null must point to a string that ends in a null byte.
pub(super) unsafe fn string<'a>(pointer: *const c_char, name: &str) -> Result<&'a CStr> {
    check(pointer, 1, name)?;
    // SAFETY: not null; terminated by contract.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

/// Stores a new handle, or refuses the place for it.
///
/// # Safety
/// A pointer that is not null must be valid for writes.
pub(super) unsafe fn store<T>(place: *mut *mut T, make: impl FnOnce() -> Result<T>) -> Result<()> {
    check(place, 1, "the place for the handle")?;
    let handle = Box::into_raw(Box::new(make()?));
    // SAFETY: not null and aligned; writable by contract.
    unsafe { *place = handle };
    Ok(())
}

/// Frees a handle; null is fine.
///
/// # Safety
/// The handle must come from [`store`] and not have been freed.
pub(super) unsafe fn free<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: made by `Box::into_raw` in `store`, freed once by contract.
        drop(unsafe { Box::from_raw(handle) });
    }
}

fn check<T>(pointer: *const T, length: usize, name: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(Error::invalid(format!("{name} is a null pointer")));
    }
    if !pointer.is_aligned() {
        return Err(misaligned(name));
    }
    match length.checked_mul(size_of::<T>()) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => Err(Error::invalid(format!(
            "the length of {name} does not fit the address space"
        ))),
    }
}

fn misaligned(name: &str) -> Error {
    Error::invalid(format!("{name} is not aligned to its type"))
}
