//! Priors evaluated by an engine on a device, against the processor's.

use std::sync::Arc;

use fastrand::Rng;
use flashschnet::engine::cuda::{CudaEngine, Device, Filters};
use flashschnet::engine::{Resident, ResidentResults, Results, Wanted};
use flashschnet::model::Model;
use flashschnet::potential::{Options, Potential, Precision, Structures};
use flashschnet::{Error, Result};
use serde_json::{Value, json};

use super::cuda_checks::MakeDevice;
use super::model_file::ModelFile;
use super::random_priors::{By, KINDS, load, one_prior, random_molecule, random_terms};
use super::random_tensors::{RandomTensors, uniform};
use super::small_model::small_network;
use super::system::{ALL, System, Vector, largest};

/// Sums in another order.
const TOLERANCE: f64 = 1e-12;

/// Types, and for each kind of prior the atoms of its terms.
type Molecule = (Vec<i32>, Vec<Vec<i64>>);

/// A network for three types, and a prior of every kind with terms for each of `molecules`.
pub fn with_every_prior(rng: &mut Rng, by: By, molecules: &[Molecule]) -> ModelFile {
    let network = small_network().description["network"].clone();
    let mut tensors = RandomTensors::new(rng);
    tensors.fill(&network, 3);
    let mut all = tensors.all;
    let mut priors: Vec<Value> = Vec::new();
    let mut description = json!(null);
    for (number, kind) in KINDS.iter().enumerate() {
        let lists: Vec<_> = molecules
            .iter()
            .map(|(types, terms)| (types.clone(), terms[number].clone()))
            .collect();
        let file = one_prior(rng, kind, by, &lists);
        description = file.description;
        let mut prior = description["priors"][0].clone();
        prior["name"] = json!(kind.0);
        if kind.0 == "repulsion" {
            prior["cutoff"] = json!(2.0);
        }
        priors.push(prior);
        for (name, tensor) in file.tensors {
            all.insert(
                name.replace("priors.p.", &format!("priors.{}.", kind.0)),
                tensor,
            );
        }
    }
    description["network"] = network;
    description["priors"] = json!(priors);
    ModelFile {
        description,
        tensors: all,
    }
}

/// A chain of `atoms`, every pair in reach of a repulsion, and what joins neighbours.
pub fn chain(rng: &mut Rng, atoms: usize) -> (Molecule, System) {
    let types: Vec<i32> = (0..atoms).map(|_| rng.i32(1..4)).collect();
    let end = atoms as i64;
    let terms = KINDS
        .iter()
        .map(|(name, order, _)| {
            if name.contains("repulsion") {
                let pairs = (0..end).flat_map(|i| (i + 2..end).map(move |j| [i, j]));
                return pairs.flatten().collect();
            }
            let order = *order as i64;
            (0..end - order + 1)
                .flat_map(|first| first..first + order)
                .collect()
        })
        .collect();
    let positions = (0..atoms)
        .map(|at| {
            let turn = 1.7 * at as f64;
            let point = [2.3 * turn.cos(), 2.3 * turn.sin(), 0.6 * at as f64];
            point.map(|x| x + uniform(rng, -0.2, 0.2))
        })
        .collect();
    let system = System {
        positions,
        types: types.clone(),
        cell: None,
        periodic: [false; 3],
    };
    ((types, terms), system)
}

/// Structures of several topologies.
fn case(rng: &mut Rng, by: By) -> (Arc<Model>, Vec<System>) {
    let (mut molecules, mut systems) = (Vec::new(), Vec::new());
    for atoms in [5, 6] {
        let types: Vec<i32> = (0..atoms).map(|_| rng.i32(1..4)).collect();
        let terms = KINDS.iter().map(|kind| random_terms(rng, atoms, kind.1, 7));
        let terms = terms.collect();
        systems.push(random_molecule(rng, &types));
        molecules.push((types, terms));
    }
    let (molecule, system) = chain(rng, 37);
    molecules.push(molecule);
    systems.push(system);
    // Another conformation of the first.
    let again = systems[0].clone();
    systems.push(again.mapped(|p| [p[1], p[2] * 1.1, -p[0]]));
    let file = with_every_prior(rng, by, &molecules);
    (load(&file), systems)
}

