//! The neighbour list of one structure.

use super::cell::Cell;
use super::images::reserve;
use super::search::{self, Workspace};
use crate::Result;
use std::ops::Range;

/// The most pairs one call may find: 64 GiB of them, far more than any engine evaluates at once.
pub const MAX_PAIRS: usize = u32::MAX as usize;

/// Atoms in a cell.
#[derive(Debug, Clone, Copy)]
pub struct Structure<'a> {
    /// Cartesian positions. They need not be inside the cell.
    pub positions: &'a [[f64; 3]],
    /// The cell; [`Cell::open`] if there is none.
    pub cell: &'a Cell,
}

/// Every directed pair within a cutoff, in compressed sparse rows.
///
/// The pairs of atom i are entries `offsets[i]..offsets[i + 1]`, in ascending order of neighbour and then of shift,
/// so the same positions give the same list, always. The list is full: with `(i, j, s)` it holds `(j, i, −s)`.
/// An atom is its own neighbour through the images of a short cell; `(i, i, 0)` is never listed. Two atoms at one
/// point are a pair.
///
/// A pair is listed if the length of `positions[j] + shift · vectors − positions[i]`, for the positions as given, is
/// less than the cutoff (not equal). That is the set of ASE's `neighbor_list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighborList {
    /// Where each row starts, and the end of the last: one more than there are atoms.
    pub offsets: Vec<usize>,
    /// The second atom of each pair.
    pub neighbors: Vec<u32>,
    /// The lattice vectors to add to `positions[j] − positions[i]`, one number for each vector of the cell.
    pub shifts: Vec<[i32; 3]>,
}

impl Default for NeighborList {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            neighbors: Vec::new(),
            shifts: Vec::new(),
        }
    }
}

impl NeighborList {
    /// An empty list, to be filled with [`NeighborList::rebuild`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Find all pairs of `structure` closer than `cutoff`.
    pub fn build(structure: &Structure, cutoff: f64) -> Result<Self> {
        let mut list = Self::new();
        list.rebuild(structure, cutoff, &mut Workspace::default())?;
        Ok(list)
    }

    /// As [`NeighborList::build`], in the memory of this list and of `workspace`.
    ///
    /// Once both have grown to the size of the problem, nothing is allocated. After an error the list is empty.
    pub fn rebuild(
        &mut self,
        structure: &Structure,
        cutoff: f64,
        workspace: &mut Workspace,
    ) -> Result<()> {
        self.start();
        let result = search::append(self, structure, cutoff, workspace);
        self.finish(result)
    }

    /// The number of atoms.
    pub fn n_atoms(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The number of directed pairs.
    pub fn n_pairs(&self) -> usize {
        self.neighbors.len()
    }

    /// The entries of atom `i`.
    pub fn row(&self, i: usize) -> Range<usize> {
        self.offsets[i]..self.offsets[i + 1]
    }

    /// The first atom of each pair: what `offsets` says, spelled out.
    pub fn centers(&self) -> Vec<u32> {
        let mut centers = Vec::with_capacity(self.n_pairs());
        for i in 0..self.n_atoms() {
            centers.resize(self.offsets[i + 1], i as u32);
        }
        centers
    }

    /// Begin to write rows. Until [`NeighborList::finish`], `offsets` says how many entries there are, and the
    /// other arrays may be longer: filling them again and again would cost a pass over the memory.
    pub(super) fn start(&mut self) {
        self.offsets.clear();
        self.offsets.push(0);
    }

    /// The number of entries written since [`NeighborList::start`].
    pub(super) fn end(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Append rows of another list whose atoms have the same numbers here.
    pub(super) fn extend_rows(&mut self, other: &Self, rows: Range<usize>) -> Result<()> {
        let pairs = other.offsets[rows.start]..other.offsets[rows.end];
        let (before, after) = (pairs.start, self.end());
        self.neighbors.truncate(after);
        self.shifts.truncate(after);
        reserve(&mut self.offsets, rows.len())?;
        reserve(&mut self.neighbors, pairs.len())?;
        reserve(&mut self.shifts, pairs.len())?;
        let ends = &other.offsets[rows.start + 1..=rows.end];
        self.offsets
            .extend(ends.iter().map(|end| end - before + after));
        self.neighbors
            .extend_from_slice(&other.neighbors[pairs.clone()]);
        self.shifts.extend_from_slice(&other.shifts[pairs]);
        Ok(())
    }

    /// End writing: make all arrays fit, or empty after an error.
    pub(super) fn finish(&mut self, result: Result<()>) -> Result<()> {
        if result.is_err() {
            self.start();
        }
        self.neighbors.truncate(self.end());
        self.shifts.truncate(self.end());
        result
    }
}
