//! Dynamics of replicas: sampling, conservation, reproducibility, exchange, blow-ups, checkpoints, and what is refused.
//!
//! Statistical tests have fixed seeds; they compare with four standard errors, from independent replicas.

mod common;

use std::sync::Arc;

use common::model_file::{ModelFile, Tensor};
use common::random_priors::{By, KINDS, load, one_prior};
use common::small_model::{small_model, small_network};
use fastrand::Rng;
use flashschnet::dynamics::{Integrator, Settings, Simulation};
use flashschnet::model::Model;
use flashschnet::potential::{Options, Potential, Precision, Structures};

type Vector = [f64; 3];

const LANGEVIN: Integrator = Integrator::Langevin { friction: 2.0 };
/// k·T of a little above 300 K in kcal/mol.
const WARM: f64 = 0.6;

/// Replicas with atoms of the same types.
struct Replicas {
    offsets: Vec<usize>,
    types: Vec<i32>,
    positions: Vec<Vector>,
}

impl Replicas {
    fn new(types: &[i32], positions: &[Vec<Vector>]) -> Self {
        let count = positions.len();
        Self {
            offsets: (0..=count).map(|r| r * types.len()).collect(),
            types: types.repeat(count),
            positions: positions.concat(),
        }
    }

    fn structures(&self) -> Structures<'_> {
        Structures {
            offsets: &self.offsets,
            positions: &self.positions,
            types: &self.types,
            cells: &[],
            periodic: &[],
            excluded: None,
            topologies: None,
        }
    }
}

fn settings<'a>(integrator: Integrator, timestep: f64, thermal: &'a [f64]) -> Settings<'a> {
    Settings {
        integrator,
        timestep,
        seed: 42,
        thermal,
        masses: None,
        velocities: None,
        streams: None,
        exchange_interval: 0,
        ladders: None,
        largest_step: None,
    }
}

fn potential(model: &Arc<Model>, threads: usize) -> Potential {
    let options = Options {
        precision: Precision::Double,
        threads: Some(threads),
        ..Options::default()
    };
    Potential::new(model.clone(), options).expect("a potential")
}

/// Two atoms of 12 u, of types 1 and 2, with the energy k r²: an oscillator in three dimensions.
fn oscillator(k: f64) -> Arc<Model> {
    let mut file = one_prior(
        &mut Rng::with_seed(0),
        &KINDS[0],
        By::Term,
        &[(vec![1, 2], vec![0, 1])],
    );
    for (name, value) in [("k", k), ("x0", 0.0), ("v0", 0.0)] {
        file.tensors.insert(
            format!("priors.p.{name}"),
            Tensor::floats("F64", &[1], &[value]),
        );
    }
    load(&file)
}

fn dimers(count: usize) -> Replicas {
    Replicas::new(&[1, 2], &vec![vec![[0.0; 3], [0.3, 0.2, 0.1]]; count])
}

/// Mean and standard error of independent numbers.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

fn assert_mean(values: &[f64], expected: f64, precision: f64, what: &str) {
    let (found, error) = mean(values);
    assert!(
        error < precision * expected,
        "{what}: an error of {error} shows nothing"
    );
    assert!(
        (found - expected).abs() < 4.0 * error,
        "{what}: {found} ± {error} is not {expected}"
    );
}

#[test]
fn an_oscillator_has_its_temperature_in_positions_and_velocities() {
    // The splitting samples positions of an oscillator without error at any time step, and velocities in the middle of it:
    // here ω Δt is 1.2, and those of whole steps would have 0.64 of their temperature.
    let (count, k) = (64, 5.0);
    let model = oscillator(k);
    let reduced = 6.0;
    let omega = (2.0 * k * 418.4 / reduced).sqrt();
    let timestep = 1.2 / omega;
    let mut potential = potential(&model, 1);
    let thermal = vec![WARM; count];
    let integrator = Integrator::Langevin {
        friction: 0.5 * omega,
    };
    let mut simulation = Simulation::new(
        &mut potential,
        &dimers(count).structures(),
        &settings(integrator, timestep, &thermal),
    )
    .unwrap();
    simulation.run(&mut potential, 200).unwrap();
    let (mut energies, mut kinetic) = (vec![0.0; count], vec![0.0; count]);
    let steps = 8000;
    for _ in 0..steps {
        simulation.run(&mut potential, 1).unwrap();
        for replica in 0..count {
            energies[replica] += simulation.state().energies[replica] / f64::from(steps);
            kinetic[replica] += simulation.kinetic_energy(replica) / f64::from(steps);
        }
    }
    assert_mean(&energies, 1.5 * WARM, 0.01, "potential energy");
    // The centre of mass moves, too.
    assert_mean(&kinetic, 3.0 * WARM, 0.01, "kinetic energy");
}

