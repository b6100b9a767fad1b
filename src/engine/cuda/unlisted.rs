//! Structures without a list: neighbours are found on the device, whoever's memory the arrays are in.

use std::sync::Arc;

use super::device::{Array, Batch, Device, Facts, Kernel, Lane, words_of};
use super::finder::{Finder, Problem};
use super::list_system::{Arrays, Host, Status, TermFault, Trouble};
use super::passes::{Run, Shape};
use super::system::Inputs;
use super::term_system::TermSystem;
use super::term_tables::{Place, TermTables};
use super::tuning::{Regime, Tuning};
use super::{CudaEngine, CudaReal};
use crate::engine::{
    Chosen, Motion, Moved, OnDevice, Resident, ResidentResults, Results, Terms, Unlisted, Wanted,
    network as network_of,
};
use crate::{Error, Result};

/// Atoms of one call: their numbers must fit in half of what the device reports with.
const MOST_ATOMS: usize = 1 << 28;
/// Atoms in a host's structures of unknown sizes that no list is kept for, since each might have all others as neighbours.
const MOST_UNKNOWN: usize = 1024;

/// What is kept on the device beside the engine's arrays.
pub(super) struct Unlisting {
    pub finder: Finder,
    positions: Array,
    cells: Array,
    structures: Array,
    structure: Array,
    periodic: Array,
    excluded: Array,
    places: Places,
    /// The same of a host's arrays, and rows of the embedding: apart, since a graph of the host's may write them at any time.
    resident_structures: Array,
    resident_structure: Array,
    resident_types: Array,
    resident_places: Places,
    /// Type of each row of the embedding.
    known: Array,
    known_count: usize,
    /// What the arrays of structures were made of.
    offsets: Vec<usize>,
    /// Lists found when this was last looked at.
    pub builds: u64,
    /// What a stream may record: its arrays are there.
    pub ready: Option<(Problem, Wanted)>,
}

impl Unlisting {
    /// Nothing yet; `known` are the types of the embedding's rows.
    pub fn new(device: &Arc<dyn Device>, known: &[i32]) -> Result<Self> {
        let array = || Array::new(device);
        let mut own = Self {
            finder: Finder::new(device)?,
            positions: array(),
            cells: array(),
            structures: array(),
            structure: array(),
            periodic: array(),
            excluded: array(),
            places: Places::new(device),
            resident_structures: array(),
            resident_structure: array(),
            resident_types: array(),
            resident_places: Places::new(device),
            known: array(),
            known_count: known.len(),
            offsets: Vec::new(),
            builds: 0,
            ready: None,
        };
        own.known.set(known)?;
        Ok(own)
    }

    /// Brings structures to the device; returns what there is to find, and where. Whether rows are few decides if a list is kept.
    pub fn bring(&mut self, given: &Unlisted, cutoff: f64, few: bool) -> Result<(Problem, Arrays)> {
        let sizes = || {
            given
                .structures
                .windows(2)
                .map(|bounds| bounds[1] - bounds[0])
        };
        let plain = given.cells.is_none() && given.excluded.is_empty();
        let problem = Problem {
            atoms: given.positions.len(),
            structures: given.structures.len() - 1,
            largest: given
                .structures
                .windows(2)
                .map(|bounds| bounds[1] - bounds[0])
                .max()
                .unwrap_or(0),
            excluded: given.excluded.len(),
            cells: given.cells.is_some(),
            periodic: given.cells.is_some(),
            cutoff,
            skin: given.skin,
            listless: few && plain && sizes().all(|size| size <= Tuning::RANK_CANDIDATES),
        };
        check_size(problem.atoms)?;
        if self.offsets != given.structures {
            self.offsets.clear();
            let starts: Vec<u32> = given.structures.iter().map(|&start| start as u32).collect();
            let mut structure = Vec::with_capacity(problem.atoms);
            for (number, bounds) in given.structures.windows(2).enumerate() {
                structure.resize(bounds[1], number as u32);
            }
            self.structures.set(&starts)?;
            self.structure.set(&structure)?;
            if few {
                let rows = sizes().flat_map(|size| std::iter::repeat_n(size, size));
                self.places.set(rows.map(|size| size - 1))?;
            }
            self.offsets.extend_from_slice(given.structures);
        }
        let (cells, periodic) = match given.cells {
            Some((cells, periodic)) => {
                let flags: Vec<[u8; 3]> = periodic.iter().map(|row| row.map(u8::from)).collect();
                (self.cells.set(cells)?, self.periodic.set(&flags)?)
            }
            None => (0, 0),
        };
        let arrays = Arrays {
            positions: self.positions.set(given.positions)?,
            structures: self.structures.address(),
            structure: self.structure.address(),
            cells,
            periodic,
            excluded: self.excluded.set(given.excluded)?,
            ..Arrays::default()
        };
        Ok((problem, arrays))
    }

