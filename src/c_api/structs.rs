//! Structs that may grow: each begins with its size as the caller knows it.
//!
//! A struct that is shorter than ours comes from an older program: its missing fields are zero, which every
//! field takes for its default. A longer one comes from a newer program: what we do not know must be zero.

use crate::{Error, Result};

/// A C struct whose first field is its size in bytes.
///
/// # Safety
/// The implementor is `repr(C)`, begins with a `usize`, and zero bytes are a valid value of every field.
pub(super) unsafe trait Sized_: Copy {
    /// The name of the struct in C.
    const NAME: &'static str;
    /// Its size when it was first published; what is shorter is a mistake.
    const FIRST_SIZE: usize;
}

/// Reads a caller's struct.
///
/// # Safety
/// A pointer that is not null must be valid for reads of the size its first field states.
pub(super) unsafe fn read<T: Sized_>(pointer: *const T) -> Result<T> {
    // SAFETY: passed on.
    let size = unsafe { stated_size(pointer) }?;
    // SAFETY: zero is a valid value of every field by the trait's contract.
    let mut value: T = unsafe { std::mem::zeroed() };
    let known = size.min(size_of::<T>());
    // SAFETY: `known` bytes are readable by contract and fit `value`.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast(), known);
    }
    // SAFETY: the caller's struct has `size` readable bytes by contract.
    let rest = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known) };
    if rest.iter().any(|&byte| byte != 0) {
        return Err(Error::unsupported(format!(
            "{} has fields that this version of the library does not know",
            T::NAME
        )));
    }
    Ok(value)
}

/// Fills a caller's struct, all but its size, as far as it goes; what is longer than ours is zeroed.
///
/// # Safety
/// A pointer that is not null must be valid for reads and writes of the size its first field states.
pub(super) unsafe fn write<T: Sized_>(pointer: *mut T, value: &T) -> Result<()> {
    // SAFETY: passed on.
    let size = unsafe { stated_size(pointer) }?;
    let known = size.min(size_of::<T>());
    let head = size_of::<usize>();
    // SAFETY: `size` bytes are writable by contract, `known` of them are in `value`; the size itself is left alone.
    unsafe {
        let bytes = pointer.cast::<u8>();
        let from = std::ptr::from_ref(value).cast::<u8>();
        std::ptr::copy_nonoverlapping(from.add(head), bytes.add(head), known - head);
        std::ptr::write_bytes(bytes.add(known), 0, size - known);
    }
    Ok(())
}

/// # Safety
/// A pointer that is not null must be valid for reads of a `usize`.
unsafe fn stated_size<T: Sized_>(pointer: *const T) -> Result<usize> {
    const MAX_SIZE: usize = 4096;
    if pointer.is_null() {
        return Err(Error::invalid(format!("{} is a null pointer", T::NAME)));
    }
    if !pointer.is_aligned() {
        return Err(Error::invalid(format!(
            "{} is not aligned to its type",
            T::NAME
        )));
    }
    // SAFETY: not null, aligned, and readable by contract.
    let size = unsafe { *pointer.cast::<usize>() };
    if !(T::FIRST_SIZE..=MAX_SIZE).contains(&size) {
        return Err(Error::invalid(format!(
            "{}.size is {size}, must be sizeof({}), {} bytes",
            T::NAME,
            T::NAME,
            size_of::<T>()
        )));
    }
    Ok(size)
}
