//! What the CUDA engine is held to, on whatever device its kernels run.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use fastrand::Rng;
use flashschnet::engine::cpu::{CpuEngine, Filters as CpuFilters};
use flashschnet::engine::cuda::{CudaEngine, CudaReal, Device, Filters, Kernel, Tuning};
use flashschnet::engine::reference::ReferenceEngine;
use flashschnet::engine::{Engine, Exchange, Graph, Owners, Results, Rows, Wanted};
use flashschnet::filter::{HalfTables, Tables, half};
use flashschnet::model::Model;
use flashschnet::potential::{Options, Potential};

use super::cuda_model::{scaled_model, usual_model};
use super::failing::{Failing, Plan};
use super::random_model::{RandomModel, TYPES};
use super::random_system::{random_box, random_system};
use super::system::{ALL, System, add, batch_of, compute_batch, largest, norm, sub, try_batch};

/// Makes the device of one engine.
pub type MakeDevice = fn(u64) -> Box<dyn Device>;

/// Gradients that are rounding of an energy of about 1, which other summation rounds otherwise.
const NOTHING: f64 = 1e-9;
const SYSTEMS: usize = 4;

fn potential(model: &Arc<Model>, engine: impl Engine + 'static) -> Potential {
    Potential::with_engine(model.clone(), Box::new(engine), Options::default())
        .expect("a potential")
}

fn reference(model: &Arc<Model>) -> ReferenceEngine {
    ReferenceEngine::new(model.clone()).expect("an engine")
}

/// Where filters come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Exact,
    Table,
    Half,
    HalfExact,
}

/// Coarse: the tables' own error is the CPU engine's business.
const TOLERANCE: f64 = 1e-5;

pub fn cuda<T: CudaReal>(
    model: &Arc<Model>,
    source: Source,
    device: Box<dyn Device>,
) -> CudaEngine<T> {
    let network = flashschnet::engine::network(model).expect("a network");
    let tables = || Tables::build(network, TOLERANCE);
    match source {
        Source::Exact => CudaEngine::new(model.clone(), Filters::Exact, device),
        Source::Table => CudaEngine::new(model.clone(), Filters::Table(&tables()), device),
        Source::Half => {
            let tables = HalfTables::new(network, &tables());
            CudaEngine::new(model.clone(), Filters::Half(&tables), device)
        }
        Source::HalfExact => CudaEngine::new(model.clone(), Filters::HalfExact, device),
    }
    .expect("an engine")
}

/// Largest deviation of energies, forces and virials, each relative to the largest of its kind.
fn deviation(found: &Results, expected: &Results) -> f64 {
    let relative = |found: &[f64], expected: &[f64], floor: f64| {
        assert_eq!(found.len(), expected.len());
        let differences: Vec<f64> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
        assert!(differences.iter().all(|d| d.is_finite()));
        let scale = largest(expected);
        if scale > floor {
            largest(&differences) / scale
        } else {
            0.0
        }
    };
    let rows = |rows: &[[f64; 9]]| rows.as_flattened().to_vec();
    let forces = |results: &Results| results.forces.as_flattened().to_vec();
    [
        relative(&found.energies, &expected.energies, 0.0),
        relative(&found.atom_energies, &expected.atom_energies, 0.0),
        relative(&forces(found), &forces(expected), NOTHING),
        relative(&rows(&found.virials), &rows(&expected.virials), NOTHING),
        relative(
            &rows(&found.atom_virials),
            &rows(&expected.atom_virials),
            NOTHING,
        ),
    ]
    .into_iter()
    .fold(0.0, f64::max)
}

/// A random network, and several structures for it in one call.
pub fn batch(seed: u64) -> (RandomModel, Vec<System>) {
    let model = RandomModel::new(seed);
    let mut rng = Rng::with_seed(seed);
    let systems = (0..SYSTEMS)
        .map(|_| random_system(&mut rng, &model))
        .collect();
    (model, systems)
}

/// What `check` says of every number, sorted. Several at a time: each network is a program to compile.
fn each(seeds: std::ops::Range<u64>, check: impl Fn(u64) -> f64 + Sync) -> Vec<f64> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let deviation = check(seed);
                    found.lock().expect("no panic").push(deviation);
                }
            });
        }
    });
    let mut all = found.into_inner().expect("no panic");
    all.sort_by(f64::total_cmp);
    all
}