    /// What it takes to bring positions to the host that have moved here.
    pub fn part<'a>(&self, positions: &'a mut [[f64; 3]]) -> (u64, &'a mut [u8]) {
        self.positions.part(positions)
    }

    /// Deals with what a step found wrong.
    pub fn settle(&mut self, status: Status) -> Result<Verdict> {
        let Some(trouble) = status.trouble() else {
            return Ok(Verdict::Sound);
        };
        self.finder.clear(status)?;
        match trouble {
            Trouble::NoRoom(pairs) => {
                self.finder.make_room(pairs);
                Ok(Verdict::Again)
            }
            Trouble::Wrong(error) => Err(error),
            Trouble::Term(fault) => Ok(Verdict::Term(fault)),
            Trouble::Unmatched(structure) => Ok(Verdict::Unmatched(structure)),
        }
    }
}

/// Where the pairs of every row have room if there is no list.
struct Places {
    array: Array,
    rows: usize,
    pairs: usize,
}

impl Places {
    fn new(device: &Arc<dyn Device>) -> Self {
        Self {
            array: Array::new(device),
            rows: 0,
            pairs: 0,
        }
    }

    /// For rows of at most so many pairs each.
    fn set(&mut self, rows: impl Iterator<Item = usize>) -> Result<()> {
        self.rows = 0;
        let mut end = 0;
        let starts: Vec<u64> = rows
            .map(|most| {
                end += most;
                (end - most) as u64
            })
            .collect();
        self.array.set(&starts)?;
        (self.rows, self.pairs) = (starts.len(), end);
        Ok(())
    }
}

/// How a step ended, errors aside that need no more words.
pub(super) enum Verdict {
    Sound,
    /// It is to be computed again, with more room.
    Again,
    Term(TermFault),
    Unmatched(usize),
}

/// Neighbour lists from a device, without a network: what tests compare with the processor's.
pub struct DeviceLists {
    device: Arc<dyn Device>,
    own: Unlisting,
    found: Array,
}

/// A list as it was on a device: every directed pair in compressed rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList {
    /// Pairs of atom i are `offsets[i]..offsets[i + 1]`.
    pub offsets: Vec<u64>,
    /// The other atom of each.
    pub neighbors: Vec<u32>,
    /// Lattice steps to it.
    pub shifts: Vec<[i32; 3]>,
    /// How many lists were found so far.
    pub builds: u64,
}

impl DeviceLists {
    /// No list yet.
    ///
    /// # Errors
    /// The device's.
    pub fn new(device: Box<dyn Device>) -> Result<Self> {
        let device: Arc<dyn Device> = Arc::from(device);
        Ok(Self {
            own: Unlisting::new(&device, &[])?,
            found: Array::new(&device),
            device,
        })
    }

    /// The list of all pairs nearer than `cutoff`, found anew if the last does not serve; it has some that are farther.
    ///
    /// # Errors
    /// As [`OnDevice::compute_unlisted`].
    pub fn find(&mut self, given: &Unlisted, cutoff: f64) -> Result<DeviceList> {
        let (problem, brought) = self.own.bring(given, cutoff, false)?;
        loop {
            let mut arrays = self.own.finder.place(problem, brought)?;
            arrays.found = self.found.reserve::<[u32; 4]>(self.own.finder.room())?;
            let mut batch = Batch::default();
            self.own.finder.watch(&arrays, &mut batch);
            self.device.run(&batch)?;
            let status = self.own.finder.read()?;
            if !matches!(self.own.settle(status)?, Verdict::Again) {
                let (offsets, neighbors, shifts) = self.own.finder.get(&arrays)?;
                return Ok(DeviceList {
                    offsets,
                    neighbors,
                    shifts,
                    builds: status.builds,
                });
            }
        }
    }
}

