//! The arrays of a neighbour list as kernels see them, and what they report.

use super::device::Plain;
use crate::Error;

/// What is wrong if `Status::trouble` says nothing else.
pub(super) const NOTHING: u64 = u64::MAX;
/// Bits of the number in `Status::trouble`.
const NUMBER_BITS: u32 = 56;
const ATOM_BITS: u32 = 28;

/// Mirrors `Status` in `kernels/neighbors.cuh`, where every member is explained.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub trouble: u64,
    pub pairs: u64,
    pub counted: u64,
    pub builds: u64,
    pub stale: u32,
    pub done: u32,
}

// SAFETY: numbers with nothing between them.
unsafe impl Plain for Status {}

impl Status {
    /// Nothing found yet.
    pub const FRESH: Self = Self {
        trouble: NOTHING,
        pairs: 0,
        counted: 0,
        builds: 0,
        stale: 1,
        done: 0,
    };

    /// What went wrong.
    pub fn trouble(&self) -> Option<Trouble> {
        let number = self.trouble & ((1 << NUMBER_BITS) - 1);
        (self.trouble != NOTHING).then(|| match self.trouble >> NUMBER_BITS {
            9 => Trouble::NoRoom(number),
            kind @ 12..=15 => Trouble::Term(TermFault {
                structure: (number >> ATOM_BITS) as usize,
                term: (number & ((1 << ATOM_BITS) - 1)) as usize,
                vector: (kind < 15).then(|| kind as usize - 12),
            }),
            16 => Trouble::Unmatched(number as usize),
            kind => Trouble::Wrong(error(kind, number)),
        })
    }
}

/// Why a step has no results.
pub(super) enum Trouble {
    /// The list has so many pairs, more than there was room for.
    NoRoom(u64),
    /// What is wrong with the input or the result.
    Wrong(Error),
    /// A term has no value.
    Term(TermFault),
    /// The structure of this number has no topology.
    Unmatched(usize),
}

/// Which term has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TermFault {
    pub structure: usize,
    /// Its number among the terms of the structure's topology.
    pub term: usize,
    /// Which of its vectors has no length; none if atoms lie on a line.
    pub vector: Option<usize>,
}

/// The kinds of `kernels/neighbors.cuh`.
fn error(kind: u64, number: u64) -> Error {
    let text = match kind {
        1 => format!(
            "structure offsets must rise from 0 to the number of atoms, and number {number} does not"
        ),
        2 => format!("atom {number} has a type that the model does not know"),
        3 => {
            format!("position of atom {number} is not finite or out of range (the limit is 1e100)")
        }
        4 => format!("structure {number}: cell has zero volume or is not finite, but is periodic"),
        5 => format!("structure {number}: the cutoff is too long for the cell"),
        6 => format!("excluded pair {number} does not join two different atoms of the structures"),
        7 => format!("position of atom {number} is too many cells away from another's"),
        8 => format!("more than {} pairs are within the cutoff", u32::MAX),
        10 => format!(
            "atoms {} and {} are at the same point",
            number >> ATOM_BITS,
            number & ((1 << ATOM_BITS) - 1)
        ),
        11 => {
            return Error::Numerical(format!(
                "energy or force of atom {number} is not finite: positions are far outside what the model was made for, or the model is damaged"
            ));
        }
        17 => {
            return Error::Numerical(format!("atom {number} moves too far in one step"));
        }
        _ => return Error::Internal(format!("the device reports {kind}, {number}")),
    };
    Error::invalid(text)
}

/// Mirrors `System` in `kernels/neighbors.cuh`, where every member is explained. Those of 64 bits are addresses, but for three numbers.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arrays {
    pub positions: u64,
    pub structures: u64,
    pub structure: u64,
    pub cells: u64,
    pub periodic: u64,
    pub excluded: u64,
    pub kept_positions: u64,
    pub kept_structures: u64,
    pub kept_cells: u64,
    pub kept_periodic: u64,
    pub kept_excluded: u64,
    pub grids: u64,
    pub bin: u64,
    pub counts: [u64; 3],
    pub starts: [u64; 3],
    pub sums: [u64; 3],
    pub members: u64,
    pub partners: u64,
    pub found: u64,
    pub candidates: u64,
    pub shifts: u64,
    pub status: u64,
    pub reach: f64,
    pub skin: f64,
    pub room: u64,
    pub atoms: u32,
    pub structure_count: u32,
    pub excluded_count: u32,
    pub direct: u32,
    pub host: Host,
}

/// The part of `System` for hosts whose arrays are on the device.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Host {
    pub offsets: u64,
    pub types: u64,
    pub known: u64,
    pub own_structures: u64,
    pub own_structure: u64,
    pub own_types: u64,
    pub energies: u64,
    pub atom_energies: u64,
    pub forces: u64,
    pub structure_virials: u64,
    pub virials: u64,
    pub coincident: u64,
    pub by_term: u64,
    pub term_energies: u64,
    pub term_forces: u64,
    pub to_energies: u64,
    pub to_atom_energies: u64,
    pub to_forces: u64,
    pub to_virials: u64,
    pub to_atom_virials: u64,
    pub to_by_term: u64,
    pub not_a_number: f64,
    pub known_count: u32,
    pub terms: u32,
    pub slices: u32,
    pub listless: u32,
}

// SAFETY: numbers of 64 bits, and even numbers of those of 32 after them: nothing is between them.
unsafe impl Plain for Arrays {}