/// Exact filters against the reference engine. Returns the largest deviation of each network, sorted.
pub fn exact<T: CudaReal>(seeds: std::ops::Range<u64>, device: MakeDevice) -> Vec<f64> {
    each(seeds, |seed| {
        let (model, systems) = batch(seed);
        let expected = compute_batch(
            &mut potential(&model.model, reference(&model.model)),
            &systems,
        );
        let mut found = potential(
            &model.model,
            cuda::<T>(&model.model, Source::Exact, device(seed)),
        );
        let deviation = deviation(&compute_batch(&mut found, &systems), &expected);
        println!("exact, network {seed}: {deviation:.1e}");
        deviation
    })
}

/// Any source of filters against the CPU engine with the same in float64, and bits from call to call.
pub fn same_filters<T: CudaReal>(
    source: Source,
    seeds: std::ops::Range<u64>,
    device: MakeDevice,
) -> Vec<f64> {
    each(seeds, |seed| {
        let (model, systems) = batch(seed);
        let engine = on_processor(&model.model, source);
        let expected = compute_batch(&mut potential(&model.model, engine), &systems);
        let mut found = potential(&model.model, cuda::<T>(&model.model, source, device(seed)));
        let first = compute_batch(&mut found, &systems);
        assert_eq!(compute_batch(&mut found, &systems), first, "network {seed}");
        let deviation = deviation(&first, &expected);
        println!("{source:?}, network {seed}: {deviation:.1e}");
        deviation
    })
}

/// The CPU engine in float64, with the same rounding of tables and weights.
fn on_processor(model: &Arc<Model>, source: Source) -> CpuEngine<f64> {
    let network = flashschnet::engine::network(model).expect("a network");
    let tables = || Tables::<f64>::build(network, TOLERANCE);
    match source {
        Source::Exact => CpuEngine::new(model.clone(), CpuFilters::exact(network), 1),
        Source::Table => CpuEngine::new(model.clone(), CpuFilters::Table(tables()), 1),
        Source::Half => {
            let tables = HalfTables::new(network, &tables());
            CpuEngine::half(model.clone(), CpuFilters::Half(tables), 1)
        }
        Source::HalfExact => {
            let filters = CpuFilters::exact(&half::rounded(network));
            CpuEngine::half(model.clone(), filters, 1)
        }
    }
    .expect("an engine")
}

/// So many random networks from number `first` on whose filter networks have two layers.
pub fn two_layers(first: u64, count: usize) -> impl Iterator<Item = Arc<Model>> {
    let all = (first..).map(RandomModel::new);
    let wanted = all.filter(|model| {
        model.network("filter_network")["hidden"]
            .as_array()
            .is_some_and(|hidden| hidden.len() == 1)
    });
    wanted.map(|random| random.model).take(count)
}

/// Structures whose pairs are evaluated once for both of their directions, against the reference engine: some are in several
/// bands, and one is shared by several blocks of threads.
pub fn mutual(models: &[Arc<Model>], tolerance: f64, device: MakeDevice) {
    type Adjust = fn(&mut Tuning);
    let narrow: Adjust = |tuning| (tuning.band_least, tuning.band_rows) = (1, 7);
    let wide: Adjust = |tuning| (tuning.band_least, tuning.band_rows) = (1, 48);
    let cases = [
        (vec![[3, 3, 2], [1, 1, 1], [1, 2, 5]], narrow),
        (vec![[4, 4, 3]], wide),
    ];
    for (number, model) in models.iter().enumerate() {
        let network = flashschnet::engine::network(model).expect("a network");
        let types = &model.description().types;
        // The second says no more of another network.
        for (case, (boxes, adjust)) in cases.iter().take(2 - number.min(1)).enumerate() {
            let mut rng = Rng::with_seed(number as u64);
            let systems: Vec<System> = boxes
                .iter()
                .map(|&counts| {
                    let mut system = random_box(&mut rng, counts);
                    for kind in &mut system.types {
                        *kind = types[rng.usize(..types.len())].index;
                    }
                    system
                })
                .collect();
            let expected = compute_batch(&mut potential(model, reference(model)), &systems);
            let plan = Plan::new();
            let watched = Failing {
                // On the processor, none of these is few rows.
                device: device(2 - 2 * case as u64 + number as u64 % 2),
                plan: plan.clone(),
            };
            let engine =
                CudaEngine::<f32>::tuned(model.clone(), Filters::Exact, Box::new(watched), *adjust);
            let mut found = potential(model, engine.expect("an engine"));
            let first = compute_batch(&mut found, &systems);
            assert_eq!(compute_batch(&mut found, &systems), first, "{number}");
            let deviation = deviation(&first, &expected);
            println!("mutual, network {number}: {deviation:.1e}");
            assert!(deviation < tolerance, "network {number}: {deviation:e}");
            // Without virials other kernels do it.
            let alone = Wanted {
                forces: true,
                ..Wanted::default()
            };
            let forces = batch_of(&mut found, &systems, alone).expect("a valid batch");
            assert_eq!(forces.forces, first.forces, "network {number}");
            let launched = plan.launched.lock().expect("no panic");
            let blocks = network.description.blocks;
            for kernel in [
                Kernel::Mutual,
                Kernel::MutualBack,
                Kernel::MutualBackVirials,
            ] {
                let times = launched.iter().filter(|&&one| one == kernel).count();
                assert!(times >= blocks, "{kernel:?} {times} times");
            }
        }
    }
}

