//! What a caller hands over, and the checks every way in shares.

use crate::model::Model;
use crate::{Error, Result};

/// Independent structures, atoms one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Structures<'a> {
    /// Atoms of structure s are `offsets[s]..offsets[s + 1]`.
    pub offsets: &'a [usize],
    /// Positions, in the model's unit of length.
    pub positions: &'a [[f64; 3]],
    /// The model's own integers, one an atom.
    pub types: &'a [i32],
    /// Lattice vectors of each structure, as rows; empty where there is no cell at all.
    pub cells: &'a [[[f64; 3]; 3]],
    /// Periodic directions of each structure; empty: all three where there are cells, else none.
    pub periodic: &'a [[bool; 3]],
    /// Pairs of atoms that are left out of the graph, counted over the whole batch.
    pub excluded: Option<&'a [[i32; 2]]>,
    /// Number of each structure's topology, [`crate::prior::FIND`] to find it by types; `None`: all are found.
    pub topologies: Option<&'a [i32]>,
}

/// A host's full neighbour list: every owned atom with all its neighbours, ghosts among them.
#[derive(Debug, Clone, Copy)]
pub struct HostNeighbors<'a> {
    /// Number of owned and ghost atoms together.
    pub atoms: usize,
    /// Neighbours of owned atom i are `neighbors[offsets[i]..offsets[i + 1]]`.
    pub offsets: &'a [usize],
    /// Indices of owned or ghost atoms.
    pub neighbors: &'a [i32],
    /// What is subtracted from every index: 0, or 1 for hosts that count from 1.
    pub base: i32,
    /// For every atom the one it is a copy of: itself for owned ones, an owned atom, or for copies of an atom of another
    /// domain one ghost that stands for all of them. `None` where every ghost has features of its own.
    pub owners: Option<&'a [i32]>,
}

/// Positions and types of a host's atoms, ghosts last, for the list set before.
#[derive(Debug, Clone, Copy)]
pub struct Domain<'a> {
    /// Positions, in the model's unit of length.
    pub positions: &'a [[f64; 3]],
    /// The model's own integers, one an atom.
    pub types: &'a [i32],
}

/// Types from here on are looked up one by one, and all if there are no more atoms than [`MANY`].
const SMALL: usize = 128;
const MANY: usize = 1024;

/// Embedding rows of `types`, or which atom's type the model does not know.
pub(super) fn rows(model: &Model, types: &[i32], atoms: usize, rows: &mut Vec<u32>) -> Result<()> {
    if types.len() != atoms {
        return Err(Error::invalid(format!(
            "{} types for {atoms} positions",
            types.len()
        )));
    }
    // Most models' types are small numbers: where there are many, they need no hashing.
    let many = atoms > MANY;
    let of_small = |kind| many.then(|| model.row(kind as i32)).flatten();
    let known: [Option<u32>; SMALL] = std::array::from_fn(of_small);
    let row = |kind: i32| match known.get(kind as usize) {
        Some(&row) if many => row,
        _ => model.row(kind),
    };
    rows.clear();
    rows.reserve(atoms);
    for (atom, &kind) in types.iter().enumerate() {
        rows.push(row(kind).ok_or_else(|| {
            Error::invalid(format!(
                "atom {atom} has type {kind}, which {} does not know",
                model.name()
            ))
        })?);
    }
    Ok(())
}

/// Which position is not a number, if one is not.
pub(super) fn finite(positions: &[[f64; 3]]) -> Result<()> {
    for (atom, position) in positions.iter().enumerate() {
        for (axis, value) in ["x", "y", "z"].iter().zip(position) {
            if !value.is_finite() {
                return Err(Error::invalid(format!(
                    "position of atom {atom} is not finite ({axis} = {value})"
                )));
            }
        }
    }
    Ok(())
}

/// Offsets that rise from 0 to `last`.
pub(super) fn rising(offsets: &[usize], last: usize, name: &str, of: &str) -> Result<()> {
    if offsets.first() != Some(&0) || offsets.last() != Some(&last) {
        return Err(Error::invalid(format!(
            "{name} must run from 0 to the number of {of}, {last}"
        )));
    }
    match offsets.windows(2).position(|pair| pair[0] > pair[1]) {
        None => Ok(()),
        Some(at) => Err(Error::invalid(format!("{name} falls after element {at}"))),
    }
}
