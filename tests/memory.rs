//! What computing takes from the allocator: nothing once arrays have grown, and before that what
//! `docs/architecture.md` says.

mod common;

use std::alloc::{GlobalAlloc, Layout, System as Allocator};
use std::path::Path;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use common::random_model::RandomModel;
use common::random_priors::{
    By, KINDS, load, one_prior, random_molecule, random_terms, random_types,
};
use common::random_system::{random_box, random_system};
use common::small_model::small_model;
use common::system::{ALL, System};
use fastrand::Rng;
use flashschnet::dynamics::{Integrator, Settings, Simulation};
use flashschnet::model::Model;
use flashschnet::potential::{Filters, Options, Potential, Precision, Structures, neighbor_list};

/// Counts what all threads take.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static LIVE: AtomicIsize = AtomicIsize::new(0);
/// Held while counting, since tests run side by side.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(1, Relaxed);
        LIVE.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: passed on.
        unsafe { Allocator.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: passed on.
        unsafe { Allocator.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn potential(
    model: &Arc<Model>,
    precision: Precision,
    filters: Filters,
    threads: usize,
) -> Potential {
    let options = Options {
        precision,
        filters,
        threads: Some(threads),
        ..Options::default()
    };
    Potential::new(model.clone(), options).expect("a potential")
}

fn trained() -> Arc<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/nacl/nacl.safetensors");
    Arc::new(Model::load(&path).expect("a model"))
}

/// The same atoms in no order.
fn shuffled(system: System) -> System {
    let mut order: Vec<usize> = (0..system.positions.len()).collect();
    Rng::with_seed(1).shuffle(&mut order);
    System {
        positions: order.iter().map(|&atom| system.positions[atom]).collect(),
        types: order.iter().map(|&atom| system.types[atom]).collect(),
        ..system
    }
}

/// Rock salt, `cells`³ cubic cells of 8 atoms.
fn rock_salt(cells: usize) -> System {
    const CONSTANT: f64 = 5.65;
    let edge = cells as f64 * CONSTANT;
    let (mut positions, mut types) = (Vec::new(), Vec::new());
    for place in 0..(2 * cells).pow(3) {
        let at = [
            place / (4 * cells * cells),
            place / (2 * cells) % (2 * cells),
            place % (2 * cells),
        ];
        positions.push(at.map(|step| step as f64 * CONSTANT / 2.0));
        types.push(if at.iter().sum::<usize>() % 2 == 0 {
            11
        } else {
            17
        });
    }
    System {
        positions,
        types,
        cell: Some([[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]]),
        periodic: [true; 3],
    }
}

/// Computes with atoms moved a little, so that the list is kept; returns how often memory was taken.
fn taken(potential: &mut Potential, system: &System, calls: usize) -> usize {
    let cells: Vec<_> = system.cell.into_iter().collect();
    let mut positions = system.positions.clone();
    let offsets = [0, positions.len()];
    let mut before = 0;
    const WARM: usize = 2;
    for call in 0..WARM + calls {
        if call == WARM {
            before = TAKEN.load(Relaxed);
        }
        positions[0][0] += 1e-4;
        let structures = Structures {
            offsets: &offsets,
            positions: &positions,
            types: &system.types,
            cells: &cells,
            periodic: &[system.periodic],
            excluded: Some(&[[0, 1]]),
            topologies: None,
        };
        potential
            .compute(&structures, ALL)
            .expect("a valid structure");
    }
    TAKEN.load(Relaxed) - before
}

/// Number of pairs of a list.
fn listed(system: &System, reach: f64) -> usize {
    let structures = Structures {
        offsets: &[0, system.positions.len()],
        positions: &system.positions,
        types: &system.types,
        cells: system.cell.as_slice(),
        periodic: &[system.periodic],
        excluded: None,
        topologies: None,
    };
    let list = neighbor_list(&structures, reach).expect("a list");
    list.neighbors.len()
}

#[test]
fn nothing_is_allocated_while_the_list_is_kept() {
    let _alone = ALONE.lock();
    let mut rng = Rng::with_seed(3);
    let mut cases = vec![(trained(), rock_salt(2)), (trained(), rock_salt(3))];
    for seed in 0..8 {
        // Widths of a few numbers, which no vector is a multiple of.
        let model = RandomModel::new(seed);
        cases.push((model.model.clone(), random_system(&mut rng, &model)));
        cases.push((model.model.clone(), random_box(&mut rng, [2, 2, 20])));
    }
    for (number, (model, system)) in cases.iter().enumerate() {
        for precision in [Precision::Half, Precision::Single, Precision::Double] {
            for filters in [Filters::Table, Filters::Exact] {
                let mut potential = potential(model, precision, filters, 1);
                let times = taken(&mut potential, system, 10);
                assert_eq!(times, 0, "case {number}, {precision:?}, {filters:?}");
            }
        }
    }
    let mut potential = potential(&trained(), Precision::Single, Filters::Table, 1);
    assert_eq!(taken(&mut potential, &rock_salt(6), 5), 0, "1728 atoms");
    let scattered = shuffled(rock_salt(8));
    assert_eq!(taken(&mut potential, &scattered, 5), 0, "4096 atoms");
}

/// Water with a network and priors, and many molecules of every kind of prior.
#[test]
fn priors_and_steps_of_dynamics_allocate_nothing() {
    let _alone = ALONE.lock();
    let water = Model::from_bytes("water", &small_model().bytes()).expect("a model");
    let types: Vec<i32> = [8, 1, 1].repeat(4);
    let molecule = [[0.0; 3], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]];
    let positions: Vec<[f64; 3]> = molecule.repeat(4);
    let structures = Structures {
        offsets: &[0, 3, 6, 9, 12],
        positions: &positions,
        types: &types,
        cells: &[],
        periodic: &[],
        excluded: None,
        topologies: None,
    };
    let settings = Settings {
        integrator: Integrator::Langevin { friction: 1.0 },
        timestep: 1e-4,
        seed: 1,
        thermal: &[0.01, 0.011, 0.012, 0.013],
        masses: None,
        velocities: None,
        streams: None,
        exchange_interval: 2,
        ladders: None,
        largest_step: None,
    };
    let mut potential = potential(&Arc::new(water), Precision::Double, Filters::Exact, 1);
    let mut simulation =
        Simulation::new(&mut potential, &structures, &settings).expect("a simulation");
    // Exchanged configurations need new lists, which grow to the largest seen.
    simulation.run(&mut potential, 40).expect("steps");
    let rounds = (0..10).map(|_| {
        let before = TAKEN.load(Relaxed);
        simulation.run(&mut potential, 20).expect("steps");
        TAKEN.load(Relaxed) - before
    });
    // The program that runs the tests takes some too, now and then: not in every round.
    assert_eq!(rounds.min(), Some(0));
    assert!(simulation.pairs().iter().any(|pair| pair.accepted > 0));

    let mut rng = Rng::with_seed(4);
    for kind in &KINDS {
        for by in [By::Term, By::Type] {
            let terms = random_terms(&mut rng, 5, kind.1, 6);
            let types = random_types(&mut rng, 5);
            let model = load(&one_prior(&mut rng, kind, by, &[(types.clone(), terms)]));
            let system = random_molecule(&mut rng, &types);
            let mut potential = self::potential(&model, Precision::Double, Filters::Exact, 1);
            let least = (0..5).map(|_| taken(&mut potential, &system, 10)).min();
            assert_eq!(least, Some(0), "{}", kind.0);
        }
    }
}