/// An exchange within one process: rows are copies of its own.
struct Copies<'a> {
    /// The owned row that each one is a copy of.
    sources: &'a [u32],
    calls: usize,
    /// Where rows are taken, if not in the host's memory.
    device: Option<&'a dyn Device>,
}

impl Copies<'_> {
    fn copy<T: Copy>(&mut self, rows: &mut [T], width: usize) {
        self.calls += 1;
        assert_eq!(rows.len(), self.sources.len() * width);
        for (row, &source) in self.sources.iter().enumerate() {
            let source = source as usize * width;
            rows.copy_within(source..source + width, row * width);
        }
    }
}

impl Exchange for Copies<'_> {
    fn forward(&mut self, rows: Rows, width: usize) -> flashschnet::Result<()> {
        match rows {
            Rows::F64(rows) => self.copy(rows, width),
            Rows::F32(rows) => self.copy(rows, width),
            Rows::OnDevice(rows) => {
                let device = self.device.expect("a device");
                let row = rows.stride * rows.element_size;
                assert!(rows.stride >= width);
                let mut bytes = vec![0; self.sources.len() * row];
                device.download(rows.address, &mut bytes)?;
                self.copy(&mut bytes, row);
                device.upload(&bytes, rows.address)?;
            }
        }
        Ok(())
    }

    fn on_device(&self) -> bool {
        self.device.is_some()
    }
}

/// Rows that are filled: of no ghosts, of the images of every second atom, or of every ghost by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Exchanged {
    Nothing,
    SomeAtoms,
    AllGhosts,
}

/// Of each atom its row, and of each row after the owned ones the ghost that stands for it.
fn rows(exchanged: Exchanged, owned: usize, owners: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let (mut rows, mut remote) = (owners.to_vec(), Vec::new());
    for atom in owned..owners.len() {
        let first = owners[owned..atom].iter().position(|o| *o == owners[atom]);
        rows[atom] = match (exchanged, first) {
            (Exchanged::Nothing, _) => continue,
            (Exchanged::SomeAtoms, _) if owners[atom].is_multiple_of(2) => continue,
            (Exchanged::SomeAtoms, Some(first)) => rows[owned + first],
            _ => {
                remote.push(atom as u32);
                (owned + remote.len() - 1) as u32
            }
        };
    }
    (rows, remote)
}

