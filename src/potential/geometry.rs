//! From a caller's arrays to structures with cells, and their neighbours.

use super::input::{self, Structures};
use crate::neighbors::{Batch, Cell, NeighborList, Structure};
use crate::{Error, Result};

/// All directed pairs closer than `cutoff` of independent structures; types and exclusions are not looked at.
///
/// # Errors
/// [`Error::InvalidArgument`] naming the atom or cell at fault.
pub fn neighbor_list(structures: &Structures, cutoff: f64) -> Result<NeighborList> {
    check(structures)?;
    let mut each = Vec::new();
    cells(structures, &mut each)?;
    let each: Vec<_> = split(structures, &each).collect();
    Batch::new(&each).build(cutoff)
}

/// One view a structure.
pub(super) fn split<'a>(
    structures: &Structures<'a>,
    cells: &'a [Cell],
) -> impl ExactSizeIterator<Item = Structure<'a>> + Clone {
    let Structures {
        offsets, positions, ..
    } = *structures;
    let bounds = offsets.windows(2).zip(cells);
    bounds.map(|(bounds, cell)| Structure {
        positions: &positions[bounds[0]..bounds[1]],
        cell,
    })
}

/// Whether the arrays of `structures` fit each other; types are not looked at.
pub(super) fn check(structures: &Structures) -> Result<()> {
    let atoms = structures.positions.len();
    if atoms > i32::MAX as usize {
        return Err(Error::invalid(format!(
            "{atoms} atoms, at most {} are supported",
            i32::MAX
        )));
    }
    input::rising(structures.offsets, atoms, "structure offsets", "atoms")?;
    let count = structures.offsets.len() - 1;
    for (name, given) in [
        ("cells", structures.cells.len()),
        ("periodicities", structures.periodic.len()),
    ] {
        if given != 0 && given != count {
            return Err(Error::invalid(format!(
                "{given} {name} for {count} structures"
            )));
        }
    }
    Ok(())
}

/// Makes `cells` the checked cell of each structure; those that are there already are kept.
pub(super) fn cells(structures: &Structures, cells: &mut Vec<Cell>) -> Result<()> {
    let count = structures.offsets.len() - 1;
    cells.resize_with(count, Cell::open);
    for (s, cell) in cells.iter_mut().enumerate() {
        let vectors = structures.cells.get(s);
        let periodic = structures
            .periodic
            .get(s)
            .copied()
            .unwrap_or([vectors.is_some(); 3]);
        if *cell.vectors() == vectors.copied().unwrap_or_default() && cell.periodic() == periodic {
            continue;
        }
        let checked = match vectors {
            Some(vectors) => Cell::new(*vectors, periodic),
            None if periodic == [false; 3] => Ok(Cell::open()),
            None => Err(Error::invalid("periodic directions without a cell")),
        };
        *cell = checked.map_err(|error| match error {
            Error::InvalidArgument(text) if count > 1 => {
                Error::invalid(format!("structure {s}: {text}"))
            }
            other => other,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_list_needs_no_types() {
        let structures = Structures {
            offsets: &[0, 2],
            positions: &[[0.0; 3], [1.0, 0.0, 0.0]],
            types: &[],
            cells: &[],
            periodic: &[],
            excluded: None,
            topologies: None,
        };
        assert_eq!(neighbor_list(&structures, 2.0).unwrap().neighbors, [1, 0]);
    }
}
