//! `fsn_neighbor_list`: the library's neighbour search by itself.

use super::arrays;
use super::status::{fsn_status, guard};
use super::structs::{self, Sized_};
use super::structures::{self, fsn_structures};
use crate::neighbors::NeighborList;
use crate::potential;

/// A neighbour list. Immutable: it may be read from several threads at once.
#[allow(non_camel_case_types)]
pub struct fsn_neighbor_list {
    list: NeighborList,
}

/// What is in a neighbour list; the arrays are valid as long as the list. Set `size` to `sizeof(fsn_pairs)` before
/// `fsn_neighbor_list_get`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_pairs {
    /// `sizeof(fsn_pairs)`, set by the caller.
    pub size: usize,
    /// Number of atoms.
    pub atoms: usize,
    /// Number of directed pairs.
    pub pairs: usize,
    /// `atoms` + 1 numbers: pairs of atom i are `offsets[i]` to `offsets[i + 1]` − 1.
    pub offsets: *const usize,
    /// `pairs` neighbours, counted from 0 over the whole batch.
    pub neighbors: *const u32,
    /// `pairs` × 3: the vector from atom i to neighbour j is `positions[j]` + shift · cell − `positions[i]`.
    pub shifts: *const i32,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_pairs {
    const NAME: &'static str = "fsn_pairs";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Finds all directed pairs of atoms closer than `cutoff`, periodic images among them, in time linear in the number of
/// atoms. Types and excluded pairs of `structures` are not looked at.
///
/// On success `*list` is a new handle, to be freed with `fsn_neighbor_list_free`. Errors: `FSN_INVALID_ARGUMENT`.
///
/// Threads: any, several at once.
///
/// # Safety
/// `structures` has as many readable bytes as its `size` says, and its arrays the lengths stated there; `list` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_neighbor_list_new(
    structures: *const fsn_structures,
    cutoff: f64,
    list: *mut *mut fsn_neighbor_list,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let view = unsafe { structures::read(structures, false) }?;
        let make = || {
            Ok(fsn_neighbor_list {
                list: potential::neighbor_list(&view.structures(), cutoff)?,
            })
        };
        // SAFETY: by this function's contract.
        unsafe { arrays::store(list, make) }
    })
}

/// Fills `*pairs`, whose `size` the caller has set. Errors: `FSN_INVALID_ARGUMENT`.
///
/// Threads: any, several at once.
///
/// # Safety
/// `list` is a live handle; `pairs` has as many writable bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_neighbor_list_get(
    list: *const fsn_neighbor_list,
    pairs: *mut fsn_pairs,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let list = &unsafe { arrays::required(list, "list") }?.list;
        let filled = fsn_pairs {
            size: 0,
            atoms: list.n_atoms(),
            pairs: list.n_pairs(),
            offsets: list.offsets.as_ptr(),
            neighbors: list.neighbors.as_ptr(),
            shifts: list.shifts.as_ptr().cast(),
        };
        // SAFETY: by this function's contract.
        unsafe { structs::write(pairs, &filled) }
    })
}

/// Frees a neighbour list. Null is fine.
///
/// Threads: any; not while another call uses the handle.
///
/// # Safety
/// `list` comes from this library and has not been freed; nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_neighbor_list_free(list: *mut fsn_neighbor_list) {
    let _ = guard(|| {
        // SAFETY: by this function's contract.
        unsafe { arrays::free(list) };
        Ok(())
    });
}
