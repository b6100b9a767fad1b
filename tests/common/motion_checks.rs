//! Replicas that an engine moves on its device, against those that the processor moves.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fastrand::Rng;
use flashschnet::dynamics::{Integrator, Settings, Simulation, State};
use flashschnet::model::Model;
use flashschnet::potential::{Options, Potential};

use super::cuda_checks::{MakeDevice, Source, cuda};
use super::failing::{Failing, Plan};
use super::random_priors::{By, load};
use super::random_tensors::uniform;
use super::system::{System, largest};
use super::term_checks::{Joined, chain, pair_of, with_every_prior};

const LANGEVIN: Integrator = Integrator::Langevin { friction: 2.0 };
const THERMAL: [f64; 3] = [0.5, 0.6, 0.7];

/// A model with every prior, and three conformations of a chain.
fn case(seed: u64) -> (Arc<Model>, Joined) {
    let mut rng = Rng::with_seed(seed);
    let (molecule, system) = chain(&mut rng, 9);
    let model = load(&with_every_prior(&mut rng, By::Type, &[molecule]));
    let mut systems = vec![system; 3];
    for x in systems
        .iter_mut()
        .flat_map(|s| s.positions.as_flattened_mut())
    {
        *x += uniform(&mut rng, -0.1, 0.1);
    }
    (model, Joined::new(&systems))
}

fn settings(integrator: Integrator) -> Settings<'static> {
    Settings {
        integrator,
        timestep: 0.001,
        seed: 7,
        thermal: &THERMAL,
        masses: None,
        velocities: None,
        streams: Some(&[5, 3, 8]),
        exchange_interval: 0,
        ladders: None,
        largest_step: None,
    }
}

fn simulation(potential: &mut Potential, given: &Joined, settings: &Settings) -> Simulation {
    Simulation::new(potential, &given.structures(), settings).expect("a simulation")
}

fn agree_to(found: &State, expected: &State, tolerance: f64, what: &str) {
    assert_eq!(found.step, expected.step, "{what}");
    assert_eq!(found.walkers, expected.walkers, "{what}");
    for (found, expected) in [
        (
            found.positions.as_flattened(),
            expected.positions.as_flattened(),
        ),
        (
            found.velocities.as_flattened(),
            expected.velocities.as_flattened(),
        ),
        (found.forces.as_flattened(), expected.forces.as_flattened()),
        (&found.energies, &expected.energies),
        (&found.terms, &expected.terms),
    ] {
        let scale = largest(expected);
        assert!(scale > 0.0 && found.len() == expected.len(), "{what}");
        for (a, b) in found.iter().zip(expected) {
            assert!(
                (a - b).abs() <= tolerance * scale,
                "{what}: {a} is not {b} of {scale}"
            );
        }
    }
}

/// The same random numbers, the same steps: what differs are the orders of sums.
pub fn agree(device: MakeDevice) {
    for (seed, integrator) in [(0, LANGEVIN), (1, Integrator::Verlet)] {
        let (model, mut given) = case(seed);
        if seed == 1 {
            // Narrow and slanted.
            given.cells = vec![[[7.0, 0.0, 0.0], [2.0, 7.5, 0.0], [0.0, 1.0, 8.0]]; 3];
            given.periodic = vec![[true, true, false], [true; 3], [false; 3]];
        }
        let [mut on_device, mut cpu] = pair_of(&model, device(seed));
        assert!(on_device.advances() && !cpu.advances());
        let mut settings = settings(integrator);
        // Replicas in different cells do not exchange.
        settings.exchange_interval = if seed == 0 { 4 } else { 0 };
        let mut found = simulation(&mut on_device, &given, &settings);
        let mut expected = simulation(&mut cpu, &given, &settings);
        for (steps, tolerance) in [(1, 1e-12), (24, 1e-9)] {
            found.run(&mut on_device, steps).expect("steps");
            expected.run(&mut cpu, steps).expect("steps");
            let what = format!("seed {seed}, {steps} steps");
            agree_to(found.state(), expected.state(), tolerance, &what);
            for replica in 0..3 {
                let [a, b] = [&found, &expected].map(|s| s.kinetic_energy(replica));
                assert!((a - b).abs() < tolerance * b, "{what}: {a} is not {b}");
            }
        }
        assert_eq!(found.pairs(), expected.pairs());
        assert_eq!(
            found.pairs().iter().any(|pair| pair.attempts > 0),
            seed == 0
        );
    }
    crowd(device);
}

/// Atoms that come into each other's reach on the way, so that the list outgrows its memory.
fn crowd(device: MakeDevice) {
    let mut rng = Rng::with_seed(4);
    let (molecule, _) = chain(&mut rng, 4);
    let empty = (molecule.0.clone(), vec![Vec::new(); molecule.1.len()]);
    let mut file = with_every_prior(&mut rng, By::Term, &[molecule, empty]);
    // Of both topologies only the second is used, by its number.
    file.description["structures"][1]["name"] = serde_json::json!("apart");
    let model = load(&file);
    let [mut on_device, mut cpu] = pair_of(&model, device(1));
    let corner = |at: usize| [at % 2, at / 2 % 2, 0].map(|x| 9.0 * x as f64 + 0.1 * at as f64);
    let system = System {
        positions: (0..4).map(corner).collect(),
        types: model.structures().types[..4].to_vec(),
        cell: None,
        periodic: [false; 3],
    };
    let mut given = Joined::new(&vec![system; 3]);
    given.topologies = Some(vec![1; 3]);
    // Cells so wide that nothing comes of them: without any, so few atoms have no list.
    let edges = [0, 1, 2].map(|a| [0, 1, 2].map(|b| if a == b { 200.0 } else { 0.0 }));
    given.cells = vec![edges; 3];
    given.periodic = vec![[true; 3]; 3];
    // To the middle, in some ten steps.
    let velocities: Vec<[f64; 3]> = given
        .positions
        .iter()
        .map(|p| [400.0 * (4.5 - p[0]), 400.0 * (4.5 - p[1]), 0.0].map(|v| 0.2 * v))
        .collect();
    let settings = Settings {
        velocities: Some(&velocities),
        ..settings(Integrator::Verlet)
    };
    let mut found = simulation(&mut on_device, &given, &settings);
    let mut expected = simulation(&mut cpu, &given, &settings);
    assert!(largest(found.state().forces.as_flattened()) == 0.0);
    found.run(&mut on_device, 12).expect("steps");
    expected.run(&mut cpu, 12).expect("steps");
    assert!(on_device.builds() > 1);
    agree_to(found.state(), expected.state(), 1e-9, "a crowd");
}

