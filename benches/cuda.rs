//! The CUDA engine on a GPU: what a call takes, and each kernel of it. `tests/gpu.sh` runs it; without a GPU it says so.
//!
//! cargo bench --bench cuda -- MODEL POSITIONS [variants] [large] [exact]
//!
//! MODEL is a coarse-grained model file; POSITIONS are raw float64, structures of 269 beads one after another. With "exact", only
//! exact filters are measured.

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use common::cuda_model::usual_model;
use cudarc::driver::CudaContext;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use flashschnet::Result;
use flashschnet::engine::cuda::{
    self, Batch, CudaEngine, CudaReal, Device, Filters, Gpu, Kernel, Launch, Limits, Tuning,
};
use flashschnet::engine::{OnDevice, Resident, ResidentResults, Results, Wanted, network};
use flashschnet::filter::{HalfTables, Tables};
use flashschnet::model::Model;
use flashschnet::potential::{Options, Potential, Structures};

const BEADS: usize = 269;
const CALLS: usize = 30;
/// What tables are made to in src/potential/choice.rs.
const SINGLE: f64 = 5e-7;
const HALF: f64 = 1e-5;
const FORCES: Wanted = Wanted {
    forces: true,
    virials: false,
    atom_virials: false,
};

/// Another way to cut up the work.
type Variant = (&'static str, fn(&mut Tuning));
type Times = Arc<Mutex<BTreeMap<&'static str, Vec<f64>>>>;

/// A GPU that is waited for before and after every launch, so that each can be timed.
struct Timed {
    gpu: Gpu,
    mark: u64,
    times: Option<Times>,
}

impl Timed {
    fn new(times: Option<Times>) -> Result<Self> {
        let gpu = Gpu::new()?;
        let mark = gpu.allocate(16)?;
        Ok(Self { gpu, mark, times })
    }

    fn timed<R>(&self, name: &'static str, run: impl FnOnce(&Gpu) -> Result<R>) -> Result<R> {
        let Some(times) = &self.times else {
            return run(&self.gpu);
        };
        self.gpu.download(self.mark, &mut [0])?;
        let begun = Instant::now();
        let result = run(&self.gpu)?;
        self.gpu.download(self.mark, &mut [0])?;
        let spent = begun.elapsed().as_secs_f64() * 1e3;
        times
            .lock()
            .expect("times")
            .entry(name)
            .or_default()
            .push(spent);
        Ok(result)
    }
}

impl Device for Timed {
    fn name(&self) -> String {
        self.gpu.name()
    }

    fn limits(&self) -> Limits {
        self.gpu.limits()
    }

    fn facts(&self) -> Result<cuda::Facts> {
        self.gpu.facts()
    }

    fn load(&self, source: &str, kernels: &[(Kernel, u32)]) -> Result<usize> {
        self.gpu.load(source, kernels)
    }

    fn allocate(&self, bytes: usize) -> Result<u64> {
        self.gpu.allocate(bytes)
    }

    fn free(&self, address: u64) {
        self.gpu.free(address);
    }

    fn upload(&self, bytes: &[u8], to: u64) -> Result<()> {
        self.timed("upload", |gpu| gpu.upload(bytes, to))
    }

    fn download(&self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.timed("download", |gpu| gpu.download(from, bytes))
    }

    fn enter(&self, stream: u64) -> Result<bool> {
        self.gpu.enter(stream)
    }

    fn leave(&self) {
        self.gpu.leave();
    }

    fn stream(&self) -> u64 {
        self.gpu.stream()
    }

    fn check_address(&self, address: u64, name: &str) -> Result<()> {
        self.gpu.check_address(address, name)
    }

    fn download_all(&self, parts: &mut [(u64, &mut [u8])]) -> Result<()> {
        self.timed("download", |gpu| gpu.download_all(parts))
    }

    fn fill(&self, to: u64, byte: u8, bytes: usize) -> Result<()> {
        self.timed("fill", |gpu| gpu.fill(to, byte, bytes))
    }

    fn launch(&self, launch: Launch, arguments: &[u64], block: u32) -> Result<()> {
        self.timed(launch.kernel.name(), |gpu| {
            gpu.launch(launch, arguments, block)
        })
    }

    fn run(&self, batch: &Batch) -> Result<()> {
        if self.times.is_none() {
            return self.gpu.run(batch);
        }
        batch
            .calls()
            .try_for_each(|(launch, arguments, block)| self.launch(launch, arguments, block))
    }
}

/// Structures to compute.
struct Case {
    /// Forces of the first structure, in float64 with exact filters; none for structures that are too large for that.
    expected: Vec<[f64; 3]>,
    name: String,
    model: Arc<Model>,
    positions: Vec<[f64; 3]>,
    types: Vec<i32>,
    offsets: Vec<usize>,
    cell: Option<[[f64; 3]; 3]>,
}

impl Case {
    /// Milliseconds of a call.
    fn compute(&self, potential: &mut Potential) -> f64 {
        let begun = Instant::now();
        self.call(potential);
        begun.elapsed().as_secs_f64() * 1e3
    }

    /// Forces of the first structure.
    fn forces(&self, potential: &mut Potential) -> Vec<[f64; 3]> {
        self.call(potential).forces[..self.offsets[1]].to_vec()
    }

    /// The same in float64 with exact filters.
    fn exact_forces(&self) -> Vec<[f64; 3]> {
        let gpu = Box::new(Gpu::new().expect("a GPU"));
        let engine = CudaEngine::<f64>::new(self.model.clone(), Filters::Exact, gpu);
        let engine = Box::new(engine.expect("an engine"));
        let potential = Potential::with_engine(self.model.clone(), engine, Options::default());
        self.forces(&mut potential.expect("a potential"))
    }

    /// ‖F − F₀‖ / ‖F₀‖ of the first structure, and whether a hundred calls give the same; nothing without F₀.
    fn checked(&self, potential: &mut Potential) -> String {
        if self.expected.is_empty() {
            return String::new();
        }
        let norm = |numbers: Vec<f64>| numbers.iter().map(|x| x * x).sum::<f64>().sqrt();
        let found = self.forces(potential);
        let pairs = found
            .as_flattened()
            .iter()
            .zip(self.expected.as_flattened());
        let error =
            norm(pairs.map(|(a, b)| a - b).collect()) / norm(self.expected.as_flattened().to_vec());
        let same = (0..100).all(|_| self.forces(potential) == found);
        format!(", \"force_error\": {error:.1e}, \"same_bits\": {same}")
    }

    fn call<'a>(&self, potential: &'a mut Potential) -> &'a Results {
        let count = self.offsets.len() - 1;
        let cells = self.cell.map_or(Vec::new(), |cell| vec![cell; count]);
        let periodic = vec![[self.cell.is_some(); 3]; count];
        let structures = Structures {
            offsets: &self.offsets,
            positions: &self.positions,
            types: &self.types,
            cells: &cells,
            periodic: &periodic,
            excluded: None,
            topologies: None,
        };
        potential.compute(&structures, FORCES).expect("results")
    }

    fn tables(&self, tolerance: f64) -> Tables<f32> {
        Tables::build(network(&self.model).expect("a network"), tolerance)
    }

    /// Times calls, then the kernels of calls; prints a line of JSON.
    fn measure<T: CudaReal>(&self, what: &str, filters: Filters<T>, adjust: fn(&mut Tuning)) {
        let potential = |times: Option<Times>| -> Result<Potential> {
            let device = Box::new(Timed::new(times)?);
            let engine = CudaEngine::tuned(self.model.clone(), filters, device, adjust)?;
            Potential::with_engine(self.model.clone(), Box::new(engine), Options::default())
        };
        let free = |gpu: &Gpu| gpu.memory_free().unwrap_or(0);
        let before = free(&Gpu::new().expect("a GPU"));
        let mut whole = potential(None).expect("a potential");
        let first = self.compute(&mut whole);
        let mut calls: Vec<f64> = (0..CALLS).map(|_| self.compute(&mut whole)).collect();
        calls.sort_by(f64::total_cmp);
        let used = before.saturating_sub(free(&Gpu::new().expect("a GPU")));
        let checked = self.checked(&mut whole);
        drop(whole);
        let times = Times::default();
        let mut parts = potential(Some(times.clone())).expect("a potential");
        self.compute(&mut parts);
        times.lock().expect("times").clear();
        let rounds = 5;
        for _ in 0..rounds {
            self.compute(&mut parts);
        }
        let intervals = match filters {
            Filters::Exact | Filters::HalfExact => 0,
            Filters::Table(tables) => tables.spacing().intervals(),
            Filters::Half(tables) => tables.spacing().intervals(),
        };
        let mut text = String::new();
        let mut kernels = 0.0;
        for (name, spent) in times.lock().expect("times").iter() {
            let each = spent.iter().sum::<f64>() / f64::from(rounds);
            if !["upload", "download", "fill"].contains(name) {
                kernels += each;
            }
            text += &format!(", \"{name}\": {each:.4}");
        }
        println!(
            "{{\"case\": \"{}\", \"what\": \"{what}\", \"intervals\": {}, \"first_ms\": {first:.2}, \"call_ms\": {:.4}, \
             \"least_ms\": {:.4}, \"most_ms\": {:.4}, \"megabytes\": {}, \"kernels_ms\": {kernels:.4}{text}{checked}}}",
            self.name,
            intervals,
            calls[CALLS / 2],
            calls[0],
            calls[CALLS - 1],
            used / 1_000_000,
        );
    }
}

