//! Analytic terms on the device: the arrays of `kernels/priors.cu`, and its launches.

use std::fmt::Write;
use std::sync::Arc;

use super::device::{Array, Batch, Device, Kernel, Lane, Launch, words_of};
use super::term_system::{Entry, Form, LATTICE, TermSystem};
use crate::engine::{TermRows, Terms};
use crate::model::PriorKind;
use crate::{Error, Result};

/// Threads of a block.
const THREADS: u32 = 128;
/// Lanes that add up an atom's terms of a prior: it is in a few, but where all pairs are terms.
const LANES: u32 = 8;
/// Terms of a topology: their numbers must fit in what the device reports with.
const MOST_TERMS: usize = 1 << 28;
/// The kinds as kernels name them.
const KINDS: [(PriorKind, &str); 9] = [
    (PriorKind::HarmonicBond, "HARMONIC_BOND"),
    (PriorKind::Repulsion, "REPULSION"),
    (PriorKind::ExponentialRepulsion, "EXPONENTIAL_REPULSION"),
    (PriorKind::HarmonicAngleCos, "HARMONIC_ANGLE_COS"),
    (PriorKind::HarmonicAngle, "HARMONIC_ANGLE"),
    (PriorKind::QuarticAngle, "QUARTIC_ANGLE"),
    (PriorKind::RestrictedBending, "RESTRICTED_BENDING"),
    (PriorKind::FourierDihedral, "FOURIER_DIHEDRAL"),
    (PriorKind::HarmonicImproper, "HARMONIC_IMPROPER"),
];

/// The kernels of analytic terms, as [`Device::load`] gets them.
pub fn term_program() -> String {
    let mut text = String::from("// Written by src/engine/cuda/term_tables.rs.\n");
    let _ = writeln!(text, "constexpr int TERM_THREADS = {THREADS};");
    let _ = writeln!(text, "constexpr int TERM_LANES = {LANES};");
    for (number, name) in KINDS.map(|(kind, name)| (number_of(kind), name)) {
        let _ = writeln!(
            text,
            "[[maybe_unused]] constexpr unsigned {name} = {number};"
        );
    }
    text.push_str("constexpr unsigned LAST_PAIR = EXPONENTIAL_REPULSION;\n");
    text.push_str("constexpr unsigned LAST_ANGLE = RESTRICTED_BENDING;\n");
    for (name, content) in [
        ("launch.cuh", include_str!("../../../kernels/launch.cuh")),
        ("status.cuh", include_str!("../../../kernels/status.cuh")),
        ("priors.cuh", include_str!("../../../kernels/priors.cuh")),
        ("priors.cu", include_str!("../../../kernels/priors.cu")),
    ] {
        let _ = write!(text, "#line 1 \"kernels/{name}\"\n{content}");
    }
    text
}

/// Terms on the device, and what is kept for adding them up.
pub(super) struct TermTables {
    program: usize,
    priors: usize,
    /// Topologies that are there.
    topologies: usize,
    forms: Array,
    firsts: Array,
    types: Array,
    found: Array,
    starts: Array,
    entries: Array,
    parameters: Array,
    lattices: Array,
    chosen: Array,
    /// Structures that there are topologies for, and what the host chose last; empty if the device did.
    structures: usize,
    known: Vec<u32>,
    kept_asked: Array,
    shares: Array,
    own_virials: Array,
    by_term: Array,
    /// Energies of atoms and forces of the terms alone.
    apart: [Array; 2],
}

/// What of a step the terms are about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub atoms: usize,
    pub structures: usize,
    pub virials: bool,
}

impl TermTables {
    /// No terms yet.
    pub fn new(device: &Arc<dyn Device>) -> Result<Self> {
        let array = || Array::new(device);
        let kernels = [Kernel::Choose, Kernel::Reduce, Kernel::Terms, Kernel::Tally];
        Ok(Self {
            program: device.load(&term_program(), &kernels.map(|kernel| (kernel, 0)))?,
            priors: 0,
            topologies: 0,
            forms: array(),
            firsts: array(),
            types: array(),
            found: array(),
            starts: array(),
            entries: array(),
            parameters: array(),
            lattices: array(),
            chosen: array(),
            structures: 0,
            known: Vec::new(),
            kept_asked: array(),
            shares: array(),
            own_virials: array(),
            by_term: array(),
            apart: [array(), array()],
        })
    }

    /// Energies of a structure that are told apart: the network's, and those of priors.
    pub fn width(&self) -> usize {
        1 + self.priors
    }