/// However steps are divided into calls, and from a checkpoint on another device.
pub fn continues(device: MakeDevice) {
    let (model, given) = case(2);
    // With tables, whose intervals give pairs their order.
    let with_tables = |seed| {
        let engine = Box::new(cuda::<f32>(&model, Source::Table, device(seed)));
        let potential = Potential::with_engine(model.clone(), engine, Options::default());
        potential.expect("a potential")
    };
    let mut potential = with_tables(0);
    let mut settings = settings(LANGEVIN);
    settings.exchange_interval = 6;
    let mut whole = simulation(&mut potential, &given, &settings);
    let mut parts = simulation(&mut potential, &given, &settings);
    whole.run(&mut potential, 40).expect("steps");
    for steps in [1, 5, 9, 2] {
        parts.run(&mut potential, steps).expect("steps");
    }
    let checkpoint = parts.checkpoint(&potential);
    parts.run(&mut potential, 23).expect("steps");
    assert!(whole.state() == parts.state());
    // Of as many multiprocessors, which decide how sums are divided.
    let mut other = with_tables(1);
    let mut restored = simulation(&mut other, &given, &settings);
    restored
        .restore(&mut other, &checkpoint)
        .expect("a checkpoint");
    assert_eq!(restored.state().step, 17);
    restored.run(&mut other, 23).expect("steps");
    assert!(whole.state() == restored.state());
    assert!(whole.pairs() == restored.pairs());
}

/// Want of memory is an error that leaves the state as it was; the next call goes on from there.
pub fn failures(device: MakeDevice) {
    let (model, given) = case(5);
    let settings = settings(LANGEVIN);
    let plan = Plan::new();
    let failing = Box::new(Failing {
        device: device(1),
        plan: plan.clone(),
    });
    let [mut potential, _] = pair_of(&model, failing);
    let mut found = simulation(&mut potential, &given, &settings);
    let before = found.state().clone();
    let mut failed = 0;
    loop {
        plan.allocations.store(failed, Ordering::Relaxed);
        let outcome = found.run(&mut potential, 3);
        plan.allocations.store(-1, Ordering::Relaxed);
        let Err(error) = outcome else { break };
        assert_eq!(error.to_string(), "out of memory: as planned");
        assert!(*found.state() == before);
        failed += 1;
    }
    assert!(failed > 3, "{failed}");
    let [mut sound, _] = pair_of(&model, device(1));
    let mut expected = simulation(&mut sound, &given, &settings);
    expected.run(&mut sound, 3).expect("steps");
    assert!(found.state() == expected.state());
    let before = found.state().clone();
    plan.launches.store(30, Ordering::Relaxed);
    let error = found.run(&mut potential, 9).expect_err("it is lost");
    assert_eq!(error.to_string(), "device failed: lost, as planned");
    assert!(*found.state() == before);
}

/// A replica that cannot go on stands still from the step on which it could not; the others do not notice.
pub fn blow_ups(device: MakeDevice) {
    let (model, mut given) = case(3);
    let [mut on_device, mut cpu] = pair_of(&model, device(1));
    // Towards each other so fast that they pass, and that what pushes them apart is immense.
    let mut velocities = vec![[0.0; 3]; given.positions.len()];
    given.positions[9] = [30.0, 30.0, 30.0];
    given.positions[13] = [36.0, 30.0, 30.0];
    velocities[9] = [500.0, 0.0, 0.0];
    velocities[13] = [-500.0, 0.0, 0.0];
    let settings = Settings {
        velocities: Some(&velocities),
        largest_step: Some(1.0),
        ..settings(Integrator::Verlet)
    };
    let mut found = simulation(&mut on_device, &given, &settings);
    let mut expected = simulation(&mut cpu, &given, &settings);
    found.run(&mut on_device, 20).expect("steps");
    expected.run(&mut cpu, 20).expect("steps");
    let frozen = |simulation: &Simulation| {
        let all = simulation.state().frozen.iter();
        all.map(|frozen| frozen.as_ref().map(|f| f.step))
            .collect::<Vec<_>>()
    };
    assert_eq!(frozen(&found), frozen(&expected));
    assert!(frozen(&found)[0].is_none() && frozen(&found)[1].is_some());
    let reason = &found.state().frozen[1].as_ref().expect("a reason").reason;
    assert!(
        reason.contains("atom ") && reason.contains("in one step"),
        "{reason}"
    );
    agree_to(found.state(), expected.state(), 1e-9, "after a blow-up");
    // However the steps are divided.
    let mut parts = simulation(&mut on_device, &given, &settings);
    for steps in [2, 1, 14, 3] {
        parts.run(&mut on_device, steps).expect("steps");
    }
    assert!(parts.state() == found.state());
}
