//! A list with a skin, rebuilt only when atoms have moved through it.

use super::batch::in_structure;
use super::cell::Cell;
use super::list::{NeighborList, Structure};
use super::search::{self, Workspace};
use crate::{Error, Result};

/// A list of the pairs within a cutoff plus a skin, that stays complete while atoms move by up to half the skin.
///
/// Two atoms that were further apart than cutoff + skin cannot have come within the cutoff unless their
/// displacements add up to more than the skin. A structure is searched again when one of its atoms moved by more
/// than half the skin since its last search, or when its cell or its periodicity changed; the rows of the others in
/// the batch are kept. Cutoff, skin, the number of structures and the numbers of atoms are the shape of the batch: when one of
/// these changes, all is searched again.
///
/// Displacements are those of the positions as given. A host that wraps an atom to the other side of the cell moves
/// it by a lattice vector, which leads to a new search, so shifts always fit the positions.
#[derive(Debug, Default)]
pub struct VerletList {
    list: NeighborList,
    /// The next list, while rows of the last are still needed.
    next: NeighborList,
    workspace: Workspace,
    cutoff: f64,
    skin: f64,
    /// Positions at the last search of their structure.
    reference: Vec<[f64; 3]>,
    cells: Vec<Cell>,
    /// First atom of each structure, and the end of the last.
    starts: Vec<usize>,
    /// Structures to search again in this update.
    stale: Vec<bool>,
    valid: bool,
    searches: u64,
}

impl VerletList {
    /// A list of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Make the list hold all pairs closer than `cutoff`, and tell whether it had to change for that.
    ///
    /// It also holds pairs up to cutoff + skin at the positions of the last search: users drop what they find beyond
    /// the cutoff. After an error the list is empty and the next update searches anew.
    pub fn update<'a>(
        &mut self,
        structures: impl ExactSizeIterator<Item = Structure<'a>> + Clone,
        cutoff: f64,
        skin: f64,
    ) -> Result<bool> {
        let result = self.try_update(structures, cutoff, skin);
        if result.is_err() {
            self.valid = false;
            self.list = NeighborList::new();
        }
        result
    }

    fn try_update<'a>(
        &mut self,
        structures: impl ExactSizeIterator<Item = Structure<'a>> + Clone,
        cutoff: f64,
        skin: f64,
    ) -> Result<bool> {
        search::check_cutoff(cutoff)?;
        if !(skin >= 0.0 && skin.is_finite()) {
            return Err(Error::invalid(format!(
                "skin must be zero or positive, and finite, got {skin:?}"
            )));
        }
        let same = self.valid
            && self.cutoff == cutoff
            && self.skin == skin
            && self.starts.len() == structures.len() + 1
            && structures
                .clone()
                .zip(self.starts.windows(2))
                .all(|(s, ends)| s.positions.len() == ends[1] - ends[0]);
        self.stale.clear();
        for (number, structure) in structures.clone().enumerate() {
            let stale = !same || self.moved(number, &structure);
            self.stale.push(stale);
        }
        if same && !self.stale.contains(&true) {
            return Ok(false);
        }
        self.search(structures, cutoff, skin)?;
        self.valid = true;
        Ok(true)
    }

    /// Whether the rows of a structure may lack a pair.
    fn moved(&self, number: usize, structure: &Structure) -> bool {
        if self.cells[number] != *structure.cell {
            return true;
        }
        let reference = &self.reference[self.starts[number]..self.starts[number + 1]];
        let limit = self.skin * self.skin;
        // Written so that a position that is not a number counts as moved, for the search to refuse it.
        let still = structure.positions.iter().zip(reference).all(|(p, q)| {
            let d = [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
            4.0 * (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]) <= limit
        });
        !still
    }

    /// Search the stale structures, keep the rows of the others.
    fn search<'a>(
        &mut self,
        structures: impl ExactSizeIterator<Item = Structure<'a>> + Clone,
        cutoff: f64,
        skin: f64,
    ) -> Result<()> {
        self.next.start();
        let mut result = Ok(());
        for (number, structure) in structures.clone().enumerate() {
            result = if self.stale[number] {
                self.searches += 1;
                search::append(
                    &mut self.next,
                    &structure,
                    cutoff + skin,
                    &mut self.workspace,
                )
                .map_err(|error| in_structure(error, number, structures.len()))
            } else {
                // The shape is the same, so numbers of atoms are too.
                let rows = self.starts[number]..self.starts[number + 1];
                self.next.extend_rows(&self.list, rows)
            };
            if result.is_err() {
                break;
            }
        }
        self.next.finish(result)?;
        std::mem::swap(&mut self.list, &mut self.next);
        (self.cutoff, self.skin) = (cutoff, skin);
        self.reference.resize(self.list.n_atoms(), [0.0; 3]);
        self.starts.clear();
        self.starts.push(0);
        self.cells.resize_with(structures.len(), Cell::open);
        let mut start = 0;
        for (number, structure) in structures.enumerate() {
            let end = start + structure.positions.len();
            if self.stale[number] {
                self.reference[start..end].copy_from_slice(structure.positions);
                self.cells[number].clone_from(structure.cell);
            }
            self.starts.push(end);
            start = end;
        }
        Ok(())
    }

    /// The list of the last update.
    pub fn list(&self) -> &NeighborList {
        &self.list
    }

    /// The positions of each structure at its last search: a list made there has the same pairs in the same order.
    pub fn reference(&self) -> &[[f64; 3]] {
        &self.reference
    }

    /// How many structures were searched since the list was made.
    pub fn searches(&self) -> u64 {
        self.searches
    }

    /// Make the next update search all structures.
    pub fn invalidate(&mut self) {
        self.valid = false;
    }
}