impl<T: CudaReal> CudaEngine<T> {
    /// What finds neighbours, made when it is first needed.
    pub(super) fn unlisting(&mut self) -> Result<&mut Unlisting> {
        if self.unlisting.is_none() {
            let types = &self.model.description().types;
            let known: Vec<i32> = types.iter().map(|kind| kind.index).collect();
            self.unlisting = Some(Unlisting::new(&self.device, &known)?);
        }
        self.unlisting
            .as_mut()
            .ok_or_else(|| Error::Internal("no neighbour lists".into()))
    }

    /// Whether so many rows are few.
    pub(super) fn few(&self, rows: usize) -> bool {
        Regime::few(rows, self.limits)
    }

    pub(super) fn cutoff(&self) -> Result<f64> {
        Ok(network_of(&self.model)?.description.cutoff)
    }

    /// Everything a step needs: room, addresses, and the launches that see to the list.
    pub(super) fn prepare(
        &mut self,
        problem: Problem,
        arrays: Arrays,
        types: u64,
        wanted: Wanted,
    ) -> Result<(Run, Arrays)> {
        let outcome = self.try_prepare(problem, arrays, types, wanted);
        if let (Err(Error::OutOfMemory(_)), Some(own)) = (&outcome, &mut self.unlisting) {
            own.finder.give_up();
            self.work.edges.release();
            self.work.arms.release();
        }
        outcome
    }

    fn try_prepare(
        &mut self,
        problem: Problem,
        arrays: Arrays,
        types: u64,
        wanted: Wanted,
    ) -> Result<(Run, Arrays)> {
        let own = self.unlisting()?;
        let mut arrays = own.finder.place(problem, arrays)?;
        let resident = arrays.host.types != 0;
        let mut shape = Shape {
            rows: problem.atoms,
            owned: problem.atoms,
            structures: problem.structures,
            pairs: own.finder.room(),
            alone: if problem.cells { 0 } else { problem.largest },
            plain: !problem.cells,
        };
        let mut inputs = Inputs {
            types,
            ..own.finder.list(&arrays)
        };
        if problem.listless {
            let places = if resident {
                &own.resident_places
            } else {
                &own.places
            };
            shape.pairs = places.pairs;
            (inputs.starts, inputs.candidates) = (places.array.address(), 0);
            arrays.host.listless = 1;
        }
        let mut run = self.run(&inputs, shape, wanted)?;
        // Pairs are in order before the step needs this for what it finds of their geometry.
        arrays.found = run.system.edges;
        arrays.host.coincident = run.system.coincident;
        if resident {
            let finder = &self.unlisting()?.finder;
            run.batch.with(&words_of(&arrays));
            let most = problem.atoms.max(problem.structures + 1);
            let launch = finder.launch(Kernel::Admit, (Finder::blocks(most), 1));
            run.batch.add(launch, 0);
        }
        if !(resident && problem.listless) {
            self.unlisting()?.finder.watch(&arrays, &mut run.batch);
        }
        Ok((run, arrays))
    }

    /// Addresses that hosts gave, checked.
    fn resident(
        &mut self,
        given: &Resident,
        to: &ResidentResults,
    ) -> Result<(Problem, Arrays, Wanted)> {
        let needed = given.atoms > 0;
        for (name, address, needed) in [
            ("positions", given.positions, needed),
            ("types", given.types, needed),
            ("offsets", given.offsets, given.structures > 1),
            ("cells", given.cells, false),
            ("periodic", given.periodic, false),
            ("excluded", given.excluded, given.excluded_pairs > 0),
            ("topologies", given.topologies, false),
            ("energies", to.energies, false),
            ("atom_energies", to.atom_energies, false),
            ("forces", to.forces, false),
            ("virials", to.virials, false),
            ("atom_virials", to.atom_virials, false),
            ("term_energies", to.terms, false),
        ] {
            if address != 0 {
                self.device.check_address(address, name)?;
            } else if needed {
                return Err(Error::invalid(format!("{name} is a null pointer")));
            }
        }
        if given.cells == 0 && given.periodic != 0 {
            return Err(Error::invalid("periodic directions without a cell"));
        }
        check_size(given.atoms)?;
        let plain = given.cells == 0 && given.excluded_pairs == 0;
        let small = given.atoms <= MOST_UNKNOWN
            && given.atoms <= Tuning::RANK_CANDIDATES * given.structures;
        let problem = Problem {
            atoms: given.atoms,
            structures: given.structures,
            largest: 0,
            excluded: given.excluded_pairs,
            cells: given.cells != 0,
            periodic: given.periodic != 0,
            cutoff: self.cutoff()?,
            skin: given.skin,
            listless: plain && small && self.few(given.atoms),
        };
        let wanted = Wanted {
            forces: to.forces != 0,
            virials: to.virials != 0,
            atom_virials: to.atom_virials != 0,
        };
        let arrays = Arrays {
            positions: given.positions,
            cells: given.cells,
            periodic: given.periodic,
            excluded: given.excluded,
            host: Host {
                offsets: given.offsets,
                types: given.types,
                to_energies: to.energies,
                to_atom_energies: to.atom_energies,
                to_forces: to.forces,
                to_virials: to.virials,
                to_atom_virials: to.atom_virials,
                to_by_term: to.terms,
                not_a_number: f64::NAN,
                ..Host::default()
            },
            ..Arrays::default()
        };
        Ok((problem, arrays, wanted))
    }

