//! Hosts whose arrays are on the device.

use fastrand::Rng;
use flashschnet::engine::cuda::{CudaEngine, CudaReal, Device, Filters};
use flashschnet::engine::{OnDevice, Resident, ResidentResults, Results, Unlisted, Wanted};
use flashschnet::filter::Tables;
use flashschnet::{Error, Result};

use super::cuda_checks::{MakeDevice, Source, batch, beads, cuda, with_spans};
use super::cuda_model::usual_model;
use super::random_model::TYPES;
use super::system::{ALL, System};

const SKIN: f64 = 0.2;
/// A stream that the emulator takes for one that records.
const RECORDS: u64 = 1;

/// A host's arrays, here and on the device.
struct Host<T> {
    engine: CudaEngine<T>,
    /// The model's types.
    known: Vec<i32>,
    offsets: Vec<usize>,
    positions: Vec<[f64; 3]>,
    types: Vec<i32>,
    cells: Vec<[[f64; 3]; 3]>,
    periodic: Vec<[bool; 3]>,
    given: Resident,
    to: ResidentResults,
}

fn bytes<T>(values: &[T]) -> &[u8] {
    // SAFETY: only numbers are copied here.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

impl<T: CudaReal> Host<T> {
    fn new(mut engine: CudaEngine<T>, known: &[i32], systems: &[System]) -> Self {
        let mut offsets = vec![0];
        let (mut positions, mut types) = (Vec::new(), Vec::new());
        for system in systems {
            positions.extend_from_slice(&system.positions);
            types.extend_from_slice(&system.types);
            offsets.push(positions.len());
        }
        let cells: Vec<_> = systems.iter().map(|s| s.cell.unwrap_or_default()).collect();
        let periodic: Vec<_> = systems
            .iter()
            .map(|s| s.periodic.map(|p| p && s.cell.is_some()))
            .collect();
        let device = engine.device().clone();
        let place = |bytes: usize| device.allocate(bytes.max(8)).expect("memory");
        let (atoms, structures) = (positions.len(), systems.len());
        let given = Resident {
            atoms,
            structures,
            offsets: place(8 * (structures + 1)),
            positions: place(24 * atoms),
            types: place(4 * atoms),
            cells: place(72 * structures),
            periodic: place(3 * structures),
            excluded_pairs: 0,
            excluded: 0,
            topologies: 0,
            skin: SKIN,
        };
        let to = ResidentResults {
            energies: place(8 * structures),
            atom_energies: place(8 * atoms),
            forces: place(24 * atoms),
            virials: place(72 * structures),
            atom_virials: place(72 * atoms),
            terms: 0,
        };
        engine.forget_list();
        Self {
            engine,
            known: known.to_vec(),
            offsets,
            positions,
            types,
            cells,
            periodic,
            given,
            to,
        }
    }

    fn device(&self) -> &dyn Device {
        &**self.engine.device()
    }

    /// Puts everything on the device, computes, and brings it back.
    fn compute(&mut self, stream: u64) -> Result<Results> {
        // Copies are on the stream of the step, in their order.
        self.device().enter(0)?;
        let flags: Vec<[u8; 3]> = self.periodic.iter().map(|p| p.map(u8::from)).collect();
        let offsets: Vec<u64> = self.offsets.iter().map(|&o| o as u64).collect();
        for (bytes, to) in [
            (bytes(&offsets), self.given.offsets),
            (bytes(&self.positions), self.given.positions),
            (bytes(&self.types), self.given.types),
            (bytes(&self.cells), self.given.cells),
            (bytes(&flags), self.given.periodic),
        ] {
            if to != 0 {
                self.device().upload(bytes, to)?;
            }
        }
        // What is not written shows.
        for (to, length) in [
            (self.to.energies, 8 * self.given.structures),
            (self.to.forces, 24 * self.given.atoms),
        ] {
            self.device().fill(to, 0x77, length)?;
        }
        self.device().leave();
        let (given, to) = (self.given, self.to);
        self.engine.enqueue(&given, &to, None, stream)?;
        self.device().enter(0)?;
        let (atoms, structures) = (self.given.atoms, self.given.structures);
        let mut results = Results::default();
        results.size(atoms, atoms, structures, ALL);
        let device = self.engine.device();
        let get = |from, values: &mut [f64]| {
            // SAFETY: any bytes are numbers.
            let bytes = unsafe {
                std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values))
            };
            device.download(from, bytes)
        };
        get(to.energies, &mut results.energies)?;
        get(to.atom_energies, &mut results.atom_energies)?;
        get(to.forces, results.forces.as_flattened_mut())?;
        get(to.virials, results.virials.as_flattened_mut())?;
        get(to.atom_virials, results.atom_virials.as_flattened_mut())?;
        self.device().leave();
        Ok(results)
    }

    /// The same from the host's memory.
    fn expected(&self, engine: &mut CudaEngine<T>) -> Results {
        let row = |kind: &i32| self.known.iter().position(|t| t == kind).expect("a type") as u32;
        let types: Vec<u32> = self.types.iter().map(row).collect();
        let mut results = Results::default();
        let given = Unlisted {
            positions: &self.positions,
            types: &types,
            structures: &self.offsets,
            cells: Some((&self.cells, &self.periodic)),
            excluded: &[],
            skin: SKIN,
            terms: None,
        };
        engine
            .compute_unlisted(&given, ALL, &mut results)
            .expect("results");
        results
    }

    fn check(&mut self, engine: &mut CudaEngine<T>, stream: u64, what: &str) {
        let found = self
            .compute(stream)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        self.engine
            .check(0, None)
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(found == self.expected(engine), "{what}");
    }

    /// Something is wrong: no number comes out, the check says what it is, once.
    fn refuse(&mut self, text: &str) -> Error {
        let found = self.compute(0).expect("it is seen on the device");
        assert!(
            found.energies.iter().all(|e| e.is_nan()),
            "{text}: {found:?}"
        );
        assert!(
            found.forces.as_flattened().iter().all(|f| f.is_nan()),
            "{text}"
        );
        let error = self.engine.check(0, None).expect_err(text);
        assert!(error.to_string().contains(text), "{error}");
        self.engine.check(0, None).expect("reported once");
        error
    }

    fn free(self) {
        for address in [
            self.given.offsets,
            self.given.positions,
            self.given.types,
            self.given.cells,
            self.given.periodic,
            self.to.energies,
            self.to.atom_energies,
            self.to.forces,
            self.to.virials,
            self.to.atom_virials,
        ] {
            self.device().free(address);
        }
    }
}

