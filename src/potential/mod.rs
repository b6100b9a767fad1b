//! Model + device + precision + workspace: the one object that computes.

mod choice;
mod device_terms;
mod domain;
mod exclusions;
mod geometry;
mod input;
mod options;
mod terms;

use std::sync::Arc;

pub use choice::TableInfo;
pub use geometry::neighbor_list;
pub use input::{Domain, HostNeighbors, Structures};
pub use options::{Device, Filters, Options, Precision, PriorUse};

use self::choice::Choice;
use self::device_terms::DeviceTerms;
use self::domain::DomainList;
use self::exclusions::Exclusions;
use self::terms::Threads;
use crate::engine::cuda::Facts;
use crate::engine::{
    Chosen, Engine, Exchange, Graph, Images, Motion, Moved, OnDevice, Resident, ResidentResults,
    Results, Terms, Unlisted, Wanted, network,
};
use crate::model::{Aggregation, Model, Network};
use crate::neighbors::{Cell, NeighborList, VerletList};
use crate::prior::{Priors, TermList};
use crate::{Error, Result};

const DEFAULT_SKIN_IN_ANGSTROM: f64 = 1.0;

/// Computes energies, forces and virials of a model.
///
/// Not for two threads at once: it owns its workspace. Results are identical to the bit from call to
/// call, whatever was computed before, as long as the neighbour list holds the same pairs in the same order.
pub struct Potential {
    model: Arc<Model>,
    options: Options,
    skin: f64,
    engine: Box<dyn Engine>,
    table: Option<TableInfo>,
    notes: Vec<String>,
    rows: Vec<u32>,
    cells: Vec<Cell>,
    vectors: Vec<[[f64; 3]; 3]>,
    verlet: VerletList,
    list: NeighborList,
    exclusions: Exclusions,
    builds: u64,
    domain: Option<DomainList>,
    priors: Option<Priors>,
    versions: Versions,
    results: Results,
    /// Energies of network and priors, structure by structure.
    by_term: Vec<f64>,
    threads: Threads,
}

/// Numbers of the lists that engines are given, all different.
#[derive(Debug, Default)]
struct Versions {
    own: u64,
    host: u64,
}

impl Versions {
    fn next(&self) -> u64 {
        self.own.max(self.host) + 1
    }
}

impl Potential {
    /// A potential for `model`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a choice that no engine offers, [`Error::InvalidArgument`] for one that makes no sense,
    /// [`Error::Model`] if a term of a prior finds no parameters.
    pub fn new(model: Arc<Model>, options: Options) -> Result<Self> {
        let skin = check_options(&model, &options)?;
        let choice = Choice::new(&model, options)?;
        Self::with_choice(model, skin, choice)
    }

    /// A potential for `model` that computes with `engine`; of `options`, only skin and priors are used.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a skin that makes no sense, [`Error::Unsupported`] if the model has no network.
    pub fn with_engine(
        model: Arc<Model>,
        engine: Box<dyn Engine>,
        options: Options,
    ) -> Result<Self> {
        network(&model)?;
        let skin = check_options(&model, &options)?;
        Self::with_choice(
            model,
            skin,
            Choice {
                engine,
                options,
                table: None,
                notes: Vec::new(),
            },
        )
    }