/// The pool's queue takes a block of memory now and then, and gives it back; nothing else is taken, whatever the size.
/// The program that runs the tests takes some too, now and then: not in every round.
#[test]
fn threads_allocate_next_to_nothing() {
    let _alone = ALONE.lock();
    for cells in [2, 4] {
        let mut potential = potential(&trained(), Precision::Single, Filters::Table, 2);
        let system = rock_salt(cells);
        let least = (0..10).map(|_| taken(&mut potential, &system, 32)).min();
        assert!(least <= Some(1), "{least:?} in 32 calls");
    }
}

/// Memory of a potential is what `docs/architecture.md` states: bytes of an atom and bytes of a listed pair.
#[test]
fn memory_is_bounded_by_atoms_and_pairs() {
    let _alone = ALONE.lock();
    let model = trained();
    let network = &model.network().expect("a network").description;
    let widths = network.features + network.filters;
    for (precision, number, pair, cells, scattered) in [
        (Precision::Single, 4, 80, [4, 6], false),
        (Precision::Double, 8, 104, [4, 6], false),
        (Precision::Single, 4, 80, [8, 10], true),
    ] {
        let live = |cells| {
            let mut potential = potential(&model, precision, Filters::Table, 1);
            let system = match scattered {
                true => shuffled(rock_salt(cells)),
                false => rock_salt(cells),
            };
            let before = LIVE.load(Relaxed);
            taken(&mut potential, &system, 1);
            let pairs = listed(&system, network.cutoff + potential.skin());
            (LIVE.load(Relaxed) - before, system.positions.len(), pairs)
        };
        let (small, large) = (live(cells[0]), live(cells[1]));
        let bytes = (large.0 - small.0) as f64;
        let (atoms, pairs) = ((large.1 - small.1) as f64, (large.2 - small.2) as f64);
        // Lists grow by doubling: up to half of their memory is not used yet.
        let stated = atoms * (number * widths * (network.blocks + 1) + 500) as f64;
        let stated = stated + pairs * f64::from(pair) * 2.0;
        let sorted = atoms * 300.0 + pairs * 16.0 * 2.0;
        let stated = stated + if scattered { sorted } else { 0.0 };
        println!(
            "{precision:?}: {:.0} bytes an atom, {:.0} pairs",
            bytes / atoms,
            pairs / atoms
        );
        assert!(
            bytes < stated,
            "{bytes} bytes for {atoms} atoms and {pairs} pairs, {stated} stated"
        );
    }
}