#[test]
fn an_ideal_gas_has_its_temperature_and_diffuses() {
    let (count, steps, timestep, friction) = (256, 2000, 0.01, 5.0);
    let model = oscillator(0.0);
    let mut potential = potential(&model, 1);
    let thermal = vec![WARM; count];
    let gas = dimers(count);
    let integrator = Integrator::Langevin { friction };
    let mut simulation = Simulation::new(
        &mut potential,
        &gas.structures(),
        &settings(integrator, timestep, &thermal),
    )
    .unwrap();
    let mut kinetic = vec![0.0; count];
    for _ in 0..steps / 20 {
        simulation.run(&mut potential, 20).unwrap();
        for (replica, sum) in kinetic.iter_mut().enumerate() {
            *sum += simulation.kinetic_energy(replica) * 20.0 / f64::from(steps);
        }
    }
    // Two atoms with three degrees of freedom each.
    assert_mean(&kinetic, 3.0 * WARM, 0.02, "kinetic energy");
    // ⟨Δx²⟩ = 6 D (t − (1 − e^(−γt)) / γ) with D = kT / (m γ), from velocities that were warm at the start.
    let time = f64::from(steps) * timestep;
    let diffusion = WARM * 418.4 / (12.0 * friction);
    let squares: Vec<f64> = simulation
        .state()
        .positions
        .iter()
        .zip(&gas.positions)
        .map(|(p, q)| {
            (0..3)
                .map(|axis| (p[axis] - q[axis]) * (p[axis] - q[axis]))
                .sum()
        })
        .collect();
    assert_mean(
        &squares,
        6.0 * diffusion * (time - 1.0 / friction),
        0.05,
        "mean square displacement",
    );
}

/// A chain of every kind of term that mlcg's models have, without a network.
fn chain() -> (Arc<Model>, Vec<Vector>) {
    let atoms: Vec<Vector> = (0..6)
        .map(|i| {
            let t = f64::from(i) * 1.7;
            [2.3 * t.cos(), 2.3 * t.sin(), 1.5 * f64::from(i)]
        })
        .collect();
    let rows = |from: &[i64], order: usize| -> Vec<i64> {
        from.iter()
            .flat_map(|&first| (first..first + order as i64).collect::<Vec<_>>())
            .collect()
    };
    let molecule = |order: usize| {
        (
            vec![1; 6],
            rows(&(0..=(6 - order as i64)).collect::<Vec<_>>(), order),
        )
    };
    let mut rng = Rng::with_seed(8);
    let mut whole: Option<ModelFile> = None;
    for (name, number) in [("bonds", 0), ("angles", 1), ("dihedrals", 5)] {
        let mut part = one_prior(
            &mut rng,
            &KINDS[number],
            By::Term,
            &[molecule(KINDS[number].1)],
        );
        part.description["priors"][0]["name"] = name.into();
        // Stiff enough that no three atoms come near a line, where dihedrals turn without bound.
        let (length, cosine) = ([("k", 20.0), ("x0", 3.8)], [("k", 40.0), ("x0", -0.1)]);
        let fixed = match name {
            "bonds" => &length[..],
            "angles" => &cosine[..],
            _ => &[],
        };
        for &(parameter, value) in fixed {
            let rows = 7 - KINDS[number].1;
            let tensor = Tensor::floats("F64", &[rows], &vec![value; rows]);
            part.tensors.insert(format!("priors.p.{parameter}"), tensor);
        }
        let renamed = part
            .tensors
            .into_iter()
            .map(|(key, t)| (key.replace("priors.p.", &format!("priors.{name}.")), t));
        part.tensors = renamed.collect();
        whole = Some(match whole {
            None => part,
            Some(mut file) => {
                let prior = part.description["priors"][0].clone();
                file.description["priors"]
                    .as_array_mut()
                    .expect("priors")
                    .push(prior);
                file.tensors.append(&mut part.tensors);
                file
            }
        });
    }
    (load(&whole.expect("priors")), atoms)
}