fn options() -> Options {
    Options {
        precision: Precision::Double,
        skin: Some(0.3),
        ..Options::default()
    }
}

/// A potential with float64 kernels, and one on the processor.
pub fn pair_of(model: &Arc<Model>, device: Box<dyn Device>) -> [Potential; 2] {
    let engine = CudaEngine::<f64>::new(model.clone(), Filters::Exact, device).expect("an engine");
    let on_device = Potential::with_engine(model.clone(), Box::new(engine), options());
    let cpu = Options {
        device: flashschnet::potential::Device::Cpu,
        filters: flashschnet::potential::Filters::Exact,
        ..options()
    };
    [
        on_device.expect("a potential"),
        Potential::new(model.clone(), cpu).expect("a potential"),
    ]
}

/// Several systems as one input.
pub struct Joined {
    pub offsets: Vec<usize>,
    pub positions: Vec<Vector>,
    pub types: Vec<i32>,
    pub cells: Vec<[Vector; 3]>,
    pub periodic: Vec<[bool; 3]>,
    excluded: Option<Vec<[i32; 2]>>,
    pub topologies: Option<Vec<i32>>,
}

impl Joined {
    pub fn new(systems: &[System]) -> Self {
        let mut offsets = vec![0];
        for system in systems {
            offsets.push(offsets[offsets.len() - 1] + system.positions.len());
        }
        Self {
            offsets,
            positions: systems.iter().flat_map(|s| s.positions.clone()).collect(),
            types: systems.iter().flat_map(|s| s.types.clone()).collect(),
            cells: systems.iter().map(|s| s.cell.unwrap_or_default()).collect(),
            periodic: systems
                .iter()
                .map(|s| s.periodic.map(|p| p && s.cell.is_some()))
                .collect(),
            excluded: None,
            topologies: None,
        }
    }

    pub fn structures(&self) -> Structures<'_> {
        Structures {
            offsets: &self.offsets,
            positions: &self.positions,
            types: &self.types,
            cells: &self.cells,
            periodic: &self.periodic,
            excluded: self.excluded.as_deref(),
            topologies: self.topologies.as_deref(),
        }
    }
}

/// Results, and energies by term.
fn compute(
    potential: &mut Potential,
    given: &Joined,
    wanted: Wanted,
) -> Result<(Results, Vec<f64>)> {
    let results = potential.compute(&given.structures(), wanted)?.clone();
    Ok((results, potential.term_energies().to_vec()))
}

fn agree(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = largest(expected);
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= TOLERANCE * scale,
            "{what}: {a} is not {b} of {scale}"
        );
    }
}

