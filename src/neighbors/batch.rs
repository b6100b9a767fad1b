//! Several independent structures in one list.

use super::list::{NeighborList, Structure};
use super::search::{self, Workspace};
use crate::{Error, Result};

/// Independent structures, their atoms numbered one structure after the other.
///
/// The list of a batch is that of its structures one after the other, with the numbers of neighbours counted through
/// the batch. No pair joins two structures.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The structures. They may differ in size and cell; some may be empty.
    pub structures: &'a [Structure<'a>],
}

impl<'a> Batch<'a> {
    /// A batch of `structures`.
    pub fn new(structures: &'a [Structure<'a>]) -> Self {
        Self { structures }
    }

    /// The number of atoms of all structures together.
    pub fn n_atoms(&self) -> usize {
        self.structures.iter().map(|s| s.positions.len()).sum()
    }

    /// Find all pairs closer than `cutoff` within each structure.
    pub fn build(&self, cutoff: f64) -> Result<NeighborList> {
        let mut list = NeighborList::new();
        self.rebuild(&mut list, cutoff, &mut Workspace::default())?;
        Ok(list)
    }

    /// As [`Batch::build`], in memory that is there already; see [`NeighborList::rebuild`].
    pub fn rebuild(
        &self,
        list: &mut NeighborList,
        cutoff: f64,
        workspace: &mut Workspace,
    ) -> Result<()> {
        list.start();
        let result = search::check_cutoff(cutoff).and_then(|()| {
            let count = self.structures.len();
            self.structures
                .iter()
                .enumerate()
                .try_for_each(|(number, structure)| {
                    search::append(list, structure, cutoff, workspace)
                        .map_err(|error| in_structure(error, number, count))
                })
        });
        list.finish(result)
    }
}

/// Say which structure of a batch an error is about.
pub(super) fn in_structure(error: Error, number: usize, count: usize) -> Error {
    match error {
        Error::InvalidArgument(reason) if count > 1 => {
            Error::InvalidArgument(format!("structure {number}: {reason}"))
        }
        other => other,
    }
}