/// The largest deviation of the total energy from where it began.
fn deviation(timestep: f64) -> f64 {
    let (model, atoms) = chain();
    let mut potential = potential(&model, 1);
    let replicas = Replicas::new(&[1; 6], &[atoms]);
    let mut simulation = Simulation::new(
        &mut potential,
        &replicas.structures(),
        &settings(Integrator::Verlet, timestep, &[WARM]),
    )
    .unwrap();
    let total =
        |simulation: &Simulation| simulation.kinetic_energy(0) + simulation.state().energies[0];
    let start = total(&simulation);
    let mut most: f64 = 0.0;
    for _ in 0..100 {
        simulation
            .run(&mut potential, (0.02 / timestep).round() as u64)
            .unwrap();
        most = most.max((total(&simulation) - start).abs());
    }
    most
}

#[test]
fn verlet_conserves_energy_to_second_order() {
    let (coarse, fine) = (deviation(0.002), deviation(0.0005));
    let thermal = 9.0 * WARM;
    assert!(coarse < 0.02 * thermal, "{coarse}");
    let ratio = coarse / fine;
    assert!(
        (10.0..24.0).contains(&ratio),
        "a step four times as long makes {ratio} times the error"
    );
}

#[test]
fn verlet_goes_back_where_it_came_from() {
    let (model, atoms) = chain();
    let mut potential = potential(&model, 1);
    let replicas = Replicas::new(&[1; 6], std::slice::from_ref(&atoms));
    let choices = settings(Integrator::Verlet, 0.002, &[WARM]);
    let mut there = Simulation::new(&mut potential, &replicas.structures(), &choices).unwrap();
    there.run(&mut potential, 300).unwrap();
    let back: Vec<Vector> = there
        .state()
        .velocities
        .iter()
        .map(|v| v.map(|v| -v))
        .collect();
    let turned = Replicas::new(&[1; 6], &[there.state().positions.clone()]);
    let mut here = Simulation::new(
        &mut potential,
        &turned.structures(),
        &Settings {
            velocities: Some(&back),
            ..choices
        },
    )
    .unwrap();
    here.run(&mut potential, 300).unwrap();
    for (p, q) in here.state().positions.iter().zip(&atoms) {
        assert!(
            (0..3).all(|axis| (p[axis] - q[axis]).abs() < 1e-8),
            "{p:?} is not {q:?}"
        );
    }
}

/// Water molecules under a network and priors, no two the same.
fn waters(count: usize) -> (Arc<Model>, Replicas) {
    let mut rng = Rng::with_seed(6);
    let positions: Vec<Vec<Vector>> = (0..count)
        .map(|_| {
            let molecule = [[0.0; 3], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]];
            molecule
                .map(|p: Vector| p.map(|x| x + 0.05 * rng.f64()))
                .to_vec()
        })
        .collect();
    let model = Model::from_bytes("water", &small_model().bytes()).expect("a model");
    (model.into(), Replicas::new(&[8, 1, 1], &positions))
}

const SHORT: f64 = 0.0005;

#[test]
fn the_same_seed_gives_the_same_bits() {
    let (model, replicas) = waters(5);
    let thermal = [0.02, 0.03, 0.04, 0.05, 0.06];
    let choices = Settings {
        exchange_interval: 10,
        ..settings(LANGEVIN, SHORT, &thermal)
    };
    let run = |threads: usize, parts: &[u64], choices: &Settings| {
        let mut potential = potential(&model, threads);
        let mut simulation =
            Simulation::new(&mut potential, &replicas.structures(), choices).unwrap();
        for &steps in parts {
            simulation.run(&mut potential, steps).unwrap();
        }
        simulation.state().clone()
    };
    let first = run(1, &[100], &choices);
    assert_eq!(first.step, 100);
    assert!(first.frozen.iter().all(Option::is_none));
    assert_eq!(run(3, &[33, 0, 66, 1], &choices), first);
    let other = run(
        1,
        &[100],
        &Settings {
            seed: 43,
            ..choices
        },
    );
    assert_ne!(other.positions, first.positions);
}

