//! The boundary an engine is plugged into: a graph in, energies and their gradients out.
//!
//! An engine never knows who called it, how the neighbours were found or whose the ghosts are. A new
//! engine is one module here and one line in [`crate::potential`], where the choice is made.

pub mod cpu;
pub mod cuda;
mod motion;
pub mod reference;
mod terms;

pub use motion::{Motion, Moved};
pub use terms::{Chosen, Form, TermRows, Terms, Topology};

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
    /// Where the engine adds analytic terms, energies of the network and of each prior: structures × (1 + priors).
    pub terms: Vec<f64>,
}

impl Results {
    /// Zeros of the sizes `graph` and `wanted` ask for.
    pub fn reset(&mut self, graph: &Graph, wanted: Wanted) {
        let structures = graph.structures.len() - 1;
        self.size(graph.positions.len(), graph.owned, structures, wanted);
    }

    /// Zeros for so many atoms, owned ones among them, and structures.
    pub fn size(&mut self, atoms: usize, owned: usize, structures: usize, wanted: Wanted) {
        fn zeros<T: Clone>(buffer: &mut Vec<T>, zero: T, length: usize) {
            buffer.clear();
            buffer.resize(length, zero);
        }
        zeros(&mut self.energies, 0.0, structures);
        zeros(&mut self.atom_energies, 0.0, owned);
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
        self.terms.clear();
    }
}

/// Rows of numbers of an engine's own precision: [`Graph::feature_rows`] of them.
#[derive(Debug)]
pub enum Rows<'a> {
    /// float64
    F64(&'a mut [f64]),
    /// float32
    F32(&'a mut [f32]),
    /// In the engine's own memory, for an exchange that takes them there.
    OnDevice(DeviceRows),
}

/// Rows in a device's memory. What is done with them goes to the stream, or is done before the exchange returns and after the
/// stream has been waited for.
#[derive(Debug, Clone, Copy)]
pub struct DeviceRows {
    /// Where the first begins.
    pub address: u64,
    /// From the beginning of one to that of the next, in numbers; what is between them is zero and has to stay so.
    pub stride: usize,
    /// Bytes of a number: 4 or 8.
    pub element_size: usize,
    /// The stream that the engine works on.
    pub stream: u64,
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

    /// Whether rows may be handed over in a device's memory.
    fn on_device(&self) -> bool {
        false
    }
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

    /// The engine's own way to neighbours, if it has one.
    fn on_device(&mut self) -> Option<&mut dyn OnDevice> {
        None
    }
}

/// Independent structures whose neighbours the engine is to find.
#[derive(Debug, Clone, Copy)]
pub struct Unlisted<'a> {
    /// Positions of all atoms.
    pub positions: &'a [[f64; 3]],
    /// Embedding row of each atom.
    pub types: &'a [u32],
    /// Atoms of structure s are `structures[s]..structures[s + 1]`.
    pub structures: &'a [usize],
    /// Lattice vectors of each structure, as rows, and which of them repeat; `None` if nothing does.
    pub cells: Option<Cells<'a>>,
    /// Pairs of atoms that are left out, in either direction.
    pub excluded: &'a [[i32; 2]],
    /// What a list is longer than the cutoff.
    pub skin: f64,
    /// Terms to add to what the network gives.
    pub terms: Option<Chosen<'a>>,
}

/// Lattice vectors of each structure, and which of them repeat.
pub type Cells<'a> = (&'a [[[f64; 3]; 3]], &'a [[bool; 3]]);

/// Structures as a host has them on the engine's own device: addresses of arrays, zero for none. Only the arrays marked so may
/// be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Resident {
    pub atoms: usize,
    pub structures: usize,
    /// structures + 1 numbers of 64 bits; may be missing for one structure.
    pub offsets: u64,
    /// atoms × 3 float64
    pub positions: u64,
    /// atoms int32: the model's own integers
    pub types: u64,
    /// structures × 3 × 3 float64; may be missing.
    pub cells: u64,
    /// structures × 3 bytes; may be missing.
    pub periodic: u64,
    pub excluded_pairs: usize,
    /// excluded pairs × 2 int32; may be missing.
    pub excluded: u64,
    /// structures int32: topologies, −1 for the one that has a structure's types; may be missing.
    pub topologies: u64,
    pub skin: f64,
}

/// Where a host wants results on the engine's own device: addresses of arrays of float64 as in [`Results`], zero for what it does
/// not want.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[allow(missing_docs)]
pub struct ResidentResults {
    pub energies: u64,
    pub atom_energies: u64,
    pub forces: u64,
    pub virials: u64,
    pub atom_virials: u64,
    pub terms: u64,
}

/// What an engine can do whose arrays are on a device: find neighbours there, and serve hosts that have theirs there too.
pub trait OnDevice {
    /// As [`Engine::compute`], the list found here and kept while it serves; returns whether it was found anew.
    ///
    /// # Errors
    /// As [`Engine::compute`], and [`Error::InvalidArgument`] for cells and positions that no list can be made of.
    fn compute_unlisted(
        &mut self,
        structures: &Unlisted,
        wanted: Wanted,
        results: &mut Results,
    ) -> Result<bool>;

    /// Moves replicas from where `start` says by so many steps, in one go, to `moved`; returns how often a list was found.
    ///
    /// # Errors
    /// As [`OnDevice::compute_unlisted`], and [`Error::Numerical`] for an atom that moves too far, of any of the steps; nothing that
    /// was given has changed, and what is in `moved` is unspecified.
    fn advance(
        &mut self,
        start: &Unlisted,
        motion: &Motion,
        steps: u64,
        moved: &mut Moved,
    ) -> Result<u64>;

    /// Makes the next call find the list anew.
    fn forget_list(&mut self);

    /// What it computes on.
    ///
    /// # Errors
    /// [`Error::Device`]
    fn facts(&self) -> Result<cuda::Facts>;

    /// Puts all that computing `structures` takes on `stream`, with `terms` added, and waits only where memory has to grow.
    ///
    /// # Errors
    /// What can be seen without waiting; the rest is [`OnDevice::check`]'s, and what was computed is then not a number.
    fn enqueue(
        &mut self,
        structures: &Resident,
        results: &ResidentResults,
        terms: Option<&dyn Terms>,
        stream: u64,
    ) -> Result<()>;

    /// Waits for `stream` and reports the first thing that went wrong since the last time.
    ///
    /// # Errors
    /// As [`OnDevice::compute_unlisted`]; [`Error::Again`] if a list had no room, which it has now.
    fn check(&mut self, stream: u64, terms: Option<&dyn Terms>) -> Result<()>;
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