/// Atoms of a crystal with their images in reach as ghosts: folded onto their owners, and filled by an exchange, against
/// the reference engine.
pub fn ghosts<T: CudaReal>(seeds: std::ops::Range<u64>, tolerance: f64, device: MakeDevice) {
    for seed in seeds {
        let model = RandomModel::new(seed);
        let system = super::random_system::random_crystal(&mut Rng::with_seed(seed), &model);
        let owned = system.positions.len();
        // Hosts' lists reach farther than the cutoff.
        let reach = model.cutoff() + 0.3;
        let (mut positions, mut owners) = (
            system.positions.clone(),
            (0..owned as u32).collect::<Vec<_>>(),
        );
        for (j, &q) in system.positions.iter().enumerate() {
            for steps in system.translations(reach) {
                let image = add(q, system.shift(steps));
                let near = system
                    .positions
                    .iter()
                    .any(|&p| norm(sub(image, p)) < reach);
                if near && steps != [0; 3] {
                    positions.push(image);
                    owners.push(j as u32);
                }
            }
        }
        let (mut offsets, mut neighbors) = (vec![0], Vec::new());
        for i in 0..owned {
            let near = |&j: &usize| i != j && norm(sub(positions[j], positions[i])) < reach;
            neighbors.extend((0..positions.len()).filter(near).map(|j| j as u32));
            offsets.push(neighbors.len());
        }
        let row = |j: &u32| {
            let index = super::random_model::TYPES
                .iter()
                .position(|&t| t == system.types[*j as usize]);
            index.expect("a type") as u32
        };
        let types: Vec<u32> = owners.iter().map(row).collect();
        let mut engine = cuda::<T>(&model.model, Source::Exact, device(seed));
        let mut reference = reference(&model.model);
        for (version, exchanged) in [
            Exchanged::Nothing,
            Exchanged::AllGhosts,
            Exchanged::SomeAtoms,
            Exchanged::Nothing,
        ]
        .into_iter()
        .enumerate()
        {
            let (rows, remote) = rows(exchanged, owned, &owners);
            let graph = Graph {
                positions: &positions,
                types: &types,
                owned,
                structures: &[0, owned],
                offsets: &offsets,
                neighbors: &neighbors,
                images: None,
                owners: (exchanged != Exchanged::AllGhosts).then_some(Owners {
                    rows: &rows,
                    remote: &remote,
                }),
                version: Some(version as u64),
            };
            let mut sources: Vec<u32> = (0..owned as u32).collect();
            sources.extend(remote.iter().map(|&ghost| owners[ghost as usize]));
            let compute = |engine: &mut dyn Engine, device: Option<&dyn Device>| {
                let mut results = Results::default();
                let mut copies = Copies {
                    sources: &sources,
                    calls: 0,
                    device,
                };
                let exchange: Option<&mut dyn Exchange> = match exchanged {
                    Exchanged::Nothing => None,
                    _ => Some(&mut copies),
                };
                engine
                    .compute(&graph, ALL, exchange, &mut results)
                    .expect("results");
                (results, copies.calls)
            };
            let (expected, calls) = compute(&mut reference, None);
            let (found, own_calls) = compute(&mut engine, None);
            let device = engine.device().clone();
            let (there, calls_there) = compute(&mut engine, Some(&*device));
            assert_eq!([calls; 2], [own_calls, calls_there]);
            assert_eq!(found, there, "network {seed}, {exchanged:?}");
            let deviation = deviation(&found, &expected);
            println!("ghosts, network {seed}, {exchanged:?}: {deviation:.1e}");
            assert!(
                deviation < tolerance,
                "network {seed}, {exchanged:?}: {deviation:e}"
            );
        }
    }
}

/// Energies alone, nothing at all, and atoms at one point.
pub fn corners(device: MakeDevice) {
    // On the processor, the first has many rows at once and the second few.
    for seed in [3, 4] {
        corners_of(device(seed));
    }
}

fn corners_of(device: Box<dyn Device>) {
    let (model, systems) = batch(3);
    let mut engine = cuda::<f64>(&model.model, Source::Exact, device);
    let mut results = Results::default();
    let graph = |positions, types, offsets, neighbors| Graph {
        positions,
        types,
        owned: positions.len(),
        structures: &[0, 2],
        offsets,
        neighbors,
        images: None,
        owners: None,
        version: None,
    };
    let nothing = Graph {
        structures: &[0, 0],
        ..graph(&[], &[], &[0], &[])
    };
    engine
        .compute(&nothing, ALL, None, &mut results)
        .expect("nothing");
    assert_eq!(results.energies, [0.0]);

    let error = engine
        .compute(
            &graph(&[[1.0; 3]; 2], &[0, 1], &[0, 1, 2], &[1, 0]),
            ALL,
            None,
            &mut results,
        )
        .expect_err("atoms at one point");
    assert_eq!(
        error.to_string(),
        "invalid argument: atoms 0 and 1 are at the same point"
    );

    let mut potential_of = potential(&model.model, engine);
    let all = systems[0].compute(&mut potential_of);
    assert_eq!(systems[0].energy(&mut potential_of), all.energies[0]);
    assert!(!Wanted::default().gradients());
}