    fn with_choice(model: Arc<Model>, skin: f64, choice: Choice) -> Result<Self> {
        let Choice {
            engine,
            options,
            table,
            notes,
        } = choice;
        let priors = match options.priors {
            PriorUse::On => Priors::new(&model)?,
            PriorUse::Off => None,
        };
        if priors.is_none() {
            network(&model)?;
        }
        let threads = Threads::new(options.threads.unwrap_or(1));
        Ok(Self {
            model,
            options,
            skin,
            engine,
            table,
            notes,
            rows: Vec::new(),
            cells: Vec::new(),
            vectors: Vec::new(),
            verlet: VerletList::default(),
            list: NeighborList::default(),
            exclusions: Exclusions::default(),
            builds: 0,
            domain: None,
            priors,
            versions: Versions::default(),
            results: Results::default(),
            by_term: Vec::new(),
            threads,
        })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The choices as they were resolved: nothing in them is `Auto`.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The tables in use, if filters are tabulated.
    pub fn table(&self) -> Option<TableInfo> {
        self.table
    }

    /// What `auto` decided against, and why: that there is no GPU, or that tables would not be accurate enough.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What it computes on, unless that is the processor.
    ///
    /// # Errors
    /// [`Error::Device`]
    pub fn gpu(&mut self) -> Result<Option<Facts>> {
        self.engine
            .on_device()
            .map(|engine| engine.facts())
            .transpose()
    }

    /// The skin of its own neighbour lists, in the model's unit of length.
    pub fn skin(&self) -> f64 {
        self.skin
    }

    /// How often its own neighbour list was built.
    pub fn builds(&self) -> u64 {
        self.builds
    }

    /// Adds a molecule by its term lists, one for each prior, and returns its number among the topologies: those of the
    /// model's file come first.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the prior, term, atom or type at fault; [`Error::Unsupported`] without priors.
    pub fn add_topology(&mut self, name: &str, types: &[i32], lists: &[TermList]) -> Result<usize> {
        let priors = self.priors.as_mut().ok_or_else(|| {
            Error::unsupported(format!(
                "{} has no priors, or they are off: there is nothing to add a topology for",
                self.model.name()
            ))
        })?;
        priors.add_topology(name, types, lists)
    }

    /// Number of priors that are evaluated.
    pub fn priors(&self) -> usize {
        self.priors.as_ref().map_or(0, Priors::count)
    }

    /// Energies of the last [`Potential::compute`] by term, row-major structures × (1 + priors): the network's, then each
    /// prior's in the order of the file.
    pub fn term_energies(&self) -> &[f64] {
        &self.by_term
    }

    /// Threads of its own, for work on its structures beside the engine's.
    pub(crate) fn threads(&mut self) -> &mut Threads {
        &mut self.threads
    }

    /// The positions at which the rows of its neighbour list were found, atom by atom; none before the first call, and where results do
    /// not depend on them: an engine on a device has the pairs in one order, whenever it found them.
    ///
    /// A list made at these positions is the one it has.
    pub fn list_reference(&self) -> &[[f64; 3]] {
        self.verlet.reference()
    }

    /// Makes the next call find all neighbours anew.
    pub fn forget_list(&mut self) {
        self.verlet.invalidate();
        if let Some(engine) = self.engine.on_device() {
            engine.forget_list();
        }
    }

    /// Computes independent structures; neighbours are found here and kept while nothing moved too far.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the atom, type, cell or structure at fault; [`Error::Numerical`] if an energy is not finite.
    pub fn compute(&mut self, structures: &Structures, wanted: Wanted) -> Result<&Results> {
        self.checked(structures, |potential, cells| {
            potential.compute_in(structures, cells, wanted)
        })?;
        Ok(&self.results)
    }

    /// Whether [`Potential::advance`] can be used: the engine is on a device.
    pub fn advances(&mut self) -> bool {
        self.engine.on_device().is_some()
    }

    /// Moves replicas by so many steps on the engine's device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the engine is on no device; those of [`Potential::compute`] at any of the steps, and [`Error::Numerical`] for
    /// an atom that moves too far.
    pub fn advance(
        &mut self,
        structures: &Structures,
        motion: &Motion,
        steps: u64,
        moved: &mut Moved,
    ) -> Result<()> {
        self.checked(structures, |potential, cells| {
            let terms = device_terms(&potential.model, potential.priors.as_ref());
            let periodic = periodic(cells);
            let start = Unlisted {
                types: &potential.rows,
                cells: periodic.as_ref().map(|p| (&potential.vectors[..], &p[..])),
                skin: potential.skin,
                ..unlisted(&potential.model, structures, terms.as_ref())?
            };
            let engine = on_device(&mut *potential.engine)?;
            potential.builds += engine.advance(&start, motion, steps, moved)?;
            Ok(())
        })
    }

    /// Does something with structures when they have been checked.
    fn checked(
        &mut self,
        structures: &Structures,
        work: impl FnOnce(&mut Self, &[Cell]) -> Result<()>,
    ) -> Result<()> {
        geometry::check(structures)?;
        input::rows(
            &self.model,
            structures.types,
            structures.positions.len(),
            &mut self.rows,
        )?;
        input::finite(structures.positions)?;
        let mut cells = std::mem::take(&mut self.cells);
        let outcome = geometry::cells(structures, &mut cells).and_then(|()| {
            if let Some(priors) = &mut self.priors {
                priors.choose(structures.offsets, structures.types, structures.topologies)?;
            }
            self.vectors.clear();
            self.vectors
                .extend(cells.iter().map(|cell| *cell.vectors()));
            work(self, &cells)
        });
        self.cells = cells;
        outcome
    }

    /// Computes structures in checked cells.
    fn compute_in(
        &mut self,
        structures: &Structures,
        cells: &[Cell],
        wanted: Wanted,
    ) -> Result<()> {
        if self.engine.on_device().is_some() {
            self.compute_on_device(structures, cells, wanted)?;
        } else {
            self.compute_listed(structures, cells, wanted)?;
            terms::add(
                self.priors.as_ref(),
                structures,
                cells,
                &mut self.results,
                &mut self.by_term,
                &mut self.threads,
            )?;
        }
        check_results(&self.results)
    }

    /// The network with a list that is found here.
    fn compute_listed(
        &mut self,
        structures: &Structures,
        cells: &[Cell],
        wanted: Wanted,
    ) -> Result<()> {
        self.update_list(structures, cells)?;
        let graph = Graph {
            positions: structures.positions,
            types: &self.rows,
            owned: structures.positions.len(),
            structures: structures.offsets,
            offsets: &self.list.offsets,
            neighbors: &self.list.neighbors,
            images: Some(Images {
                shifts: &self.list.shifts,
                cells: &self.vectors,
            }),
            owners: None,
            version: Some(self.versions.own),
        };
        self.engine.compute(&graph, wanted, None, &mut self.results)
    }

    /// Network and priors, with a list that the engine finds.
    fn compute_on_device(
        &mut self,
        structures: &Structures,
        cells: &[Cell],
        wanted: Wanted,
    ) -> Result<()> {
        let periodic = periodic(cells);
        let terms = device_terms(&self.model, self.priors.as_ref());
        let unlisted = Unlisted {
            types: &self.rows,
            cells: periodic.as_ref().map(|p| (&self.vectors[..], &p[..])),
            skin: self.skin,
            ..unlisted(&self.model, structures, terms.as_ref())?
        };
        let engine = on_device(&mut *self.engine)?;
        let found = match engine.compute_unlisted(&unlisted, wanted, &mut self.results) {
            Err(Error::InvalidArgument(reason)) => {
                // What no list can be made of is told in the same words whatever the device.
                let cutoff = network(&self.model)?.description.cutoff;
                let each = geometry::split(structures, cells);
                self.verlet.update(each, cutoff, self.skin)?;
                self.verlet = VerletList::default();
                return Err(Error::InvalidArgument(reason));
            }
            other => other?,
        };
        self.builds += u64::from(found);
        let by_term = if self.priors.is_some() {
            &self.results.terms
        } else {
            &self.results.energies
        };
        self.by_term.clone_from(by_term);
        Ok(())
    }

    /// Puts the computation of structures that are on the engine's device on a stream there; `given.skin` is not looked at.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the engine is on no device; those of [`OnDevice::enqueue`].
    pub fn enqueue(&mut self, given: &Resident, to: &ResidentResults, stream: u64) -> Result<()> {
        if given.excluded == 0 {
            excluded(&self.model, None)?;
        }
        let given = Resident {
            skin: self.skin,
            ..*given
        };
        let terms = device_terms(&self.model, self.priors.as_ref());
        let terms = terms.as_ref().map(|terms| -> &dyn Terms { terms });
        on_device(&mut *self.engine)?.enqueue(&given, to, terms, stream)
    }

    /// Waits for a stream of the engine's device and reports what went wrong in what was enqueued.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the engine is on no device; those of [`OnDevice::check`].
    pub fn check(&mut self, stream: u64) -> Result<()> {
        let terms = device_terms(&self.model, self.priors.as_ref());
        let terms = terms.as_ref().map(|terms| -> &dyn Terms { terms });
        on_device(&mut *self.engine)?.check(stream, terms)
    }

    /// Takes over a host's neighbour list, for [`Potential::compute_domain`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the entry at fault; the list set before is then kept.
    pub fn set_neighbors(&mut self, neighbors: &HostNeighbors) -> Result<()> {
        self.domain = Some(DomainList::new(neighbors)?);
        self.versions.host = self.versions.next();
        Ok(())
    }

    /// Computes a host's domain with the list set before: the network, and not the priors, whose terms may reach over
    /// several domains and which hosts evaluate as bonded terms of their own.
    ///
    /// With owners or an exchange, forces and virials of owned atoms are complete and those of ghosts are zero. Without either, as
    /// networks of one block may be computed, ghosts have what the domain's own pairs exert on them, for the host to add to their owners.
    ///
    /// # Errors
    /// As [`Potential::compute`], and [`Error::Callback`] from `exchange`.
    pub fn compute_domain(
        &mut self,
        domain: &Domain,
        exchange: Option<&mut dyn Exchange>,
        wanted: Wanted,
    ) -> Result<&Results> {
        let list = self
            .domain
            .as_ref()
            .ok_or_else(|| Error::invalid("no neighbour list has been set"))?;
        if domain.positions.len() != list.atoms {
            return Err(Error::invalid(format!(
                "{} positions for a neighbour list of {} atoms",
                domain.positions.len(),
                list.atoms
            )));
        }
        check_exchange(network(&self.model)?, list, exchange.is_some())?;
        input::rows(&self.model, domain.types, list.atoms, &mut self.rows)?;
        input::finite(domain.positions)?;
        let structures = [0, list.owned()];
        let graph = Graph {
            positions: domain.positions,
            types: &self.rows,
            owned: list.owned(),
            structures: &structures,
            offsets: &list.offsets,
            neighbors: &list.neighbors,
            images: None,
            owners: list.owners(),
            version: Some(self.versions.host),
        };
        self.engine
            .compute(&graph, wanted, exchange, &mut self.results)?;
        check_results(&self.results)?;
        Ok(&self.results)
    }

    fn update_list(&mut self, structures: &Structures, cells: &[Cell]) -> Result<()> {
        let Some(network) = self.model.network() else {
            self.list.offsets.clear();
            self.list.offsets.resize(structures.positions.len() + 1, 0);
            return Ok(());
        };
        let cutoff = network.description.cutoff;
        let excluded = excluded(&self.model, structures.excluded)?;
        let atoms = structures.positions.len();
        let others = (!self.exclusions.are_of(excluded, atoms))
            .then(|| Exclusions::new(excluded, atoms))
            .transpose()?;
        let each = geometry::split(structures, cells);
        let rebuilt = self.verlet.update(each, cutoff, self.skin)?;
        if rebuilt || others.is_some() {
            self.builds += u64::from(rebuilt);
            self.versions.own = self.versions.next();
            self.exclusions = others.unwrap_or_else(|| std::mem::take(&mut self.exclusions));
            self.list.clone_from(self.verlet.list());
            self.exclusions.remove(
                &mut self.list.offsets,
                &mut self.list.neighbors,
                &mut self.list.shifts,
            );
        }
        Ok(())
    }
}

/// What an engine on a device is told of structures, without types, cells and skin.
fn unlisted<'a>(
    model: &Model,
    structures: &Structures<'a>,
    terms: Option<&'a DeviceTerms>,
) -> Result<Unlisted<'a>> {
    let excluded = excluded(model, structures.excluded)?;
    exclusions::check(excluded, structures.positions.len())?;
    Ok(Unlisted {
        positions: structures.positions,
        types: &[],
        structures: structures.offsets,
        cells: None,
        excluded,
        skin: 0.0,
        terms: terms.map(|terms| Chosen {
            terms,
            topologies: terms.priors.chosen(),
        }),
    })
}

