//! The arrays of a potential as kernels see them.

use super::device::Plain;

/// What a call is about: the first members of `System` in `kernels/base.cuh`, zero for what it does not have.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Inputs {
    pub positions: u64,
    pub types: u64,
    pub structure: u64,
    pub structures: u64,
    pub cells: u64,
    pub starts: u64,
    pub candidates: u64,
    pub shifts: u64,
    pub owners: u64,
}

/// Mirrors `System` in `kernels/base.cuh`, where every member is explained. Those of 64 bits are addresses.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct System {
    pub inputs: Inputs,
    pub weights: u64,
    pub tables: u64,
    pub scales: u64,
    pub fragments: u64,
    pub span_filters: u64,
    pub span_factors: u64,
    pub span_scales: u64,
    pub basis: u64,
    pub references: u64,
    pub counts: u64,
    pub spans: u64,
    pub slots: u64,
    pub slopes: u64,
    pub near: u64,
    pub near_draft: u64,
    pub near_runs: u64,
    pub edges: u64,
    pub arms: u64,
    pub bends: u64,
    pub ends: u64,
    pub pulls: u64,
    pub x: u64,
    pub gradient: u64,
    pub y: u64,
    pub z: u64,
    pub m: u64,
    pub g: u64,
    pub atom_energies: u64,
    pub forces: u64,
    pub virials: u64,
    pub energies: u64,
    pub structure_virials: u64,
    pub coincident: u64,
    pub rows: u32,
    pub owned: u32,
    pub held: u32,
    pub near_rows: u32,
    pub bands: u32,
    pub splits: u32,
}

// SAFETY: numbers, those of 64 bits first and an even number of those of 32, so that nothing is between them.
unsafe impl Plain for System {}
