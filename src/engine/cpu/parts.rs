//! What goes through the whole network at once: a batch is cut into parts that fit a processor's cache.
//!
//! Structures do not know of each other. One that has been read from memory goes all the way through the network and back before the
//! next is touched, so that a batch costs no more than its structures one by one; small ones go together.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::rows::{Array, Rows};
use crate::engine::{Graph, Results};
use crate::{Error, Result};

/// Small structures are taken together until there are this many rows.
const PART_ROWS: usize = 64;

/// Structures one after the other, and their rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub structures: Range<usize>,
    /// Rows of features; those of ghosts are the last.
    pub rows: Range<usize>,
    /// How many of the rows are of owned atoms.
    pub owned: usize,
    /// How many have pairs: those of owned atoms, and those of ghosts if nobody else computes what these feel.
    pub listed: usize,
}

impl Part {
    /// The rows of owned atoms of each structure, counted from the part's first.
    pub fn structures<'a>(
        &self,
        graph: &Graph<'a>,
    ) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let (first, bounds) = (self.rows.start, graph.structures);
        let bounds = &bounds[self.structures.start..=self.structures.end];
        bounds
            .windows(2)
            .map(move |bounds| bounds[0] - first..bounds[1] - first)
    }
}

/// The parts of a graph. They depend on its structures only; with an exchange there is one.
pub(super) fn parts(graph: &Graph, exchange: bool, parts: &mut Vec<Part>) {
    parts.clear();
    let count = graph.structures.len() - 1;
    let rows = graph.feature_rows();
    if exchange || rows > graph.owned {
        parts.push(Part {
            structures: 0..count,
            rows: 0..rows,
            owned: graph.owned,
            listed: if exchange { graph.owned } else { rows },
        });
        return;
    }
    for (structure, bounds) in graph.structures.windows(2).enumerate() {
        let rows = bounds[1] - bounds[0];
        match parts.last_mut() {
            Some(last) if last.owned + rows <= PART_ROWS => {
                last.structures.end += 1;
                last.rows.end += rows;
                last.owned += rows;
                last.listed += rows;
            }
            _ => parts.push(Part {
                structures: structure..structure + 1,
                rows: bounds[0]..bounds[1],
                owned: rows,
                listed: rows,
            }),
        }
    }
}

/// Whether a thread is to work on a part alone, beside other threads with other parts.
pub(super) fn alone(part: &Part, graph: &Graph, threads: usize) -> bool {
    threads > 1 && part.rows.len() <= (graph.owned / (2 * threads)).max(PART_ROWS)
}

/// The results of one or several parts.
pub(super) struct Outputs<'a> {
    pub energies: Array<'a, f64>,
    pub virials: Array<'a, [f64; 9]>,
    pub atom_energies: Array<'a, f64>,
    pub forces: Array<'a, [f64; 3]>,
    pub atom_virials: Array<'a, [f64; 9]>,
}

impl<'a> Outputs<'a> {
    pub fn new(results: &'a mut Results) -> Self {
        Self {
            energies: Array::new(&mut results.energies, 1),
            virials: Array::new(&mut results.virials, 1),
            atom_energies: Array::new(&mut results.atom_energies, 1),
            forces: Array::new(&mut results.forces, 1),
            atom_virials: Array::new(&mut results.atom_virials, 1),
        }
    }
}

/// Results that are divided between parts.
pub(super) struct ByPart<'a> {
    pub parts: &'a [Part],
    pub outputs: Outputs<'a>,
}

impl Rows for ByPart<'_> {
    fn split(self, part: usize) -> (Self, Self) {
        let (left, right) = self.parts.split_at(part);
        let (rows, structures) = match (left.first(), left.last()) {
            (Some(first), Some(last)) => (
                last.rows.end - first.rows.start,
                last.structures.end - first.structures.start,
            ),
            _ => (0, 0),
        };
        let Outputs {
            energies,
            virials,
            atom_energies,
            forces,
            atom_virials,
        } = self.outputs;
        let of_structures = (energies, virials).split(structures);
        let of_rows = (atom_energies, forces, atom_virials).split(rows);
        let join = |parts, (energies, virials), (atom_energies, forces, atom_virials)| ByPart {
            parts,
            outputs: Outputs {
                energies,
                virials,
                atom_energies,
                forces,
                atom_virials,
            },
        };
        (
            join(left, of_structures.0, of_rows.0),
            join(right, of_structures.1, of_rows.1),
        )
    }
}

/// What went wrong in the first of the parts that failed, whichever thread met it first.
#[derive(Default)]
pub(super) struct FirstError {
    found: Mutex<Option<(usize, Error)>>,
}

impl FirstError {
    /// Takes note of the outcome of a part that begins at `row`.
    pub fn note(&self, row: usize, outcome: Result<()>) {
        let Err(error) = outcome else { return };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.as_ref().is_none_or(|(first, _)| row < *first) {
            *found = Some((row, error));
        }
    }

    pub fn into_result(self) -> Result<()> {
        let found = self.found.into_inner();
        match found.unwrap_or_else(PoisonError::into_inner) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_structures_go_together_and_large_ones_by_themselves() {
        let structures = [0, 9, 18, 318, 328, 392, 392];
        let positions = vec![[0.0; 3]; 392];
        let graph = Graph {
            positions: &positions,
            types: &[],
            owned: 392,
            structures: &structures,
            offsets: &[],
            neighbors: &[],
            images: None,
            owners: None,
            version: None,
        };
        let mut found = Vec::new();
        parts(&graph, false, &mut found);
        let bounds: Vec<_> = found
            .iter()
            .map(|part| (part.structures.clone(), part.rows.clone(), part.owned))
            .collect();
        assert_eq!(
            bounds,
            [
                (0..2, 0..18, 18),
                (2..3, 18..318, 300),
                (3..4, 318..328, 10),
                (4..6, 328..392, 64)
            ]
        );
        assert!(alone(&found[0], &graph, 2) && !alone(&found[1], &graph, 2));
    }
}