/// Times calls of a host whose arrays are on the GPU: enqueued one by one, and in a graph that the host recorded. The list is
/// kept, or found in every step, which then waits for it.
fn resident(case: &Case, what: &str, tables: &Tables<f32>) {
    let gpu = Box::new(Gpu::new().expect("a GPU"));
    let engine = CudaEngine::<f32>::new(case.model.clone(), Filters::Table(tables), gpu);
    let mut engine = engine.expect("an engine");
    let device = engine.device().clone();
    let context = CudaContext::new(0).expect("a context");
    let stream = context.new_stream().expect("a stream");
    let raw = stream.cu_stream() as u64;
    fn bytes<T>(values: &[T]) -> &[u8] {
        // SAFETY: only numbers are copied here.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
    }
    let place = |bytes: &[u8]| {
        let address = device.allocate(bytes.len()).expect("memory");
        device.upload(bytes, address).expect("a copy");
        device
            .download(address, &mut [0])
            .expect("a copy that is done");
        address
    };
    let structures = case.offsets.len() - 1;
    let cells = case.cell.map(|cell| vec![cell; structures]);
    let given = Resident {
        atoms: case.positions.len(),
        structures,
        offsets: place(bytes(&case.offsets)),
        positions: place(bytes(&case.positions)),
        types: place(bytes(&case.types)),
        cells: cells.map_or(0, |cells| place(bytes(&cells))),
        skin: 1.0,
        ..Resident::default()
    };
    let to = ResidentResults {
        energies: place(&vec![0; 8 * structures]),
        forces: place(&vec![0; 24 * given.atoms]),
        ..ResidentResults::default()
    };
    let median = |run: &mut dyn FnMut()| {
        run();
        let mut calls: Vec<f64> = (0..CALLS)
            .map(|_| {
                stream.synchronize().expect("a stream");
                let begun = Instant::now();
                run();
                stream.synchronize().expect("a stream");
                begun.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        calls.sort_by(f64::total_cmp);
        calls[CALLS / 2]
    };
    let enqueued = median(&mut || engine.enqueue(&given, &to, None, raw).expect("a step"));
    engine.check(raw, None).expect("sound steps");
    stream
        .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        .expect("a recording");
    engine.enqueue(&given, &to, None, raw).expect("a step");
    let graph = stream
        .end_capture(CUgraphInstantiate_flags(0))
        .expect("a graph");
    let graph = graph.expect("launches");
    let replayed = median(&mut || graph.launch().expect("a replay"));
    engine.check(raw, None).expect("sound steps");
    let found = median(&mut || {
        engine.forget_list();
        engine.enqueue(&given, &to, None, raw).expect("a step");
    });
    engine.check(raw, None).expect("sound steps");
    println!(
        "{{\"check\": \"{} {what}: resident\", \"enqueued_ms\": {enqueued:.4}, \"in_a_graph_ms\": {replayed:.4}, \"list_found_ms\": {found:.4}}}",
        case.name
    );
    for address in [
        given.offsets,
        given.positions,
        given.types,
        given.cells,
        to.energies,
        to.forces,
    ] {
        if address != 0 {
            device.free(address);
        }
    }
}

/// Replicas of the coarse-grained benchmark.
fn replicas(model: &Arc<Model>, positions: &[[f64; 3]], count: usize) -> Case {
    let kinds: Vec<i32> = model.description().types.iter().map(|t| t.index).collect();
    let atoms = count * BEADS;
    let all: Vec<[f64; 3]> = (0..atoms)
        .map(|at| {
            // A file of fewer replicas is repeated, a little displaced.
            let p = positions[at % positions.len()];
            p.map(|x| x + 1e-3 * (at / positions.len()) as f64 * (x * 7.0).sin())
        })
        .collect();
    Case {
        expected: Vec::new(),
        name: format!("cg269 x {count}"),
        model: model.clone(),
        positions: all,
        types: (0..atoms)
            .map(|at| kinds[at % BEADS % kinds.len()])
            .collect(),
        offsets: (0..=count).map(|replica| replica * BEADS).collect(),
        cell: None,
    }
}

/// A jittered lattice with about 60 neighbours within the cutoff, side³ atoms.
fn crystal(side: usize) -> Case {
    let model = usual_model(128, 3);
    // 4/3 π 20³ / a³ = 60
    let spacing = 8.23;
    let mut rng = fastrand::Rng::with_seed(1);
    let mut positions = Vec::new();
    // In small cubes, so that neighbours in space are neighbours in memory.
    let cubes = side.div_ceil(4);
    for cube in 0..cubes * cubes * cubes {
        for part in 0..64 {
            let at = [0, 1, 2].map(|axis: u32| {
                let cube = cube / cubes.pow(axis) % cubes;
                4 * cube + (part >> (2 * axis)) % 4
            });
            if at.iter().all(|&steps| steps < side) {
                positions.push(at.map(|steps| (steps as f64 + 0.3 * rng.f64()) * spacing));
            }
        }
    }
    let edge = side as f64 * spacing;
    Case {
        expected: Vec::new(),
        name: format!("periodic {}", positions.len()),
        types: (0..positions.len()).map(|at| 1 + (at % 2) as i32).collect(),
        offsets: vec![0, positions.len()],
        cell: Some([[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]]),
        model,
        positions,
    }
}

fn main() {
    if let Err(error) = Gpu::new() {
        println!("skipped: {error}");
        return;
    }
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let [model, positions, rest @ ..] = &arguments[..] else {
        println!("usage: MODEL POSITIONS [variants] [large] [exact]");
        return;
    };
    let model = Arc::new(Model::load(std::path::Path::new(model)).expect("a model"));
    let bytes = std::fs::read(positions).expect("positions");
    let numbers: Vec<f64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|bytes| f64::from_le_bytes(*bytes))
        .collect();
    let positions = numbers.as_chunks::<3>().0;
    let (mut one, mut many) = (
        replicas(&model, positions, 1),
        replicas(&model, positions, 64),
    );
    one.expected = one.exact_forces();
    many.expected.clone_from(&one.expected);
    let exact = |case: &Case| {
        case.measure::<f32>("single exact", Filters::Exact, |_| ());
        case.measure::<f32>("half exact", Filters::HalfExact, |_| ());
    };
    if rest.iter().any(|word| word == "exact") {
        exact(&many);
        exact(&one);
        return;
    }
    let tables = many.tables(SINGLE);
    many.measure("single table", Filters::Table(&tables), |_| ());
    resident(&one, "single table", &tables);
    resident(&many, "single table", &tables);
    one.measure("single table", Filters::Table(&tables), |_| ());
    let coarse = HalfTables::new(network(&model).expect("a network"), &many.tables(HALF));
    many.measure("half table", Filters::Half(&coarse), |_| ());
    one.measure("half table", Filters::Half(&coarse), |_| ());
    if rest.iter().any(|word| word == "variants") {
        let variants: &[Variant] = &[("ahead 2, 1", |t| (t.ahead, t.ahead_back) = (2, 1))];
        for (what, adjust) in variants {
            many.measure(what, Filters::Table(&tables), *adjust);
        }
        let variants: &[Variant] = &[
            ("ahead 4", |t| t.ahead = 4),
            ("6 parts", |t| t.parts = 6),
            ("8 parts", |t| t.parts = 8),
            ("15 parts, 16 rows a block", |t| {
                (t.parts, t.row_threads, t.ahead_back) = (15, 512, 1);
            }),
            ("16 lanes a row and slice", |t| t.group = 16),
        ];
        for (what, adjust) in variants {
            one.measure(what, Filters::Table(&tables), *adjust);
        }
    }
    exact(&many);
    exact(&one);
    for side in [46, 100] {
        if side < 50 || rest.iter().any(|word| word == "large") {
            let case = crystal(side);
            let tables = case.tables(SINGLE);
            case.measure("single table", Filters::Table(&tables), |_| ());
            resident(&case, "single table", &tables);
        }
    }
}
