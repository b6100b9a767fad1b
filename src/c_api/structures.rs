//! `fsn_structures`: structures whose neighbours the library finds.

use std::borrow::Cow;

use super::arrays::{input, optional};
use super::structs::{self, Sized_};
use crate::potential::Structures;
use crate::{Error, Result};

/// Independent structures, their atoms one after the other; the library finds the neighbours.
///
/// For one structure, `offsets` may be left out.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_structures {
    /// `sizeof(fsn_structures)`.
    pub size: usize,
    /// Number of structures.
    pub structures: usize,
    /// `structures` + 1 numbers: atoms of structure s are `offsets[s]` to `offsets[s + 1]` − 1. May be null for
    /// one structure.
    pub offsets: *const usize,
    /// Number of atoms of all structures together.
    pub atoms: usize,
    /// `atoms` × 3 Cartesian coordinates in the model's unit of length. They need not lie in the cell.
    pub positions: *const f64,
    /// `atoms` types: the model's own integers (atomic numbers or bead types).
    pub types: *const i32,
    /// `structures` × 3 × 3: the lattice vectors of each structure, as rows. Null: no cell at all.
    pub cells: *const f64,
    /// `structures` × 3: whether each lattice direction is periodic. Null: all are where there is a cell.
    pub periodic: *const u8,
    /// Number of excluded pairs.
    pub excluded_pairs: usize,
    /// `excluded_pairs` × 2 atoms, counted from 0 over the whole batch: pairs that are left out of the graph, with all
    /// their periodic images. Null: none; but see `excluded_bonds` of `fsn_model_info`.
    pub excluded: *const i32,
    /// `structures` numbers: which topology each structure has, those of the model's file first, then those added with
    /// `fsn_potential_add_topology`; −1 to find it by the types of its atoms. Null: all are found so. Not looked at without
    /// priors.
    pub topologies: *const i32,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_structures {
    const NAME: &'static str = "fsn_structures";
    const FIRST_SIZE: usize = std::mem::offset_of!(Self, topologies);
}

/// A caller's structures as slices, and what had to be converted.
pub(super) struct View<'a> {
    whole: [usize; 2],
    offsets: Option<&'a [usize]>,
    positions: &'a [[f64; 3]],
    types: &'a [i32],
    cells: &'a [[[f64; 3]; 3]],
    periodic: Cow<'a, [[bool; 3]]>,
    excluded: Option<&'a [[i32; 2]]>,
    topologies: Option<&'a [i32]>,
}

impl View<'_> {
    pub fn structures(&self) -> Structures<'_> {
        Structures {
            offsets: self.offsets.unwrap_or(&self.whole),
            positions: self.positions,
            types: self.types,
            cells: self.cells,
            periodic: &self.periodic,
            excluded: self.excluded,
            topologies: self.topologies,
        }
    }
}

/// Reads a caller's struct and checks its pointers; `with_types` says whether the types are needed.
///
/// # Safety
/// A pointer that is not null must have as many readable bytes as its `size` says, and the arrays must have the lengths
/// stated there for as long as the view is used.
pub(super) unsafe fn read<'a>(
    structures: *const fsn_structures,
    with_types: bool,
) -> Result<View<'a>> {
    // SAFETY: by this function's contract.
    let given = unsafe { structs::read(structures) }?;
    let count = given.structures;
    let ends = count
        .checked_add(1)
        .filter(|_| count > 0)
        .ok_or_else(|| Error::invalid(format!("structures is {count}, must be at least 1")))?;
    if count > 1 && given.offsets.is_null() {
        return Err(Error::invalid("offsets is a null pointer"));
    }
    if given.excluded.is_null() && given.excluded_pairs > 0 {
        return Err(Error::invalid("excluded is a null pointer"));
    }
    // SAFETY: by this function's contract.
    unsafe {
        Ok(View {
            whole: [0, given.atoms],
            offsets: optional(given.offsets, ends, "offsets")?,
            positions: input(given.positions.cast(), given.atoms, "positions")?,
            types: if with_types {
                input(given.types, given.atoms, "types")?
            } else {
                &[]
            },
            cells: optional(given.cells.cast(), count, "cells")?.unwrap_or_default(),
            periodic: truths(
                optional(given.periodic.cast::<[u8; 3]>(), count, "periodic")?.unwrap_or_default(),
            ),
            excluded: optional(given.excluded.cast(), given.excluded_pairs, "excluded")?,
            topologies: optional(given.topologies, count, "topologies")?,
        })
    }
}

/// Whether each byte is not zero; without a copy where all are 0 or 1, as they should be.
fn truths(bytes: &[[u8; 3]]) -> Cow<'_, [[bool; 3]]> {
    if bytes.as_flattened().iter().all(|&byte| byte <= 1) {
        // SAFETY: bool has the size and alignment of u8, and 0 and 1 are its values.
        Cow::Borrowed(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
    } else {
        Cow::Owned(bytes.iter().map(|row| row.map(|byte| byte != 0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_byte_but_zero_is_true() {
        for bytes in [&[[0, 1, 0], [1, 1, 1]], &[[0, 255, 0], [2, 1, 77]]] {
            assert_eq!(*truths(bytes), [[false, true, false], [true; 3]]);
        }
        assert!(truths(&[]).is_empty());
    }
}