/// Which directions of each structure repeat; none if nothing does.
fn periodic(cells: &[Cell]) -> Option<Vec<[bool; 3]>> {
    let all: Vec<[bool; 3]> = cells.iter().map(Cell::periodic).collect();
    let any = all.iter().any(|&directions| directions != [false; 3]);
    any.then_some(all)
}

fn device_terms<'a>(model: &'a Model, priors: Option<&'a Priors>) -> Option<DeviceTerms<'a>> {
    priors.map(|priors| DeviceTerms { model, priors })
}

fn on_device(engine: &mut dyn Engine) -> Result<&mut dyn OnDevice> {
    engine.on_device().ok_or_else(|| {
        Error::unsupported("the potential is not on a GPU: make it with device cuda")
    })
}

/// The pairs to leave out.
fn excluded<'a>(model: &Model, given: Option<&'a [[i32; 2]]>) -> Result<&'a [[i32; 2]]> {
    match given {
        Some(pairs) => Ok(pairs),
        None if model.description().excluded_bonds > 0 => Err(Error::invalid(format!(
            "{} leaves out pairs within {} bonds: the excluded pairs must be given (an empty list if there are none)",
            model.name(),
            model.description().excluded_bonds
        ))),
        None => Ok(&[]),
    }
}

/// Checks what no engine needs to know; returns the skin.
fn check_options(model: &Model, options: &Options) -> Result<f64> {
    let unit = model.description().units.length.in_angstrom();
    let skin = options.skin.unwrap_or(DEFAULT_SKIN_IN_ANGSTROM / unit);
    if !(skin.is_finite() && skin >= 0.0) {
        return Err(Error::invalid(format!(
            "skin is {skin}, must be finite and not negative"
        )));
    }
    if options.threads == Some(0) {
        return Err(Error::invalid("threads is 0, must be at least 1"));
    }
    Ok(skin)
}