    fn enqueue_in(
        &mut self,
        given: &Resident,
        to: &ResidentResults,
        terms: Option<&dyn Terms>,
        recorded: bool,
    ) -> Result<()> {
        let (problem, mut arrays, wanted) = self.resident(given, to)?;
        let there = terms.is_none_or(|terms| self.terms.as_ref().is_some_and(|own| own.has(terms)));
        let ready =
            there && self.unlisting.as_ref().and_then(|own| own.ready) == Some((problem, wanted));
        if recorded && !ready {
            return Err(Error::unsupported(
                "a stream records what was computed before without recording, with as many atoms, structures and excluded pairs and the same results, so that all memory is there",
            ));
        }
        let own = self.unlisting()?;
        own.ready = None;
        arrays.host = Host {
            known: own.known.address(),
            known_count: own.known_count as u32,
            own_structures: own
                .resident_structures
                .reserve::<u32>(problem.structures + 1)?,
            own_structure: own.resident_structure.reserve::<u32>(problem.atoms)?,
            own_types: own.resident_types.reserve::<u32>(problem.atoms)?,
            ..arrays.host
        };
        (arrays.structures, arrays.structure) =
            (arrays.host.own_structures, arrays.host.own_structure);
        if problem.listless && own.resident_places.rows != problem.atoms {
            let rows = std::iter::repeat_n(problem.atoms, problem.atoms);
            own.resident_places.set(rows)?;
        }
        let types = arrays.host.own_types;
        let first = !problem.listless && !own.finder.is_for(&problem);
        let (mut run, mut arrays) = self.prepare(problem, arrays, types, wanted)?;
        if first {
            // The list alone, to see how much room it needs.
            loop {
                self.device.run(&run.batch)?;
                let own = self.unlisting()?;
                let status = own.finder.read()?;
                if !matches!(own.settle(status)?, Verdict::Again) {
                    break;
                }
                (run, arrays) = self.prepare(problem, arrays, types, wanted)?;
            }
        }
        // What leaves forces and energies of atoms in parts; virials of structures need all of them before.
        let parts = run.system.virials == 0;
        let mut tally = Batch::default();
        arrays.host.by_term = run.system.energies;
        arrays.host.terms = 1;
        if let Some(terms) = terms {
            let own = self.tables(terms)?;
            own.leave_choice(problem.structures)?;
            let system = self.term_system(&run, &arrays)?;
            let mut system = TermSystem {
                asked: given.topologies,
                rows: types,
                ..system
            };
            let own = self.tables(terms)?;
            if parts {
                system = own.apart(system)?;
                arrays.host.term_energies = system.atom_energies;
                arrays.host.term_forces = system.forces;
            }
            arrays.host.by_term = system.by_term;
            arrays.host.terms = own.width() as u32;
            let mut batches = [Batch::default(), Batch::default()];
            own.find(&system, &mut batches[0]);
            own.add(&system, &mut batches);
            let [forces, rest] = batches;
            if parts {
                run.batch.append(forces);
                tally = rest;
            } else {
                tally = forces;
                tally.append(rest);
            }
        }
        self.step(&mut run, wanted, None)?;
        run.batch.append(tally);
        if parts {
            arrays.host.slices = run.leave_slices();
        }
        arrays.host = Host {
            energies: run.system.energies,
            atom_energies: run.system.atom_energies,
            forces: run.system.forces,
            structure_virials: run.system.structure_virials,
            virials: run.system.virials,
            ..arrays.host
        };
        run.batch.with(&words_of(&arrays));
        let own = self.unlisting()?;
        let most = problem.atoms.max(problem.structures);
        let launch = own
            .finder
            .launch(Kernel::Deliver, (Finder::blocks(most), 1));
        run.batch.add_in(Lane::Joined, launch, 0);
        own.ready = Some((problem, wanted));
        self.device.run(&run.batch)
    }
}