/// Energies by term, of atoms and structures, forces and virials; open and in cells, some of them narrow.
pub fn every_form(device: MakeDevice) {
    for (seed, by) in [(0, By::Term), (1, By::Type)] {
        let mut rng = Rng::with_seed(seed);
        let (model, mut systems) = case(&mut rng, by);
        let mut potentials = pair_of(&model, device(seed));
        for cells in 0..3 {
            if cells > 0 {
                for (number, system) in systems.iter_mut().enumerate() {
                    let size = if cells == 1 { 30.0 } else { 4.5 };
                    let tilt = |rng: &mut Rng| uniform(rng, -0.9, 0.9) * size;
                    system.cell = Some([
                        [size, 0.0, 0.0],
                        [tilt(&mut rng), size, 0.0],
                        [tilt(&mut rng), tilt(&mut rng), 1.2 * size],
                    ]);
                    // None, one, two or three directions.
                    system.periodic = [number > 0, number > 2, number > 1];
                }
            }
            let given = Joined::new(&systems);
            for wanted in [
                Wanted::default(),
                ALL,
                Wanted {
                    forces: true,
                    ..Wanted::default()
                },
            ] {
                let [(found, by_term), (expected, terms)] = potentials
                    .each_mut()
                    .map(|potential| compute(potential, &given, wanted).expect("results"));
                let what = format!("seed {seed}, cells {cells}, {wanted:?}");
                for term in 0..10 {
                    let own = terms.iter().skip(term).step_by(10);
                    assert!(largest(own) > 0.1, "{what}: term {term}");
                }
                for (row, own) in by_term.chunks(10).zip(terms.chunks(10)) {
                    agree(row, own, &what);
                }
                agree(&found.energies, &expected.energies, &what);
                agree(&found.atom_energies, &expected.atom_energies, &what);
                for (found, expected) in [
                    (found.forces.as_flattened(), expected.forces.as_flattened()),
                    (
                        found.virials.as_flattened(),
                        expected.virials.as_flattened(),
                    ),
                    (
                        found.atom_virials.as_flattened(),
                        expected.atom_virials.as_flattened(),
                    ),
                ] {
                    agree(found, expected, &what);
                }
            }
        }
    }
}

/// Terms without a value are refused in the same words; so are structures without terms.
pub fn refusals(device: MakeDevice) {
    let mut rng = Rng::with_seed(3);
    let (model, systems) = case(&mut rng, By::Term);
    let mut potentials = pair_of(&model, device(1));
    let sound = Joined::new(&systems);
    let refuse = |potentials: &mut [Potential; 2], change: &dyn Fn(&mut Joined), text: &str| {
        let mut given = Joined::new(&systems);
        change(&mut given);
        let [found, expected] = potentials
            .each_mut()
            .map(|potential| compute(potential, &given, ALL).expect_err(text));
        assert_eq!(found, expected);
        assert!(found.to_string().contains(text), "{found}");
        compute(&mut potentials[0], &sound, ALL).expect("sound structures");
    };
    let chain = sound.offsets[2];
    let apart = [[chain as i32 + 3, chain as i32 + 4]];
    refuse(
        &mut potentials,
        &|given| {
            given.positions[chain + 4] = given.positions[chain + 3];
            given.excluded = Some(apart.to_vec());
        },
        "structure 2: prior \"harmonic_bond\": atoms 3 and 4 are at the same point",
    );
    refuse(
        &mut potentials,
        &|given| given.positions[chain + 4] = given.positions[chain + 3],
        "are at the same point",
    );
    refuse(
        &mut potentials,
        &|given| {
            for (at, place) in (0..3).zip([0.0, 1.5, 3.0]) {
                given.positions[chain + 10 + at] = [place, 0.0, 40.0];
            }
        },
        "structure 2: prior \"restricted_bending\": atoms [10, 11, 12] lie on a line",
    );
    refuse(
        &mut potentials,
        &|given| given.types[chain] = given.types[chain] % 3 + 1,
        "structure 2 has 37 atoms of types that none of",
    );
    refuse(
        &mut potentials,
        &|given| given.topologies = Some(vec![0, 1, 2, 1]),
        "structure 3 does not have the types of topology 1",
    );
}

