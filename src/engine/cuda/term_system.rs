//! The arrays of analytic terms as kernels see them.

use super::device::Plain;

/// Mirrors `Form` in `kernels/priors.cuh`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub kind: u32,
    pub degrees: u32,
    pub cutoff2: f64,
}

// SAFETY: two numbers of 32 bits and one of 64: nothing is between them.
unsafe impl Plain for Form {}

/// Mirrors `Entry` in `kernels/priors.cuh`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub atoms: [u32; 4],
    pub parameters: u32,
    pub term: u32,
}

// SAFETY: numbers of 32 bits.
unsafe impl Plain for Entry {}

/// Bytes of a `Lattice` in `kernels/priors.cuh`.
pub(super) const LATTICE: usize = 160;

/// Mirrors `System` in `kernels/priors.cuh`, where every member is explained. Those of 64 bits are addresses.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TermSystem {
    pub positions: u64,
    pub structure: u64,
    pub structures: u64,
    pub cells: u64,
    pub periodic: u64,
    pub forms: u64,
    pub firsts: u64,
    pub types: u64,
    pub found: u64,
    pub starts: u64,
    pub entries: u64,
    pub parameters: u64,
    pub lattices: u64,
    pub chosen: u64,
    pub asked: u64,
    pub kept_asked: u64,
    pub rows: u64,
    pub atom_energies: u64,
    pub forces: u64,
    pub virials: u64,
    pub energies: u64,
    pub structure_virials: u64,
    pub shares: u64,
    pub own_virials: u64,
    pub by_term: u64,
    pub status: u64,
    pub atoms: u32,
    pub structure_count: u32,
    pub priors: u32,
    pub topologies: u32,
    pub apart: u32,
    pub unused: u32,
}

// SAFETY: numbers of 64 bits, then an even number of those of 32.
unsafe impl Plain for TermSystem {}