impl<T: CudaReal> OnDevice for CudaEngine<T> {
    fn compute_unlisted(
        &mut self,
        given: &Unlisted,
        wanted: Wanted,
        results: &mut Results,
    ) -> Result<bool> {
        let atoms = given.positions.len();
        results.size(atoms, atoms, given.structures.len() - 1, wanted);
        let (cutoff, few) = (self.cutoff()?, self.few(atoms));
        self.work.set_types(given.types)?;
        let types = self.work.types.address();
        let own = self.unlisting()?;
        own.ready = None;
        let (problem, arrays) = own.bring(given, cutoff, few)?;
        loop {
            let (mut run, arrays) = self.prepare(problem, arrays, types, wanted)?;
            self.step(&mut run, wanted, None)?;
            if let Some(chosen) = given.terms {
                self.add_chosen(&mut run, &arrays, &chosen)?;
            }
            self.device.run(&run.batch)?;
            let terms = given.terms.map(|chosen| chosen.terms);
            let status = self.fetch_watched(&run, wanted, terms.is_some(), results)?;
            let own = self.unlisting()?;
            let verdict = own.settle(status)?;
            if matches!(verdict, Verdict::Again) {
                continue;
            }
            let found = own.builds != status.builds;
            own.builds = status.builds;
            // Atoms at one point are told first.
            self.hand_over(run.shape, &run.system, wanted, results)?;
            self.explain(&verdict, terms)?;
            return Ok(found);
        }
    }

    fn advance(
        &mut self,
        start: &Unlisted,
        motion: &Motion,
        steps: u64,
        moved: &mut Moved,
    ) -> Result<u64> {
        self.advance_in(start, motion, steps, moved)
    }

    fn forget_list(&mut self) {
        if let Some(own) = &mut self.unlisting {
            own.finder.forget();
        }
    }

    fn facts(&self) -> Result<Facts> {
        self.device.facts()
    }

    fn enqueue(
        &mut self,
        given: &Resident,
        to: &ResidentResults,
        terms: Option<&dyn Terms>,
        stream: u64,
    ) -> Result<()> {
        let recorded = self.device.enter(stream)?;
        let outcome = self.enqueue_in(given, to, terms, recorded);
        self.device.leave();
        outcome
    }

    fn check(&mut self, stream: u64, terms: Option<&dyn Terms>) -> Result<()> {
        if self.device.enter(stream)? {
            self.device.leave();
            return Err(Error::invalid("a stream that records cannot be waited for"));
        }
        let outcome = self.check_in(terms);
        self.device.leave();
        outcome
    }
}

impl<T: CudaReal> CudaEngine<T> {
    fn check_in(&mut self, terms: Option<&dyn Terms>) -> Result<()> {
        let own = self.unlisting()?;
        let status = own.finder.read()?;
        own.builds = status.builds;
        let room = own.finder.room();
        let verdict = own.settle(status)?;
        if !matches!(verdict, Verdict::Again) {
            return self.explain(&verdict, terms);
        }
        // The arrays will be others.
        own.ready = None;
        Err(Error::Again(format!(
            "the neighbour list has {} pairs and there was room for {room}: more will be taken, and what was enqueued since the \
             last check was not computed",
            status.pairs
        )))
    }