    /// Whether all topologies are on the device.
    pub fn has(&self, terms: &dyn Terms) -> bool {
        self.topologies == terms.topologies() && self.priors > 0
    }

    /// Brings topologies to the device if there are others.
    pub fn update(&mut self, terms: &dyn Terms) -> Result<()> {
        if self.has(terms) {
            return Ok(());
        }
        let forms = terms.forms();
        let mut rows = Rows::new(forms.len());
        for number in 0..terms.topologies() {
            let topology = terms.topology(number);
            rows.types.extend(&topology.types);
            rows.found.push(u8::from(topology.found));
            rows.add(topology.types.len(), &topology.lists)?;
        }
        let forms: Vec<Form> = forms
            .iter()
            .map(|form| Form {
                kind: number_of(form.kind),
                degrees: form.degrees as u32,
                cutoff2: form.cutoff2,
            })
            .collect();
        self.topologies = 0;
        self.structures = 0;
        self.known.clear();
        self.forms.set(&forms)?;
        self.firsts.set(&rows.firsts)?;
        self.types.set(&rows.types)?;
        self.found.set(&rows.found)?;
        self.starts.set(&rows.starts)?;
        self.entries.set(&rows.entries)?;
        self.parameters.set(&rows.parameters)?;
        (self.priors, self.topologies) = (forms.len(), rows.found.len());
        Ok(())
    }

    /// Takes a host's choice of the topology of each structure.
    pub fn choose(&mut self, topologies: &[usize]) -> Result<()> {
        let same = self.known.iter().map(|&number| number as usize);
        if self.known.len() == topologies.len() && same.eq(topologies.iter().copied()) {
            return Ok(());
        }
        self.known.clear();
        let numbers = topologies.iter().map(|&number| number as u32);
        let numbers: Vec<u32> = numbers.collect();
        self.chosen.set(&numbers)?;
        (self.structures, self.known) = (numbers.len(), numbers);
        Ok(())
    }

    /// Leaves the choice to the device, which begins with its last.
    pub fn leave_choice(&mut self, structures: usize) -> Result<()> {
        self.known.clear();
        if self.structures != structures {
            self.chosen.set(&vec![0u32; structures])?;
            self.structures = structures;
        }
        Ok(())
    }

    /// The addresses that are its own.
    pub fn place(&mut self, place: Place) -> Result<TermSystem> {
        let Place {
            atoms, structures, ..
        } = place;
        let virials = if place.virials { atoms } else { 0 };
        Ok(TermSystem {
            forms: self.forms.address(),
            firsts: self.firsts.address(),
            types: self.types.address(),
            found: self.found.address(),
            starts: self.starts.address(),
            entries: self.entries.address(),
            parameters: self.parameters.address(),
            lattices: self.lattices.reserve::<u8>(LATTICE * structures)?,
            chosen: self.chosen.address(),
            kept_asked: self.kept_asked.reserve::<i32>(structures)?,
            shares: self.shares.reserve::<f64>(atoms * self.priors)?,
            own_virials: self.own_virials.reserve::<[f64; 6]>(virials)?,
            by_term: self.by_term.reserve::<f64>(structures * self.width())?,
            atoms: atoms as u32,
            structure_count: structures as u32,
            priors: self.priors as u32,
            topologies: self.topologies as u32,
            ..TermSystem::default()
        })
    }

    /// The system with energies of atoms and forces in arrays of their own, so that nothing waits for the network's.
    pub fn apart(&mut self, system: TermSystem) -> Result<TermSystem> {
        let [energies, forces] = &mut self.apart;
        Ok(TermSystem {
            atom_energies: energies.reserve::<f64>(system.atoms as usize)?,
            forces: if system.forces == 0 {
                0
            } else {
                forces.reserve::<[f64; 3]>(system.atoms as usize)?
            },
            apart: 1,
            ..system
        })
    }

    /// Adds the launch that chooses topologies by types, before those of [`TermTables::add`].
    pub fn find(&self, system: &TermSystem, batch: &mut Batch) {
        batch.with(&words_of(system));
        let launch = self.launch(Kernel::Choose, system.structure_count);
        batch.add_in(Self::lane(system), launch, 0);
    }