/// An atom with more neighbours than a block sorts at once, where there are few rows: all others are on a sphere around it.
pub fn crowded(device: MakeDevice) {
    let model = RandomModel::new(1);
    let atoms = 560;
    let radius = 0.9 * model.cutoff();
    let on_sphere = |at: usize| {
        let z = 1.0 - 2.0 * (at as f64 + 0.5) / f64::from(atoms);
        let (sin, cos) = (2.399_963 * at as f64).sin_cos();
        let across = (1.0 - z * z).sqrt();
        [across * cos, across * sin, z].map(|x| radius * x)
    };
    let count = atoms as usize;
    let mut positions: Vec<[f64; 3]> = (0..count).map(on_sphere).collect();
    positions.push([0.1, -0.2, 0.05]);
    let system = System {
        types: (0..=count).map(|at| TYPES[at % TYPES.len()]).collect(),
        positions,
        cell: None,
        periodic: [false; 3],
    };
    let expected = system.compute(&mut potential(&model.model, reference(&model.model)));
    let engine = cuda::<f64>(&model.model, Source::Exact, device(0));
    let found = system.compute(&mut potential(&model.model, engine));
    let deviation = deviation(&found, &expected);
    assert!(deviation < 1e-10, "{deviation:e}");
}

/// Messages and gradients of sizes that float16 has no numbers for, weights that are left to ordinary arithmetic, and wide layers.
pub fn any_size(device: MakeDevice) {
    let mut rng = Rng::with_seed(5);
    let atoms = 9;
    let positions =
        (0..atoms).map(|at| [at % 3, at / 3, 0].map(|k| 4.0 * f64::from(k) + rng.f64()));
    let system = System {
        positions: positions.collect(),
        types: (0..atoms).map(|at| 1 + at % 2).collect(),
        cell: None,
        periodic: [false; 3],
    };
    // Widths that are no multiples of what tensor cores take at once; the last is more than a warp loads at once.
    for (width, factor) in [(40, 1.0), (40, 1e9), (40, 1e-9), (40, 1e25), (136, 1.0)] {
        let model = scaled_model(width, 2, factor);
        let expected = system.compute(&mut potential(&model, on_processor(&model, Source::Table)));
        // Few rows, and many.
        for seed in [1, 2] {
            let engine = cuda::<f32>(&model, Source::Table, device(seed));
            let found = system.compute(&mut potential(&model, engine));
            let deviation = deviation(&found, &expected);
            println!("{width} wide, messages times {factor:e}: {deviation:.1e}");
            assert!(deviation < 1e-5, "{width}, {factor:e}: {deviation:e}");
        }
    }
}

/// More atoms than are searched pair by pair, in several bins and parts of sums.
pub fn many_atoms(device: MakeDevice) {
    let model = RandomModel::new(1);
    let system = random_box(&mut Rng::with_seed(1), [11, 10, 10]);
    let expected = system.compute(&mut potential(&model.model, reference(&model.model)));
    let engine = cuda::<f64>(&model.model, Source::Exact, device(1));
    let found = system.compute(&mut potential(&model.model, engine));
    let deviation = deviation(&found, &expected);
    assert!(deviation < 1e-10, "{deviation:e}");
}

/// An engine that has spans for structures of any size.
pub fn with_spans(
    model: &Arc<Model>,
    filters: Filters<f32>,
    device: Box<dyn Device>,
) -> CudaEngine<f32> {
    let any_size = |tuning: &mut Tuning| tuning.span_atoms = 2;
    CudaEngine::tuned(model.clone(), filters, device, any_size).expect("an engine")
}

/// A structure for [`usual_model`], most of whose pairs are far apart; if `cell` is an edge, in a cell.
pub fn beads(rng: &mut Rng, counts: [usize; 3], cell: Option<f64>) -> System {
    let mut system = random_box(rng, counts);
    for p in &mut system.positions {
        *p = p.map(|x| 3.6 * x);
    }
    let atoms = 0..system.positions.len() as i32;
    system.types = atoms.map(|at| 1 + at % 2).collect();
    system.cell = cell.map(|edge| [[edge, 0.0, 0.0], [0.1 * edge, edge, 0.0], [0.0, 0.0, edge]]);
    system.periodic = [cell.is_some(); 3];
    system
}

/// Results of as many copies of a batch.
fn repeated(results: &Results, copies: usize) -> Results {
    Results {
        energies: results.energies.repeat(copies),
        atom_energies: results.atom_energies.repeat(copies),
        forces: results.forces.repeat(copies),
        virials: results.virials.repeat(copies),
        atom_virials: results.atom_virials.repeat(copies),
        terms: results.terms.repeat(copies),
    }
}