/// The same bits as from the host's memory; errors found on the device; lists that outgrow their room.
pub fn resident(device: MakeDevice, records: bool) {
    let (model, systems) = batch(6);
    let mut host = Host::new(
        cuda(&model.model, Source::Exact, device(6)),
        &TYPES,
        &systems,
    );
    let mut engine = cuda::<f64>(&model.model, Source::Exact, device(6));
    let stream = if records { RECORDS } else { 0 };
    if records {
        let error = host.compute(RECORDS).expect_err("nothing is there yet");
        assert!(
            error
                .to_string()
                .contains("a stream records what was computed before"),
            "{error}"
        );
    }
    host.check(&mut engine, 0, "first");
    // Where nothing has to grow the host need not wait, and all may have changed but the sizes.
    host.positions[1][0] += SKIN;
    host.check(&mut engine, stream, "moved");
    host.types.reverse();
    host.check(&mut engine, stream, "other types");
    for cell in &mut host.cells {
        cell[2][2] *= 1.02;
    }
    host.check(&mut engine, stream, "other cells");

    let sound = host.positions.clone();
    let last = sound.len() - 1;
    host.positions[last][2] = f64::NAN;
    host.refuse(&format!("position of atom {last} is not finite"));
    host.positions.clone_from(&sound);
    host.check(&mut engine, stream, "sound again");
    host.types[2] = 99;
    host.refuse("atom 2 has a type that the model does not know");
    host.types[2] = host.types[1];
    host.offsets[1] += 1000;
    host.refuse("structure offsets must rise");
    host.offsets[1] -= 1000;
    host.positions[1] = host.positions[0];
    host.refuse("atoms 0 and 1 are at the same point");
    host.positions.clone_from(&sound);
    host.check(&mut engine, stream, "all is well again");

    for (change, text) in [
        (
            (|g| g.positions = 0) as fn(&mut Resident),
            "positions is a null pointer",
        ),
        (|g| g.offsets = 0, "offsets is a null pointer"),
        (|g| g.cells = 0, "periodic directions without a cell"),
        (|g| g.types = 8, "types is not memory of"),
    ] {
        let given = host.given;
        let mut wrong = given;
        change(&mut wrong);
        let error = host
            .engine
            .enqueue(&wrong, &host.to, None, 0)
            .expect_err(text);
        assert!(error.to_string().contains(text), "{error}");
    }
    host.check(&mut engine, stream, "after refusals");
    host.free();
    room(device);
    listless(device, stream);
    spans(device, stream);
}