    /// Adds the launches of terms in two parts: what needs nothing of the network if the terms are apart, and what needs its energies.
    pub fn add(&self, system: &TermSystem, [terms, sums]: &mut [Batch; 2]) {
        let lane = Self::lane(system);
        terms.with(&words_of(system));
        if system.cells != 0 {
            let blocks = system.structure_count.div_ceil(THREADS);
            terms.add_in(lane, self.launch(Kernel::Reduce, blocks), 0);
        }
        let blocks = system.atoms.div_ceil(32 / LANES);
        terms.add_in(lane, self.launch(Kernel::Terms, blocks), 0);
        sums.with(&words_of(system));
        let launch = self.launch(Kernel::Tally, system.structure_count);
        sums.add_in(Lane::Joined, launch, 0);
    }

    fn lane(system: &TermSystem) -> Lane {
        if system.apart != 0 {
            Lane::Aside
        } else {
            Lane::Main
        }
    }

    /// What it takes to bring the energies of network and priors to the host.
    pub fn part<'a>(&self, by_term: &'a mut [f64]) -> (u64, &'a mut [u8]) {
        self.by_term.part(by_term)
    }

    /// The topology of a structure, and the number that was asked for.
    pub fn choice(&self, structure: usize) -> Result<(usize, i32)> {
        let (mut chosen, mut asked) = ([0u32], [0i32]);
        self.chosen.get_from(structure, &mut chosen)?;
        if self.known.is_empty() {
            self.kept_asked.get_from(structure, &mut asked)?;
        }
        Ok((chosen[0] as usize, asked[0]))
    }

    fn launch(&self, kernel: Kernel, blocks: u32) -> Launch {
        Launch {
            program: self.program,
            kernel,
            grid: (blocks, 1),
            threads: THREADS,
            shared: 0,
        }
    }
}

/// The kinds as kernels number them: pairs, angles, dihedrals.
fn number_of(kind: PriorKind) -> u32 {
    match kind {
        PriorKind::HarmonicBond => 0,
        PriorKind::Repulsion => 1,
        PriorKind::ExponentialRepulsion => 2,
        PriorKind::HarmonicAngleCos => 3,
        PriorKind::HarmonicAngle => 4,
        PriorKind::QuarticAngle => 5,
        PriorKind::RestrictedBending => 6,
        PriorKind::FourierDihedral => 7,
        PriorKind::HarmonicImproper => 8,
    }
}

/// The terms of all topologies, by atoms.
struct Rows {
    priors: usize,
    firsts: Vec<u32>,
    types: Vec<u32>,
    found: Vec<u8>,
    starts: Vec<u32>,
    entries: Vec<Entry>,
    parameters: Vec<f64>,
}

impl Rows {
    fn new(priors: usize) -> Self {
        Self {
            priors,
            firsts: vec![0],
            types: Vec::new(),
            found: Vec::new(),
            starts: vec![0],
            entries: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// Adds a topology of so many atoms, whose types have been added.
    fn add(&mut self, atoms: usize, lists: &[TermRows]) -> Result<()> {
        let first = self.entries.len();
        // How many entries each atom and prior has, then where they go.
        let mut next = vec![0u32; atoms * self.priors];
        for (prior, list) in lists.iter().enumerate() {
            for &atom in list.atoms {
                next[atom as usize * self.priors + prior] += 1;
            }
        }
        let mut end = first;
        for count in &mut next {
            let begin = end;
            end += *count as usize;
            *count = begin as u32;
            self.starts.push(end as u32);
        }
        let terms: usize = lists.iter().map(TermRows::terms).sum();
        let parameters: usize = lists.iter().map(|list| list.parameters.len()).sum();
        let most = end
            .max(self.parameters.len() + parameters)
            .max(self.types.len());
        if most > u32::MAX as usize || terms >= MOST_TERMS {
            return Err(Error::unsupported(
                "device cuda: the priors have too many terms; use device cpu",
            ));
        }
        self.entries.resize(end, Entry::default());
        let mut number = 0;
        for (prior, list) in lists.iter().enumerate() {
            let width = list.parameters.len() / list.terms().max(1);
            for (term, own) in list.atoms.chunks_exact(list.kind.atoms()).enumerate() {
                let mut entry = Entry {
                    atoms: [0; 4],
                    parameters: (self.parameters.len() + term * width) as u32,
                    term: 0,
                };
                entry.atoms[..own.len()].copy_from_slice(own);
                for (place, &atom) in (0..).zip(own) {
                    entry.term = 4 * number + place;
                    let to = &mut next[atom as usize * self.priors + prior];
                    self.entries[*to as usize] = entry;
                    *to += 1;
                }
                number += 1;
            }
            self.parameters.extend_from_slice(list.parameters);
        }
        self.firsts.push(self.types.len() as u32);
        Ok(())
    }
}