    /// How the list is; what else came with it is kept for [`CudaEngine::hand_over`].
    fn fetch_watched(
        &mut self,
        run: &Run,
        wanted: Wanted,
        terms: bool,
        results: &mut Results,
    ) -> Result<Status> {
        let length = self.fetched_length(run.shape, &run.system, wanted);
        self.fetched.resize(length, 0.0);
        let mut status = [Status::default()];
        let own = self
            .unlisting
            .as_ref()
            .ok_or_else(|| Error::Internal("no neighbour lists".into()))?;
        let mut parts = vec![
            self.work.results.part(&mut self.fetched),
            own.finder.part(&mut status),
        ];
        if let Some(own) = self.terms.as_ref().filter(|_| terms) {
            results
                .terms
                .resize(run.shape.structures * own.width(), 0.0);
            parts.push(own.part(&mut results.terms));
        }
        self.device.download_all(&mut parts)?;
        Ok(status[0])
    }

    /// The tables of terms, with all topologies there are.
    fn tables(&mut self, terms: &dyn Terms) -> Result<&mut TermTables> {
        if self.terms.is_none() {
            self.terms = Some(TermTables::new(&self.device)?);
        }
        let own = self.terms.as_mut();
        let own = own.ok_or_else(|| Error::Internal("no tables of terms".into()))?;
        own.update(terms)?;
        Ok(own)
    }

    /// Adds the launches for terms that the host has chosen.
    fn add_chosen(&mut self, run: &mut Run, arrays: &Arrays, chosen: &Chosen) -> Result<()> {
        self.tables(chosen.terms)?.choose(chosen.topologies)?;
        let system = self.term_system(run, arrays)?;
        let mut batches = [Batch::default(), Batch::default()];
        self.tables(chosen.terms)?.add(&system, &mut batches);
        batches
            .into_iter()
            .for_each(|batch| run.batch.append(batch));
        Ok(())
    }

    /// Arrays and launches for terms that the host has chosen, apart from the network's.
    pub(super) fn chosen_apart(
        &mut self,
        run: &Run,
        arrays: &Arrays,
        chosen: &Chosen,
    ) -> Result<(TermSystem, [Batch; 2])> {
        self.tables(chosen.terms)?.choose(chosen.topologies)?;
        let system = self.term_system(run, arrays)?;
        let own = self.tables(chosen.terms)?;
        let system = own.apart(system)?;
        let mut batches = [Batch::default(), Batch::default()];
        own.add(&system, &mut batches);
        Ok((system, batches))
    }

    /// The arrays of terms for a step whose launches are there.
    fn term_system(&mut self, run: &Run, arrays: &Arrays) -> Result<TermSystem> {
        let own = self.terms.as_mut();
        let own = own.ok_or_else(|| Error::Internal("no tables of terms".into()))?;
        let (system, wanted) = (&run.system, run.wanted);
        let gradients = |address| if wanted.gradients() { address } else { 0 };
        let place = own.place(Place {
            atoms: run.shape.owned,
            structures: run.shape.structures,
            virials: system.virials != 0,
        })?;
        Ok(TermSystem {
            positions: arrays.positions,
            structure: arrays.structure,
            structures: arrays.structures,
            cells: arrays.cells,
            periodic: arrays.periodic,
            atom_energies: system.atom_energies,
            forces: gradients(system.forces),
            virials: system.virials,
            energies: system.energies,
            structure_virials: system.structure_virials,
            status: arrays.status,
            ..place
        })
    }

    /// The error for terms that have no value, or are none.
    pub(super) fn explain(&mut self, verdict: &Verdict, terms: Option<&dyn Terms>) -> Result<()> {
        let (structure, term) = match verdict {
            Verdict::Sound | Verdict::Again => return Ok(()),
            Verdict::Term(fault) => (fault.structure, Some(fault)),
            Verdict::Unmatched(structure) => (*structure, None),
        };
        let (Some(terms), Some(tables)) = (terms, &self.terms) else {
            return Err(Error::Internal("a term of no prior is wrong".into()));
        };
        let (topology, asked) = tables.choice(structure)?;
        if let Some(fault) = term {
            return Err(terms.degenerate(structure, topology, fault.term, fault.vector));
        }
        let own = self.unlisting()?;
        let mut bounds = [0u32; 2];
        own.resident_structures.get_from(structure, &mut bounds)?;
        let mut types = vec![0u32; (bounds[1] - bounds[0]) as usize];
        let first = bounds[0] as usize;
        own.resident_types.get_from(first, &mut types)?;
        Err(terms.unmatched(structure, &types, asked))
    }
}

fn check_size(atoms: usize) -> Result<()> {
    if atoms < MOST_ATOMS {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "device cuda: {atoms} atoms in one call; use device cpu"
    )))
}