#[test]
fn many_replicas_are_the_same_with_many_threads() {
    let (model, count) = (oscillator(5.0), 4500);
    let thermal = vec![WARM; count];
    let run = |threads: usize| {
        let mut potential = potential(&model, threads);
        let choices = settings(LANGEVIN, 0.002, &thermal);
        let mut simulation =
            Simulation::new(&mut potential, &dimers(count).structures(), &choices).unwrap();
        simulation.run(&mut potential, 10).unwrap();
        simulation.state().clone()
    };
    assert_eq!(run(3), run(1));
}

#[test]
fn replicas_do_not_depend_on_their_order() {
    let (model, atoms) = chain();
    let mut rng = Rng::with_seed(1);
    let shaken: Vec<Vec<Vector>> = (0..4)
        .map(|_| {
            atoms
                .iter()
                .map(|p| p.map(|x| x + 0.1 * rng.f64()))
                .collect()
        })
        .collect();
    let run = |order: &[usize]| {
        let mut potential = potential(&model, 1);
        let replicas = Replicas::new(
            &[1; 6],
            &order.iter().map(|&r| shaken[r].clone()).collect::<Vec<_>>(),
        );
        let thermal: Vec<f64> = order.iter().map(|&r| 0.5 + 0.1 * r as f64).collect();
        let streams: Vec<u32> = order.iter().map(|&r| r as u32).collect();
        let choices = Settings {
            streams: Some(&streams),
            ..settings(LANGEVIN, 0.002, &thermal)
        };
        let mut simulation =
            Simulation::new(&mut potential, &replicas.structures(), &choices).unwrap();
        simulation.run(&mut potential, 50).unwrap();
        simulation.state().clone()
    };
    let whole = run(&[0, 1, 2, 3]);
    let mixed = run(&[2, 0, 3]);
    for (place, replica) in [2, 0, 3].into_iter().enumerate() {
        let of = |r: usize| 6 * r..6 * r + 6;
        assert_eq!(mixed.positions[of(place)], whole.positions[of(replica)]);
        assert_eq!(mixed.velocities[of(place)], whole.velocities[of(replica)]);
    }
}

#[test]
fn a_checkpoint_goes_on_as_if_nothing_had_happened() {
    let (model, replicas) = waters(4);
    let thermal = [0.02, 0.03, 0.04, 0.05];
    let choices = Settings {
        exchange_interval: 7,
        ..settings(LANGEVIN, SHORT, &thermal)
    };
    let mut potential = potential(&model, 2);
    let start = |potential: &mut Potential| {
        Simulation::new(potential, &replicas.structures(), &choices).unwrap()
    };
    let mut whole = start(&mut potential);
    let mut checkpoints = Vec::new();
    for steps in [3, 30, 60] {
        whole.run(&mut potential, steps).unwrap();
        checkpoints.push(whole.checkpoint(&potential));
    }
    assert!(
        potential.builds() > 2,
        "the neighbour list was made anew in between"
    );
    whole.run(&mut potential, 100).unwrap();
    for bytes in checkpoints {
        let mut other = common::system::potential(&model, 1.0);
        let mut simulation = start(&mut other);
        simulation.run(&mut other, 5).unwrap();
        simulation.restore(&mut other, &bytes).unwrap();
        assert_eq!(simulation.checkpoint(&other), bytes);
        let left = 193 - simulation.state().step;
        simulation.run(&mut other, left).unwrap();
        assert_eq!(simulation.state(), whole.state());
        assert_eq!(simulation.pairs(), whole.pairs());
    }
}

