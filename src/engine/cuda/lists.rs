//! The neighbour list on the device: copied when it changes, not in every call.

use std::sync::Arc;

use super::device::{Array, Device};
use super::system::Inputs;
use crate::Result;
use crate::engine::Graph;

/// Candidates by rows, on the device.
pub(super) struct Lists {
    /// The list that is there.
    version: Option<u64>,
    /// Rows, and whether those of ghosts have pairs.
    rows: (usize, bool),
    pairs: usize,
    shifted: bool,
    owned_by: bool,
    starts: Array,
    candidates: Array,
    shifts: Array,
    owners: Array,
    structure: Array,
    structures: Array,
}

impl Lists {
    pub fn new(device: &Arc<dyn Device>) -> Self {
        let array = || Array::new(device);
        Self {
            version: None,
            rows: (0, false),
            pairs: 0,
            shifted: false,
            owned_by: false,
            starts: array(),
            candidates: array(),
            shifts: array(),
            owners: array(),
            structure: array(),
            structures: array(),
        }
    }

    /// Directed pairs, beyond the cutoff too.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Brings the list of `graph` to the device if it is not there. Rows of ghosts have the owned atoms that hear them, or
    /// nothing where an exchange says what is needed.
    pub fn update(&mut self, graph: &Graph, exchange: bool) -> Result<Inputs> {
        let rows = (graph.feature_rows(), !exchange);
        if self.version.is_none() || self.version != graph.version || self.rows != rows {
            self.version = None;
            self.copy(graph, rows)?;
            self.rows = rows;
            self.version = graph.version;
        }
        let address = |there: bool, array: &Array| if there { array.address() } else { 0 };
        Ok(Inputs {
            starts: self.starts.address(),
            candidates: self.candidates.address(),
            shifts: address(self.shifted, &self.shifts),
            owners: address(self.owned_by, &self.owners),
            structure: self.structure.address(),
            structures: self.structures.address(),
            ..Inputs::default()
        })
    }

    fn copy(&mut self, graph: &Graph, (rows, heard): (usize, bool)) -> Result<()> {
        let mut starts: Vec<u64> = graph.offsets.iter().map(|&start| start as u64).collect();
        let images = graph.images.as_ref();
        self.shifted = images.is_some_and(|images| images.shifts.iter().any(|s| *s != [0; 3]));
        self.owned_by = graph.owners.is_some();
        if rows == graph.owned || !heard {
            starts.resize(rows + 1, graph.neighbors.len() as u64);
            self.candidates.set(graph.neighbors)?;
            if let Some(images) = images.filter(|_| self.shifted) {
                self.shifts.set(images.shifts)?;
            }
        } else {
            let (candidates, shifts) = with_ghosts(graph, &mut starts);
            self.candidates.set(&candidates)?;
            if self.shifted {
                self.shifts.set(&shifts)?;
            }
        }
        self.pairs = starts.last().map_or(0, |&end| end as usize);
        self.starts.set(&starts)?;
        if let Some(owners) = graph.owners {
            self.owners.set(owners.rows)?;
        }
        let structures: Vec<u32> = graph.structures.iter().map(|&start| start as u32).collect();
        let mut structure = Vec::with_capacity(rows);
        for (number, bounds) in graph.structures.windows(2).enumerate() {
            structure.resize(bounds[1], number as u32);
        }
        // Ghosts belong to the one structure that has them, the last.
        structure.resize(rows, (structures.len() - 2) as u32);
        self.structure.set(&structure)?;
        self.structures.set(&structures)?;
        Ok(())
    }
}

/// The list with rows for ghosts, which hold the owned atoms that hear them.
fn with_ghosts(graph: &Graph, starts: &mut Vec<u64>) -> (Vec<u32>, Vec<[i32; 3]>) {
    let ghosts = graph.feature_rows() - graph.owned;
    let mut heard_by: Vec<u64> = vec![0; ghosts];
    let ghost = |neighbor: u32| (neighbor as usize).checked_sub(graph.owned);
    for ghost in graph.neighbors.iter().filter_map(|&j| ghost(j)) {
        heard_by[ghost] += 1;
    }
    let mut end = graph.neighbors.len() as u64;
    let mut next = Vec::with_capacity(ghosts);
    for count in heard_by {
        next.push(end as usize);
        end += count;
        starts.push(end);
    }
    let mut candidates = graph.neighbors.to_vec();
    candidates.resize(end as usize, 0);
    let mut shifts = graph
        .images
        .map_or(Vec::new(), |images| images.shifts.to_vec());
    shifts.resize(end as usize, [0; 3]);
    for owned in 0..graph.owned {
        for pair in graph.offsets[owned]..graph.offsets[owned + 1] {
            if let Some(ghost) = ghost(graph.neighbors[pair]) {
                candidates[next[ghost]] = owned as u32;
                shifts[next[ghost]] = shifts[pair].map(|steps| -steps);
                next[ghost] += 1;
            }
        }
    }
    (candidates, shifts)
}
