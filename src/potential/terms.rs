//! Adding a model's priors to what its network computes.

use super::input::Structures;
use crate::Result;
use crate::engine::{Engine, Exchange, Graph, Results, Wanted};
use crate::neighbors::Cell;
use crate::prior::{Priors, Sums};

/// The network of a model that has none: zeros.
pub(super) struct NoNetwork;

impl Engine for NoNetwork {
    fn compute(
        &mut self,
        graph: &Graph,
        wanted: Wanted,
        _: Option<&mut dyn Exchange>,
        results: &mut Results,
    ) -> Result<()> {
        results.reset(graph, wanted);
        Ok(())
    }
}

/// Adds `priors` to the network's `results`; `by_term` gets the energies of network and priors, structure by structure.
pub(super) fn add(
    priors: Option<&Priors>,
    structures: &Structures,
    cells: &[Cell],
    results: &mut Results,
    by_term: &mut Vec<f64>,
) -> Result<()> {
    let width = 1 + priors.map_or(0, Priors::count);
    by_term.clear();
    by_term.resize(width * cells.len(), 0.0);
    for (number, cell) in cells.iter().enumerate() {
        let atoms = structures.offsets[number]..structures.offsets[number + 1];
        let (network, each) = by_term[number * width..(number + 1) * width]
            .split_first_mut()
            .expect("at least the network");
        *network = results.energies[number];
        let Some(priors) = priors else {
            continue;
        };
        let mut sums = Sums {
            energy: &mut results.energies[number],
            priors: each,
            atom_energies: &mut results.atom_energies[atoms.clone()],
            forces: results.forces.get_mut(atoms.clone()).unwrap_or_default(),
            virial: results.virials.get_mut(number),
            atom_virials: results
                .atom_virials
                .get_mut(atoms.clone())
                .unwrap_or_default(),
        };
        priors.add(number, &structures.positions[atoms], cell, &mut sums)?;
    }
    Ok(())
}