/// Distant pairs of structures that are not what they were said to be.
fn spans(device: MakeDevice, stream: u64) {
    let model = usual_model(64, 2);
    let network = flashschnet::engine::network(&model).expect("a network");
    let tables = Tables::build(network, 1e-5);
    let mut rng = Rng::with_seed(1);
    let systems = [[1, 2, 3], [2, 2, 2]].map(|counts| beads(&mut rng, counts, None));
    let mut host = Host::new(
        with_spans(&model, Filters::Table(&tables), device(2)),
        &[1, 2],
        &systems,
    );
    let mut engine = with_spans(&model, Filters::Table(&tables), device(2));
    host.check(&mut engine, 0, "first");
    host.offsets[1] += 1000;
    host.refuse("structure offsets must rise");
    host.offsets[1] -= 999;
    host.check(&mut engine, stream, "other structures");
    host.free();
}

/// Without cells few atoms have no list: the same bits as with one, and the same words.
fn listless(device: MakeDevice, stream: u64) {
    let (model, mut systems) = batch(5);
    for system in &mut systems {
        (system.cell, system.periodic) = (None, [false; 3]);
    }
    // With tables, whose forces are left in parts.
    let mut host = Host::new(
        cuda(&model.model, Source::Table, device(5)),
        &TYPES,
        &systems,
    );
    let mut engine = cuda::<f64>(&model.model, Source::Table, device(5));
    let with_cells = host.given;
    (host.given.cells, host.given.periodic) = (0, 0);
    host.check(&mut engine, 0, "first");
    host.positions[1][0] += SKIN;
    host.check(&mut engine, stream, "moved");
    let sound = host.positions.clone();
    host.positions[0][1] = f64::INFINITY;
    host.refuse("position of atom 0 is not finite");
    host.positions.clone_from(&sound);
    host.offsets[1] += 1000;
    host.refuse("structure offsets must rise");
    host.offsets[1] -= 1000;
    host.positions[1] = host.positions[0];
    host.refuse("atoms 0 and 1 are at the same point");
    host.positions.clone_from(&sound);
    host.offsets[1] -= 1;
    host.check(&mut engine, stream, "other structures");
    // Without virials nobody else adds the parts up.
    let expected = host.compute(0).expect("results");
    let all = host.to;
    (host.to.virials, host.to.atom_virials) = (0, 0);
    let (given, to) = (host.given, host.to);
    host.engine.enqueue(&given, &to, None, 0).expect("a step");
    host.engine.check(0, None).expect("sound steps");
    let mut bytes = vec![0; 24 * host.positions.len()];
    host.device()
        .download(to.forces, &mut bytes)
        .expect("forces");
    assert!(bytes == self::bytes(&expected.forces), "other forces");
    (host.given, host.to) = (with_cells, all);
    host.free();
}

/// A crowd needs more room than there was.
fn room(device: MakeDevice) {
    let (model, _) = batch(3);
    let place = |spacing: f64, at: usize| {
        [at % 4, at / 4 % 4, at / 16].map(|steps| spacing * steps as f64 + 0.01 * at as f64)
    };
    let system = System {
        positions: (0..48).map(|at| place(9.0, at)).collect(),
        types: vec![TYPES[0]; 48],
        cell: None,
        periodic: [false; 3],
    };
    let mut host = Host::new(
        cuda(&model.model, Source::Exact, device(3)),
        &TYPES,
        &[system],
    );
    let mut engine = cuda::<f64>(&model.model, Source::Exact, device(3));
    host.check(&mut engine, 0, "apart");
    host.positions = (0..48).map(|at| place(0.9, at)).collect();
    let error = host.refuse("compute again: the neighbour list has");
    assert!(matches!(error, Error::Again(_)));
    host.check(&mut engine, 0, "together");
    // Energies alone.
    let (given, energies) = (
        host.given,
        ResidentResults {
            energies: host.to.energies,
            ..ResidentResults::default()
        },
    );
    host.engine
        .enqueue(&given, &energies, None, 0)
        .expect("energies");
    host.engine.check(0, None).expect("energies");
    assert!(!Wanted::default().gradients());
    host.free();
}