#[test]
fn damaged_and_foreign_checkpoints_are_refused() {
    let (model, replicas) = waters(2);
    let thermal = [0.02, 0.03];
    let choices = settings(LANGEVIN, SHORT, &thermal);
    let mut potential = potential(&model, 1);
    let mut simulation = Simulation::new(&mut potential, &replicas.structures(), &choices).unwrap();
    simulation.run(&mut potential, 3).unwrap();
    let bytes = simulation.checkpoint(&potential);
    let before = simulation.clone();
    let mut say = |bytes: &[u8]| {
        let error = simulation
            .restore(&mut potential, bytes)
            .expect_err("an error")
            .to_string();
        assert_eq!(simulation, before);
        error
    };
    for length in 0..bytes.len() {
        let error = say(&bytes[..length]);
        let expected = if length < 8 {
            "not a checkpoint of a simulation"
        } else {
            "the checkpoint is damaged or cut off"
        };
        assert_eq!(error, format!("invalid argument: {expected}"));
    }
    let mut rng = Rng::with_seed(2);
    for _ in 0..200 {
        let mut wrong = bytes.clone();
        let at = rng.usize(8..wrong.len());
        wrong[at] ^= 1 << rng.u8(..8);
        assert_eq!(
            say(&wrong),
            "invalid argument: the checkpoint is damaged or cut off"
        );
    }
    let mut longer = bytes.clone();
    longer.extend([0; 9]);
    assert!(say(&longer).ends_with("damaged or cut off"));

    let colder = [0.02, 0.01];
    let masses = [15.0, 1.0, 1.0, 15.0, 1.0, 1.0];
    for (what, other) in [
        (
            "temperatures",
            Settings {
                thermal: &colder,
                ..choices
            },
        ),
        (
            "masses",
            Settings {
                masses: Some(&masses),
                ..choices
            },
        ),
        (
            "integrator, time step or seed",
            Settings { seed: 1, ..choices },
        ),
        (
            "integrator, time step or seed",
            Settings {
                timestep: 0.001,
                ..choices
            },
        ),
        (
            "exchange",
            Settings {
                exchange_interval: 5,
                ..choices
            },
        ),
    ] {
        let mut potential = common::system::potential(&model, 1.0);
        let mut other = Simulation::new(&mut potential, &replicas.structures(), &other).unwrap();
        let error = other.restore(&mut potential, &bytes).expect_err("an error");
        assert_eq!(
            error.to_string(),
            format!("invalid argument: the checkpoint is of another simulation: its {what} differ")
        );
    }
    let network = Arc::new(Model::from_bytes("water", &small_network().bytes()).expect("a model"));
    let mut potential = common::system::potential(&network, 1.0);
    let mut other = Simulation::new(&mut potential, &replicas.structures(), &choices).unwrap();
    let error = other.restore(&mut potential, &bytes).expect_err("an error");
    assert!(
        error.to_string().ends_with("its model or its use differ"),
        "{error}"
    );
}

#[test]
fn exchange_samples_every_temperature() {
    let (ladders, rungs) = (32, 4);
    let temperatures = [0.5, 0.7, 0.9, 1.3];
    let count = ladders * rungs;
    let thermal: Vec<f64> = (0..count)
        .map(|replica| temperatures[replica / ladders])
        .collect();
    let of: Vec<i32> = (0..count)
        .map(|replica| (replica % ladders) as i32)
        .collect();
    let model = oscillator(5.0);
    let mut potential = potential(&model, 1);
    let choices = Settings {
        exchange_interval: 5,
        ladders: Some(&of),
        ..settings(Integrator::Langevin { friction: 20.0 }, 0.02, &thermal)
    };
    let mut simulation =
        Simulation::new(&mut potential, &dimers(count).structures(), &choices).unwrap();
    simulation.run(&mut potential, 200).unwrap();
    let (rounds, mut energies, mut kinetic) = (1200, vec![0.0; count], vec![0.0; count]);
    for _ in 0..rounds {
        simulation.run(&mut potential, 5).unwrap();
        for replica in 0..count {
            energies[replica] += simulation.state().energies[replica] / f64::from(rounds);
            kinetic[replica] += simulation.kinetic_energy(replica) / f64::from(rounds);
        }
    }
    // Ladders are independent, the rungs of one are not.
    for (rung, temperature) in temperatures.into_iter().enumerate() {
        let of = rung * ladders..(rung + 1) * ladders;
        assert_mean(
            &energies[of.clone()],
            1.5 * temperature,
            0.02,
            "potential energy",
        );
        // At ω Δt of 0.75, velocities of an oscillator are off by (ω Δt)² / 4 in half of the degrees of freedom.
        let (found, error) = mean(&kinetic[of]);
        assert!(
            found < 3.0 * temperature + 4.0 * error && found > 2.7 * temperature,
            "{found}"
        );
    }
    let mut walkers = simulation.state().walkers.clone();
    assert!(
        walkers
            .iter()
            .zip(0..)
            .filter(|&(&walker, place)| walker != place)
            .count()
            > count / 2
    );
    walkers.sort_unstable();
    assert!(
        walkers
            .iter()
            .zip(0..)
            .all(|(&walker, place)| walker == place)
    );
    for pair in simulation.pairs() {
        assert!((600..=620).contains(&pair.attempts), "{pair:?}");
        let rate = pair.accepted as f64 / pair.attempts as f64;
        // Energies have the distribution Γ(3/2, kT); integrated by hand for the closest and the farthest rungs: 0.81, 0.73.
        assert!((0.5..0.95).contains(&rate), "{pair:?}");
    }
    assert_eq!(simulation.pairs().len(), ladders * (rungs - 1));
}