/// Structures whose distant pairs have kernels of their own: batches of unequal sizes, one too large for the emulator's shared memory among
/// them, and one structure alone whose rows several blocks share; in single and in half precision. Against the reference engine, and
/// bits from call to call. Cells are not for these kernels.
pub fn spans(device: MakeDevice) {
    const SINGLE: f64 = 5e-7;
    const HALF: f64 = 1e-5;
    for (width, half, seed) in [(64, false, 2), (64, true, 1), (128, false, 0)] {
        let model = usual_model(width, 2);
        let network = flashschnet::engine::network(&model).expect("a network");
        let tables = Tables::<f32>::build(network, if half { HALF } else { SINGLE });
        let halves = HalfTables::new(network, &tables);
        let filters = if half {
            Filters::Half(&halves)
        } else {
            Filters::Table(&tables)
        };
        let mut found = potential(&model, with_spans(&model, filters, device(seed)));
        let mut near_only = potential(
            &model,
            CudaEngine::new(model.clone(), filters, device(seed)).expect("an engine"),
        );
        let mut reference = potential(&model, reference(&model));
        let mut rng = Rng::with_seed(seed);
        let mut grid = |counts, cell| beads(&mut rng, counts, cell);
        let batches = match (width, half) {
            (64, false) => vec![
                vec![
                    grid([2, 3, 3], None),
                    grid([2, 2, 1], None),
                    grid([3, 3, 4], None),
                ],
                vec![grid([1, 2, 3], None)],
            ],
            (64, true) => vec![vec![grid([3, 4, 4], None)]],
            _ => vec![
                vec![grid([3, 4, 4], None), grid([4, 5, 5], None)],
                vec![grid([2, 2, 2], Some(10.0))],
            ],
        };
        for batch in batches {
            // Fewer rows have no use for them on a device of many multiprocessors.
            let atoms: usize = batch.iter().map(|system| system.positions.len()).sum();
            let rows = 24 * device(seed).limits().multiprocessors as usize;
            let cells = batch.iter().any(|system| system.cell.is_some());
            let copies = rows.div_ceil(atoms).max(1);
            let expected = repeated(&compute_batch(&mut reference, &batch), copies);
            let systems = vec![batch; copies].concat();
            let first = compute_batch(&mut found, &systems);
            assert_eq!(compute_batch(&mut found, &systems), first);
            // Else nothing of this would have been looked at.
            let near = compute_batch(&mut near_only, &systems);
            assert_eq!(near == first, cells);
            let deviation = deviation(&first, &expected);
            println!("spans, {width} channels, half {half}: {deviation:.1e}");
            let most = if half { 5e-4 } else { 4e-6 };
            assert!(cells || deviation < most, "{width} channels: {deviation:e}");
        }
    }
}

/// Memory that is not to be had at any place, after which all is well; and a device that is lost, after which all calls fail.
pub fn failures(device: MakeDevice) {
    let (model, systems) = batch(6);
    let plan = Plan::new();
    let failing = Failing {
        device: device(6),
        plan: plan.clone(),
    };
    let engine = cuda::<f64>(&model.model, Source::Exact, Box::new(failing));
    let mut found = potential(&model.model, engine);
    let compute = |potential: &mut Potential, count: usize| {
        let some = &systems[..count];
        try_batch(potential, some)
    };
    let mut failed = 0;
    let expected = loop {
        // More of everything is needed than in the call before.
        plan.allocations.store(failed, Ordering::Relaxed);
        let outcome = compute(&mut found, systems.len());
        plan.allocations.store(-1, Ordering::Relaxed);
        match outcome {
            Ok(results) => break results,
            Err(error) => assert_eq!(error.to_string(), "out of memory: as planned"),
        }
        compute(&mut found, 1).expect("something smaller fits");
        failed += 1;
    };
    assert!(failed > 5, "{failed}");
    let fresh = compute_batch(
        &mut potential(
            &model.model,
            cuda::<f64>(&model.model, Source::Exact, device(6)),
        ),
        &systems,
    );
    assert!(expected == fresh, "other results after failures");

    plan.launches.store(3, Ordering::Relaxed);
    for _ in 0..3 {
        let error = compute(&mut found, systems.len()).expect_err("it is lost");
        assert_eq!(error.to_string(), "device failed: lost, as planned");
    }
}
