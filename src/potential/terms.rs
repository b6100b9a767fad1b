//! Adding a model's priors to what its network computes.

use super::input::Structures;
use crate::Result;
use crate::engine::{Engine, Exchange, Graph, Results, Wanted};
use crate::neighbors::Cell;
use crate::pool::Pool;
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

/// Terms that are worth a second thread: they take some 30 ns each, waking threads some 10 µs.
const WORTH_THREADS: usize = 4096;

/// Adds `priors` to the network's `results`; `by_term` gets the energies of network and priors, structure by structure.
///
/// Structures are computed side by side where there are many terms; each is the work of one thread.
pub(super) fn add(
    priors: Option<&Priors>,
    structures: &Structures,
    cells: &[Cell],
    results: &mut Results,
    by_term: &mut Vec<f64>,
    threads: &mut Threads,
) -> Result<()> {
    let width = 1 + priors.map_or(0, Priors::count);
    by_term.clear();
    for energy in &results.energies {
        by_term.push(*energy);
        by_term.resize(by_term.len() + width - 1, 0.0);
    }
    let Some(priors) = priors else {
        return Ok(());
    };
    let batch = Batch {
        priors,
        structures,
        cells,
        width,
    };
    let whole = Part {
        first: 0,
        energies: &mut results.energies,
        by_term,
        atom_energies: &mut results.atom_energies,
        forces: &mut results.forces,
        virials: &mut results.virials,
        atom_virials: &mut results.atom_virials,
    };
    let pool = (priors.terms() >= WORTH_THREADS && cells.len() > 1)
        .then(|| threads.pool())
        .transpose()?;
    match pool.flatten() {
        Some(pool) => {
            let grain = cells.len().div_ceil(4 * pool.current_num_threads());
            pool.install(|| batch.divide(whole, grain))
        }
        None => batch.add(whole),
    }
}

/// What all threads read.
struct Batch<'a> {
    priors: &'a Priors,
    structures: &'a Structures<'a>,
    cells: &'a [Cell],
    width: usize,
}

/// The results of some structures, one after the other, beginning with number `first`; arrays that are not wanted are empty.
struct Part<'a> {
    first: usize,
    energies: &'a mut [f64],
    by_term: &'a mut [f64],
    atom_energies: &'a mut [f64],
    forces: &'a mut [[f64; 3]],
    virials: &'a mut [[f64; 9]],
    atom_virials: &'a mut [[f64; 9]],
}

impl Batch<'_> {
    /// Both halves side by side, down to `grain` structures; of two errors, the first structure's.
    fn divide(&self, part: Part, grain: usize) -> Result<()> {
        let count = part.energies.len();
        if count <= grain {
            return self.add(part);
        }
        let (head, tail) = self.split(part, count / 2);
        let (first, second) = rayon::join(|| self.divide(head, grain), || self.divide(tail, grain));
        first.and(second)
    }

    /// The first `count` structures of a part, and the rest.
    fn split<'a>(&self, part: Part<'a>, count: usize) -> (Part<'a>, Part<'a>) {
        fn cut<T>(values: &mut [T], at: usize) -> (&mut [T], &mut [T]) {
            values.split_at_mut(at.min(values.len()))
        }
        let offsets = self.structures.offsets;
        let atoms = offsets[part.first + count] - offsets[part.first];
        let (energies, by_term) = (
            cut(part.energies, count),
            cut(part.by_term, count * self.width),
        );
        let (atom_energies, forces) = (cut(part.atom_energies, atoms), cut(part.forces, atoms));
        let (virials, atom_virials) = (cut(part.virials, count), cut(part.atom_virials, atoms));
        let head = Part {
            first: part.first,
            energies: energies.0,
            by_term: by_term.0,
            atom_energies: atom_energies.0,
            forces: forces.0,
            virials: virials.0,
            atom_virials: atom_virials.0,
        };
        let tail = Part {
            first: part.first + count,
            energies: energies.1,
            by_term: by_term.1,
            atom_energies: atom_energies.1,
            forces: forces.1,
            virials: virials.1,
            atom_virials: atom_virials.1,
        };
        (head, tail)
    }

    /// One structure after the other.
    fn add(&self, part: Part) -> Result<()> {
        let offsets = self.structures.offsets;
        let start = offsets[part.first];
        for (place, energy) in part.energies.iter_mut().enumerate() {
            let number = part.first + place;
            let atoms = offsets[number]..offsets[number + 1];
            let own = atoms.start - start..atoms.end - start;
            let mut sums = Sums {
                energy,
                priors: &mut part.by_term[place * self.width + 1..(place + 1) * self.width],
                atom_energies: &mut part.atom_energies[own.clone()],
                forces: part.forces.get_mut(own.clone()).unwrap_or_default(),
                virial: part.virials.get_mut(place),
                atom_virials: part.atom_virials.get_mut(own).unwrap_or_default(),
            };
            let positions = &self.structures.positions[atoms];
            self.priors
                .add(number, positions, &self.cells[number], &mut sums)?;
        }
        Ok(())
    }
}

/// Threads for what the engine does not do, made when there is enough of it.
#[derive(Debug)]
pub struct Threads {
    count: usize,
    pool: Option<Pool>,
}

impl Threads {
    pub(super) fn new(count: usize) -> Self {
        Self { count, pool: None }
    }

    /// The threads; none if there is only the caller's.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] if they cannot be had.
    pub(crate) fn pool(&mut self) -> Result<Option<&Pool>> {
        if self.count > 1 && self.pool.is_none() {
            self.pool = Some(Pool::new(self.count)?);
        }
        Ok(self.pool.as_ref())
    }
}