#[test]
fn a_blown_up_replica_stands_still_and_the_others_go_on() {
    let (model, replicas) = waters(3);
    let thermal = [0.02; 3];
    let mut potential = potential(&model, 1);
    let quiet: Vec<Vector> = vec![[0.0; 3]; 9];
    let mut wild = quiet.clone();
    wild[4] = [1e6, 0.0, 0.0];
    let run = |potential: &mut Potential, velocities: &[Vector]| {
        let choices = Settings {
            velocities: Some(velocities),
            ..settings(LANGEVIN, SHORT, &thermal)
        };
        let mut simulation = Simulation::new(potential, &replicas.structures(), &choices).unwrap();
        simulation.run(potential, 20).unwrap();
        simulation.state().clone()
    };
    let (calm, blown) = (run(&mut potential, &quiet), run(&mut potential, &wild));
    assert!(calm.frozen.iter().all(Option::is_none));
    let reason = blown.frozen[1].clone().expect("a blow-up");
    assert_eq!(reason.step, 1);
    assert!(reason.reason.starts_with("atom 1 moves by "), "{reason:?}");
    assert_eq!(blown.frozen[0], None);
    assert_eq!(blown.positions[3..6], replicas.positions[3..6]);
    assert_eq!(blown.velocities[3..6], wild[3..6]);
    for atoms in [0..3, 6..9] {
        let same = blown.positions[atoms.clone()]
            .iter()
            .zip(&calm.positions[atoms]);
        // Neighbours of the others are the same; only rows of the matrix products differ.
        assert!(
            same.clone()
                .all(|(p, q)| (0..3).all(|axis| (p[axis] - q[axis]).abs() < 1e-9))
        );
        assert!(same.clone().count() == 3);
    }
}