/// A host's arrays on the device, whose types and numbers of topologies only the device sees.
pub fn enqueued(device: MakeDevice) {
    let mut rng = Rng::with_seed(5);
    let (model, systems) = case(&mut rng, By::Type);
    let engine =
        CudaEngine::<f64>::new(model.clone(), Filters::Exact, device(2)).expect("an engine");
    let memory = engine.device().clone();
    let mut potential =
        Potential::with_engine(model.clone(), Box::new(engine), options()).expect("a potential");
    let [_, mut cpu] = pair_of(&model, device(2));
    let mut given = Joined::new(&systems);
    given.cells.clear();
    given.periodic.clear();
    let (atoms, structures) = (given.positions.len(), systems.len());
    let place = |bytes: usize| memory.allocate(bytes).expect("memory");
    let resident = Resident {
        atoms,
        structures,
        offsets: place(8 * (structures + 1)),
        positions: place(24 * atoms),
        types: place(4 * atoms),
        topologies: place(4 * structures),
        ..Resident::default()
    };
    let to = ResidentResults {
        energies: place(8 * structures),
        forces: place(24 * atoms),
        terms: place(80 * structures),
        ..ResidentResults::default()
    };
    fn bytes<T>(values: &[T]) -> &[u8] {
        // SAFETY: only numbers are copied here.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
    }
    let get = |from: u64, count: usize| {
        let mut numbers = vec![0u8; 8 * count];
        memory.download(from, &mut numbers).expect("a copy");
        let numbers = numbers.as_chunks::<8>().0.iter();
        numbers
            .map(|&b| f64::from_ne_bytes(b))
            .collect::<Vec<f64>>()
    };
    let mut run = |given: &Joined, resident: Resident| -> Result<[Vec<f64>; 3]> {
        // On the stream of the step, in their order.
        memory.enter(0)?;
        let offsets: Vec<u64> = given.offsets.iter().map(|&o| o as u64).collect();
        let topologies = given.topologies.clone().unwrap_or(vec![-1; structures]);
        for (bytes, to) in [
            (bytes(&offsets), resident.offsets),
            (bytes(&given.positions), resident.positions),
            (bytes(&given.types), resident.types),
            (bytes(&topologies), resident.topologies),
        ] {
            if to != 0 {
                memory.upload(bytes, to)?;
            }
        }
        memory.leave();
        potential.enqueue(&resident, &to, 0)?;
        memory.enter(0)?;
        let results = [
            get(to.energies, structures),
            get(to.forces, 3 * atoms),
            get(to.terms, 10 * structures),
        ];
        memory.leave();
        potential.check(0).map(|()| results)
    };
    let without = Resident {
        topologies: 0,
        ..resident
    };
    let forces = Wanted {
        forces: true,
        ..Wanted::default()
    };
    for (topologies, resident) in [
        (None, resident),
        (None, without),
        (Some(vec![0, 1, 2, 0]), resident),
        (Some(vec![-1, 1, -1, 0]), resident),
    ] {
        given.topologies = topologies;
        let found = run(&given, resident).expect("results");
        let (expected, terms) = compute(&mut cpu, &given, forces).expect("results");
        agree(&found[0], &expected.energies, "energies");
        agree(&found[1], expected.forces.as_flattened(), "forces");
        agree(&found[2], &terms, "terms");
        given.positions[0][0] += 0.05;
    }
    given.topologies = None;
    let sound = (given.types.clone(), given.positions.clone());
    let mut refuse = |given: &Joined, text: &str| {
        let found: Error = run(given, resident).expect_err(text);
        let expected = compute(&mut cpu, given, forces).expect_err(text);
        assert_eq!(found, expected);
        assert!(found.to_string().contains(text), "{found}");
    };
    given.types[5] = given.types[5] % 3 + 1;
    refuse(
        &given,
        "structure 1 has 6 atoms of types that none of 3 topologies has",
    );
    given.types.clone_from(&sound.0);
    for (number, text) in [
        (7, "structure 2 asks for topology 7, and there are 3"),
        (1, "structure 2 does not have the types"),
    ] {
        given.topologies = Some(vec![0, 1, number, 0]);
        refuse(&given, text);
    }
    given.topologies = None;
    let chain = given.offsets[2];
    for at in 0..3 {
        given.positions[chain + 10 + at] = [1.5 * at as f64, 0.0, 40.0];
    }
    refuse(
        &given,
        "prior \"restricted_bending\": atoms [10, 11, 12] lie on a line",
    );
    given.positions.clone_from(&sound.1);
    run(&given, resident).expect("all is well again");
    for address in [
        resident.offsets,
        resident.positions,
        resident.types,
        resident.topologies,
        to.energies,
        to.forces,
        to.terms,
    ] {
        memory.free(address);
    }
}