fn check_exchange(network: &Network, list: &DomainList, exchange: bool) -> Result<()> {
    let elsewhere = list.elsewhere();
    let alone = network.description.blocks == 1 && !list.has_owners();
    if elsewhere > 0 && !exchange && !alone {
        return Err(Error::invalid(format!(
            "{elsewhere} ghost atoms, but neither their owners nor an exchange are given"
        )));
    }
    let whole = list.has_owners() && elsewhere == 0 && !exchange;
    if network.description.energy_aggregation == Aggregation::Mean && !whole {
        return Err(Error::unsupported(
            "a model that averages atomic energies needs the whole structure, not one domain of it",
        ));
    }
    Ok(())
}

/// No result leaves that is not a number.
fn check_results(results: &Results) -> Result<()> {
    if let Some(atom) = results
        .atom_energies
        .iter()
        .position(|energy| !energy.is_finite())
    {
        return Err(Error::Numerical(format!(
            "energy of atom {atom} is {}: positions are far outside what the model was made for, or the model is damaged",
            results.atom_energies[atom]
        )));
    }
    for (what, found) in [
        ("force on atom", not_finite(&results.forces)),
        (
            "energy of structure",
            not_finite(results.energies.as_chunks::<1>().0),
        ),
        ("virial of structure", not_finite(&results.virials)),
        ("virial of atom", not_finite(&results.atom_virials)),
    ] {
        if let Some(number) = found {
            return Err(Error::Numerical(format!("{what} {number} is not finite")));
        }
    }
    Ok(())
}

/// The first row with a number that is not finite.
fn not_finite<const N: usize>(rows: &[[f64; N]]) -> Option<usize> {
    rows.iter()
        .position(|row| row.iter().any(|value| !value.is_finite()))
}