#[test]
fn a_replica_without_an_energy_is_found_among_the_others() {
    // Two atoms that fly at each other meet in the first step, where the bond has no direction.
    let model = oscillator(0.0);
    let mut potential = potential(&model, 1);
    let replicas = Replicas::new(
        &[1, 2],
        &[
            vec![[0.0; 3], [1.0, 0.0, 0.0]],
            vec![[0.0; 3], [1.0, 0.0, 0.0]],
        ],
    );
    let velocities = [[0.0; 3], [0.0; 3], [50.0, 0.0, 0.0], [-50.0, 0.0, 0.0]];
    let choices = Settings {
        velocities: Some(&velocities),
        ..settings(Integrator::Verlet, 0.01, &[0.0, 0.0])
    };
    let mut simulation = Simulation::new(&mut potential, &replicas.structures(), &choices).unwrap();
    simulation.run(&mut potential, 3).unwrap();
    let state = simulation.state();
    assert_eq!(state.frozen[0], None);
    let blow_up = state.frozen[1].clone().expect("a blow-up");
    assert_eq!(
        (blow_up.step, blow_up.reason.as_str()),
        (1, "prior \"p\": atoms 0 and 1 are at the same point")
    );
    assert_eq!(state.positions[2..], replicas.positions[2..]);
    let bytes = simulation.checkpoint(&potential);
    let mut again = Simulation::new(&mut potential, &replicas.structures(), &choices).unwrap();
    again.restore(&mut potential, &bytes).unwrap();
    assert_eq!(again.state(), simulation.state());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let (model, replicas) = waters(2);
    let mut potential = potential(&model, 1);
    let good = settings(LANGEVIN, SHORT, &[0.02, 0.03]);
    let (negative, zero, one) = ([1.0, -1.0], [0.02, 0.0], [0.02]);
    let masses = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0];
    let velocities = [[f64::NAN; 3]; 6];
    let rubbing = |friction| Integrator::Langevin { friction };
    for (wrong, text) in [
        (
            Settings {
                timestep: 0.0,
                ..good
            },
            "timestep is 0, must be positive and finite",
        ),
        (
            Settings {
                timestep: f64::NAN,
                ..good
            },
            "timestep is NaN, must be positive and finite",
        ),
        (
            Settings {
                integrator: rubbing(-1.0),
                ..good
            },
            "friction is -1, must be positive and finite",
        ),
        (
            Settings {
                largest_step: Some(-1.0),
                ..good
            },
            "largest step is -1, must be positive and finite",
        ),
        (
            Settings {
                thermal: &one,
                ..good
            },
            "1 thermal energies for 2",
        ),
        (
            Settings {
                thermal: &negative,
                ..good
            },
            "thermal energy of replica 1 is -1, must be positive and finite",
        ),
        (
            Settings {
                thermal: &zero,
                ..good
            },
            "thermal energy of replica 1 is 0, must be positive and finite",
        ),
        (
            Settings {
                masses: Some(&masses),
                ..good
            },
            "mass of atom 4 is 0, must be positive and finite",
        ),
        (
            Settings {
                masses: Some(&masses[1..]),
                ..good
            },
            "5 masses for 6",
        ),
        (
            Settings {
                velocities: Some(&velocities),
                ..good
            },
            "velocity of atom 0 is not finite",
        ),
        (
            Settings {
                velocities: Some(&velocities[1..]),
                ..good
            },
            "5 velocities for 6",
        ),
        (
            Settings {
                streams: Some(&[3, 3]),
                ..good
            },
            "two replicas have the stream 3 of random numbers",
        ),
        (
            Settings {
                streams: Some(&[3]),
                ..good
            },
            "1 streams for 2",
        ),
        (
            Settings {
                exchange_interval: 1,
                ladders: Some(&[0, 1]),
                ..good
            },
            "ladder 0 has only replica 0: exchange needs two",
        ),
        (
            Settings {
                exchange_interval: 1,
                ladders: Some(&[-1, -1]),
                ..good
            },
            "no replica is on a ladder to exchange on",
        ),
        (
            Settings {
                exchange_interval: 1,
                ladders: Some(&[0]),
                ..good
            },
            "1 ladders for 2",
        ),
        (
            Settings {
                exchange_interval: 1,
                masses: Some(&[1.0, 1.0, 1.0, 1.0, 2.0, 1.0]),
                ..good
            },
            "replicas 0 and 1 cannot exchange: they have different masses",
        ),
    ] {
        let error =
            Simulation::new(&mut potential, &replicas.structures(), &wrong).expect_err("an error");
        assert_eq!(error.to_string(), format!("invalid argument: {text}"));
    }
    let mut massless = small_model();
    massless.description["types"][0]["mass"] = serde_json::Value::Null;
    let massless = Arc::new(Model::from_bytes("water", &massless.bytes()).expect("a model"));
    let mut potential = common::system::potential(&massless, 1.0);
    let error =
        Simulation::new(&mut potential, &replicas.structures(), &good).expect_err("an error");
    assert_eq!(
        error.to_string(),
        "invalid argument: water has no mass for type 1 of atom 1: give the masses"
    );
    let mut fine = Simulation::new(
        &mut potential,
        &replicas.structures(),
        &Settings {
            masses: Some(&[1.0; 6]),
            ..good
        },
    )
    .unwrap();
    let error = fine.run(&mut potential, u64::MAX).unwrap_err().to_string();
    assert_eq!(
        error,
        "invalid argument: 18446744073709551615 steps after 0, at most 72057594037927936 can be made"
    );
}
