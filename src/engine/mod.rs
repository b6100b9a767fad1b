//! The boundary an engine is plugged into: a graph in, energies and their gradients out.
//!
//! An engine never knows who called it, how the neighbours were found or whose the ghosts are. A new
//! engine is one module here and one line in [`crate::potential`], where the choice is made.

pub mod cpu;
pub mod cuda;
pub mod reference;

use crate::model::{Model, Network};
use crate::{Error, Result};

/// Atoms and the directed pairs between them, in compressed sparse rows by receiver.
#[derive(Debug, Clone, Copy)]
pub struct Graph<'a> {
    /// Positions of all atoms: owned ones first, then ghosts.
    pub positions: &'a [[f64; 3]],
    /// Embedding row of each atom.
    pub types: &'a [u32],
    /// Number of owned atoms; only these receive messages and have energies.
    pub owned: usize,
    /// Owned atoms of structure s are `structures[s]..structures[s + 1]`.
    pub structures: &'a [usize],
    /// Senders of receiver i are `neighbors[offsets[i]..offsets[i + 1]]`.
    pub offsets: &'a [usize],
    /// The sender of each pair. Pairs beyond the cutoff are allowed and ignored.
    pub neighbors: &'a [u32],
    /// Periodic images of the senders.
    pub images: Option<Images<'a>>,
    /// Which atoms share features; `None` where each has its own.
    pub owners: Option<Owners<'a>>,
    /// The number of the list: graphs of one caller with the same number have the same structures, offsets, neighbours,
    /// shifts and owners, so that an engine may keep a copy. `None` if there is no telling.
    pub version: Option<u64>,
}

/// Which ghosts are copies of which atoms: all copies of an atom have one row of features.
#[derive(Debug, Clone, Copy)]
pub struct Owners<'a> {
    /// For each atom its row: an owned atom's, or one after those, which an [`Exchange`] fills.
    pub rows: &'a [u32],
    /// The ghost that stands for each row after the owned ones. Without an exchange there are none.
    pub remote: &'a [u32],
}

/// Lattice translations of the senders of a graph.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// Lattice translation of the sender of each pair.
    pub shifts: &'a [[i32; 3]],
    /// Lattice vectors of each structure, as rows.
    pub cells: &'a [[[f64; 3]; 3]],
}

impl Graph<'_> {
    /// The vector from receiver `i`, of structure `structure`, to the sender of pair `pair`.
    #[inline(always)]
    pub fn vector(&self, structure: usize, i: usize, pair: usize) -> [f64; 3] {
        let (from, to) = (
            self.positions[i],
            self.positions[self.neighbors[pair] as usize],
        );
        let mut d = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
        if let Some(images) = &self.images {
            let (shift, cell) = (images.shifts[pair], &images.cells[structure]);
            for (steps, vector) in shift.iter().zip(cell) {
                let steps = f64::from(*steps);
                for axis in 0..3 {
                    d[axis] += steps * vector[axis];
                }
            }
        }
        d
    }

    /// The row of the features and feature gradients of `atom`.
    #[inline]
    pub fn row(&self, atom: usize) -> usize {
        self.owners
            .map_or(atom, |owners| owners.rows[atom] as usize)
    }

    /// The atom that stands for a row.
    #[inline]
    pub fn atom(&self, row: usize) -> usize {
        match self.owners {
            Some(owners) if row >= self.owned => owners.remote[row - self.owned] as usize,
            _ => row,
        }
    }

    /// Rows of feature arrays: those of owned atoms, then those of other domains' atoms, each once where copies are known.
    pub fn feature_rows(&self) -> usize {
        self.owners.map_or(self.positions.len(), |owners| {
            self.owned + owners.remote.len()
        })
    }
}

/// What the caller wants beyond the energies of atoms and structures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Forces on all atoms, ghosts too where nobody else computes them.
    pub forces: bool,
    /// Virial of each structure.
    pub virials: bool,
    /// Virial of each atom, ghosts too where nobody else computes them.
    pub atom_virials: bool,
}

impl Wanted {
    /// Whether any gradient is needed.
    pub fn gradients(self) -> bool {
        self.forces || self.virials || self.atom_virials
    }
}

/// Buffers an engine fills; sized by [`Results::reset`], reused from call to call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// Energy of each structure.
    pub energies: Vec<f64>,
    /// Energy of each owned atom.
    pub atom_energies: Vec<f64>,
    /// −dE/dr of each atom, ghosts too.
    pub forces: Vec<[f64; 3]>,
    /// −dE/dε of each structure, row-major 3 × 3.
    pub virials: Vec<[f64; 9]>,
    /// Share of each atom in the virial, row-major 3 × 3: half of each pair's to either atom.
    pub atom_virials: Vec<[f64; 9]>,
}

impl Results {
    /// Zeros of the sizes `graph` and `wanted` ask for.
    pub fn reset(&mut self, graph: &Graph, wanted: Wanted) {
        fn zeros<T: Clone>(buffer: &mut Vec<T>, zero: T, length: usize) {
            buffer.clear();
            buffer.resize(length, zero);
        }
        let atoms = graph.positions.len();
        let structures = graph.structures.len() - 1;
        zeros(&mut self.energies, 0.0, structures);
        zeros(&mut self.atom_energies, 0.0, graph.owned);
        zeros(
            &mut self.forces,
            [0.0; 3],
            if wanted.forces { atoms } else { 0 },
        );
        zeros(
            &mut self.virials,
            [0.0; 9],
            if wanted.virials { structures } else { 0 },
        );
        zeros(
            &mut self.atom_virials,
            [0.0; 9],
            if wanted.atom_virials { atoms } else { 0 },
        );
    }
}

/// Rows of numbers of an engine's own precision: [`Graph::feature_rows`] of them.
#[derive(Debug)]
pub enum Rows<'a> {
    /// float64
    F64(&'a mut [f64]),
    /// float32
    F32(&'a mut [f32]),
}

/// How a host that divides space among processes moves features between them.
///
/// Called once for each block but the first on the way forward, and for gradients once for each block on the way back, in the
/// same order on every process, also on one without atoms. With an exchange all that is known of owned atoms is complete,
/// forces too, and other atoms have none.
pub trait Exchange {
    /// Fills the rows after the owned atoms' from the rows of the atoms, of this domain or another, that they stand for.
    ///
    /// # Errors
    /// Whatever the host's callback reports.
    fn forward(&mut self, rows: Rows, width: usize) -> Result<()>;
}

/// Something that computes energies and gradients of a graph.
pub trait Engine: Send {
    /// Fills `results` for `graph`.
    ///
    /// # Errors
    /// [`crate::Error::InvalidArgument`] for atoms at one point, [`crate::Error::Callback`] from `exchange`.
    /// The contents of `results` are then unspecified.
    fn compute(
        &mut self,
        graph: &Graph,
        wanted: Wanted,
        exchange: Option<&mut dyn Exchange>,
        results: &mut Results,
    ) -> Result<()>;
}

/// The network an engine is to compute.
///
/// # Errors
/// [`Error::Unsupported`] if the model has none.
pub fn network(model: &Model) -> Result<&Network> {
    model
        .network()
        .ok_or_else(|| Error::unsupported(format!("{} has no network, only priors", model.name())))
}
