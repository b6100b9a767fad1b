//! Analytic priors: derivatives, symmetries, topologies, and what is refused.

mod common;

use common::model_file::{ModelFile, Tensor};
use common::random_priors::{
    By, KINDS, Kind, load, one_prior, random_molecule, random_terms, random_types,
};
use common::small_model::{small_model, small_network};
use common::system::{ALL, System, Vector, compute_batch, largest, potential};
use fastrand::Rng;
use flashschnet::engine::Results;
use flashschnet::model::Model;
use flashschnet::potential::{Options, Potential, Precision, PriorUse, Structures};
use flashschnet::prior::TermList;
use serde_json::json;

const ATOMS: usize = 5;

/// A random molecule with random parameters for each kind, by term and by type.
fn for_each_prior(mut check: impl FnMut(&Kind, &System, &mut Potential, &mut Rng)) {
    for seed in 0..20 {
        for kind in &KINDS {
            for by in [By::Term, By::Type] {
                let mut rng = Rng::with_seed(seed);
                let types = random_types(&mut rng, ATOMS);
                let terms = random_terms(&mut rng, ATOMS, kind.1, 7);
                let file = one_prior(&mut rng, kind, by, &[(types.clone(), terms)]);
                let system = random_molecule(&mut rng, &types);
                check(kind, &system, &mut potential(&load(&file), 1.0), &mut rng);
            }
        }
    }
}

/// Central differences of fourth order.
fn slope(mut energy: impl FnMut(f64) -> f64) -> f64 {
    let step = 1e-3;
    (8.0 * (energy(step) - energy(-step)) - (energy(2.0 * step) - energy(-2.0 * step)))
        / (12.0 * step)
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    let scale = largest(expected).max(1.0);
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= tolerance * scale,
            "{what}: {found:?} is not {expected:?}"
        );
    }
}

#[test]
fn forces_are_derivatives_of_the_energy() {
    for_each_prior(|kind, system, potential, _| {
        let results = system.compute(potential);
        assert!(largest(results.forces.as_flattened()) > 1e-3, "{}", kind.0);
        let numeric: Vec<f64> = (0..3 * ATOMS)
            .map(|at| {
                -slope(|away| {
                    let mut moved = system.clone();
                    moved.positions[at / 3][at % 3] += away;
                    moved.energy(potential)
                })
            })
            .collect();
        // What is left of the differences' own error at this step.
        assert_close(results.forces.as_flattened(), &numeric, 3e-7, kind.0);
    });
}

#[test]
fn virials_are_derivatives_by_strain() {
    for_each_prior(|kind, system, potential, _| {
        let results = system.compute(potential);
        let numeric: Vec<f64> = (0..9)
            .map(|at| {
                -slope(|strain| {
                    let strained = system.mapped(|mut p| {
                        p[at / 3] += strain * p[at % 3];
                        p
                    });
                    strained.energy(potential)
                })
            })
            .collect();
        assert_close(&results.virials[0], &numeric, 3e-7, kind.0);
        assert_sums(&results, kind.0);
    });
}

/// Shares of atoms add up to the whole.
fn assert_sums(results: &Results, what: &str) {
    let energy: f64 = results.atom_energies.iter().sum();
    assert_close(&[energy], &results.energies, 1e-12, what);
    let virial: Vec<f64> = (0..9)
        .map(|at| results.atom_virials.iter().map(|v| v[at]).sum())
        .collect();
    assert_close(&virial, &results.virials[0], 1e-12, what);
    let force: Vec<f64> = (0..3)
        .map(|axis| results.forces.iter().map(|f| f[axis]).sum())
        .collect();
    assert_close(
        &force,
        &[0.0; 3],
        1e-12 * largest(results.forces.as_flattened()).max(1.0),
        what,
    );
}

#[test]
fn turning_and_shifting_change_nothing() {
    let (s, c) = 0.7f64.sin_cos();
    let turn = |p: Vector| [c * p[0] - s * p[1], s * p[0] + c * p[1], p[2]];
    for_each_prior(|kind, system, potential, _| {
        let before = system.compute(potential);
        let after = system.mapped(turn).compute(potential);
        assert_close(&after.energies, &before.energies, 1e-12, kind.0);
        let turned: Vec<f64> = before.forces.iter().flat_map(|&f| turn(f)).collect();
        assert_close(after.forces.as_flattened(), &turned, 1e-11, kind.0);
        let mut moved = system.clone();
        for p in &mut moved.positions {
            p[1] += 11.0;
        }
        assert_close(
            &moved.compute(potential).energies,
            &before.energies,
            1e-11,
            kind.0,
        );
    });
}

#[test]
fn mirrors_change_dihedrals_only() {
    for_each_prior(|kind, system, potential, _| {
        let before = system.energy(potential);
        let after = system.mapped(|p| [-p[0], p[1], p[2]]).energy(potential);
        let same = (after - before).abs() < 1e-11 * before.abs().max(1.0);
        assert_eq!(same, kind.1 < 4, "{}", kind.0);
    });
}

#[test]
fn periodic_structures_join_nearest_images() {
    for_each_prior(|kind, system, potential, rng| {
        let free = system.compute(potential);
        // Molecules are shorter than half of every height of this cell.
        let cell = [[12.0, 0.0, 0.0], [5.5, 12.0, 0.0], [-4.0, 3.0, 12.0]];
        let mut wrapped = System {
            cell: Some(cell),
            periodic: [true; 3],
            ..system.clone()
        };
        for p in &mut wrapped.positions {
            for vector in cell {
                let steps = f64::from(rng.i32(-2..3));
                for axis in 0..3 {
                    p[axis] += steps * vector[axis];
                }
            }
        }
        let found = wrapped.compute(potential);
        assert_close(&found.energies, &free.energies, 1e-10, kind.0);
        assert_close(
            found.forces.as_flattened(),
            free.forces.as_flattened(),
            1e-9,
            kind.0,
        );
        assert_close(&found.virials[0], &free.virials[0], 1e-9, kind.0);
    });
}

#[test]
fn thousands_of_molecules_in_one_call() {
    let mut rng = Rng::with_seed(5);
    let kind = &KINDS[0];
    // Types that tell the molecules apart: their number in base three.
    let count = 3000;
    let molecules: Vec<(Vec<i32>, Vec<i64>)> = (0..count)
        .map(|number: i32| {
            let types = (0..8)
                .map(|place| number / 3i32.pow(place) % 3 + 1)
                .collect();
            (types, random_terms(&mut rng, 8, 2, 4))
        })
        .collect();
    let model = load(&one_prior(&mut rng, kind, By::Term, &molecules));
    let mut systems: Vec<System> = molecules
        .iter()
        .map(|(types, _)| random_positions(&mut Rng::with_seed(types[0] as u64), types))
        .collect();
    rng.shuffle(&mut systems);
    let (mut all, mut one) = (potential(&model, 1.0), potential(&model, 1.0));
    let together = compute_batch(&mut all, &systems);
    for (number, system) in systems.iter().enumerate().step_by(100) {
        let alone = system.compute(&mut one);
        assert_eq!(together.energies[number], alone.energies[0]);
        assert_eq!(together.forces[8 * number..8 * number + 8], alone.forces);
        assert_eq!(together.virials[number], alone.virials[0]);
    }
    // Of two that cannot be computed, the first is named, whatever threads do.
    for number in [7, 2900] {
        systems[number].positions = vec![[1.0; 3]; 8];
    }
    let offsets: Vec<usize> = (0..=systems.len()).map(|s| 8 * s).collect();
    let positions: Vec<Vector> = systems.iter().flat_map(|s| s.positions.clone()).collect();
    let types: Vec<i32> = systems.iter().flat_map(|s| s.types.clone()).collect();
    let structures = Structures {
        offsets: &offsets,
        positions: &positions,
        types: &types,
        cells: &[],
        periodic: &[],
        excluded: None,
        topologies: None,
    };
    for _ in 0..10 {
        let error = all
            .compute(&structures, ALL)
            .expect_err("an error")
            .to_string();
        assert!(
            error.starts_with("invalid argument: structure 7: prior \"p\""),
            "{error}"
        );
    }
}

fn random_positions(rng: &mut Rng, types: &[i32]) -> System {
    let positions = types
        .iter()
        .map(|_| [rng.f64(), rng.f64(), rng.f64()].map(|x| 4.0 * x))
        .collect();
    System {
        positions,
        types: types.to_vec(),
        cell: None,
        periodic: [false; 3],
    }
}

/// Two atoms on the x axis.
fn pair(distance: f64) -> System {
    System {
        positions: vec![[0.0; 3], [distance, 0.0, 0.0]],
        types: vec![1, 2],
        cell: None,
        periodic: [false; 3],
    }
}

#[test]
fn pair_terms_end_at_their_cutoff() {
    for name in ["harmonic_bond", "repulsion", "exponential_repulsion"] {
        let kind = KINDS.iter().find(|kind| kind.0 == name).expect("a kind");
        let mut rng = Rng::with_seed(1);
        let mut file = one_prior(&mut rng, kind, By::Term, &[(vec![1, 2], vec![0, 1])]);
        file.description["priors"][0]["cutoff"] = json!(2.0);
        let mut potential = potential(&load(&file), 1.0);
        assert_ne!(pair(1.999).energy(&mut potential), 0.0);
        let beyond = pair(2.0).compute(&mut potential);
        assert_eq!(
            (beyond.energies[0], beyond.forces[0]),
            (0.0, [0.0; 3]),
            "{name}"
        );
    }
}

/// The water molecule of the small model.
fn water() -> System {
    System {
        positions: vec![[0.0; 3], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]],
        types: vec![8, 1, 1],
        cell: None,
        periodic: [false; 3],
    }
}

fn small(priors: PriorUse) -> Potential {
    let model = Model::from_bytes("water", &small_model().bytes()).expect("a model");
    let options = Options {
        precision: Precision::Double,
        priors,
        ..Options::default()
    };
    Potential::new(model.into(), options).expect("a potential")
}

#[test]
fn network_and_priors_add_up() {
    let network = Model::from_bytes("water", &small_network().bytes()).expect("a model");
    let network = water().compute(&mut potential(&network.into(), 1.0));
    let off = water().compute(&mut small(PriorUse::Off));
    assert_eq!(off, network);
    let mut whole = small(PriorUse::On);
    let both = water().compute(&mut whole);
    let bond = |r: f64| (r - 1.0) * (r - 1.0);
    let (p, q): (Vector, Vector) = ([0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]);
    let (a, b) = (0.96, q[0].hypot(q[1]));
    let angle = (p[0] * q[0] / (a * b)).acos() - 1.8;
    let terms = whole.term_energies();
    assert_close(
        terms,
        &[network.energies[0], bond(a) + bond(b), angle * angle],
        1e-13,
        "terms",
    );
    assert_close(&[terms.iter().sum()], &both.energies, 1e-14, "sum");
    assert_sums(&both, "both");
    assert!(largest(both.forces.as_flattened()) > 0.0);
}

fn refused(potential: &mut Potential, system: &System, topologies: Option<&[i32]>) -> String {
    let structures = Structures {
        offsets: &[0, system.positions.len()],
        positions: &system.positions,
        types: &system.types,
        cells: &[],
        periodic: &[],
        excluded: None,
        topologies,
    };
    potential
        .compute(&structures, ALL)
        .expect_err("an error")
        .to_string()
}

#[test]
fn structures_without_a_topology_are_refused() {
    let mut potential = small(PriorUse::On);
    let mut dimer = pair(1.0);
    dimer.types = vec![1, 1];
    assert_eq!(
        refused(&mut potential, &dimer, None),
        "invalid argument: structure 0 has 2 atoms of types that none of 1 topologies has, and water has priors: add a \
         topology with its term lists, or turn priors off"
    );
    assert_eq!(
        refused(&mut potential, &dimer, Some(&[1])),
        "invalid argument: structure 0 asks for topology 1, and there are 1"
    );
    assert_eq!(
        refused(&mut potential, &dimer, Some(&[-2])),
        "invalid argument: structure 0 asks for topology -2, and there are 1"
    );
    assert_eq!(
        refused(&mut potential, &dimer, Some(&[0])),
        "invalid argument: structure 0 does not have the types of topology 0 (\"water\")"
    );
    assert_eq!(
        refused(&mut potential, &dimer, Some(&[0, 0])),
        "invalid argument: 2 topologies for 1 structures"
    );
    // Nothing of that spoils the next call.
    water().compute(&mut potential);
}

/// Bonds by types, for any molecule of the types 1, 2 and 3.
fn bonds_by_type() -> Potential {
    let file = one_prior(
        &mut Rng::with_seed(3),
        &KINDS[0],
        By::Type,
        &[(vec![1, 2], vec![0, 1])],
    );
    potential(&load(&file), 1.0)
}

#[test]
fn callers_add_molecules() {
    let mut potential = bonds_by_type();
    let chain = System {
        positions: vec![[0.0; 3], [1.0, 0.0, 0.0], [1.0, 1.5, 0.0]],
        types: vec![1, 2, 1],
        ..pair(1.0)
    };
    let list = |atoms| [TermList { prior: "p", atoms }];
    assert_eq!(
        potential
            .add_topology("chain", &chain.types, &list(&[0, 1, 1, 2]))
            .unwrap(),
        1
    );
    let found = chain.energy(&mut potential);
    let mut bond = |types: [i32; 2], r: f64| {
        potential
            .add_topology("bond", &types, &list(&[0, 1]))
            .unwrap();
        System {
            types: types.to_vec(),
            ..pair(r)
        }
        .energy(&mut potential)
    };
    let parts = bond([1, 2], 1.0) + bond([2, 1], 1.5);
    assert_close(&[found], &[parts], 1e-14, "chain");
    // The same types with the same terms are no riddle, with others they are.
    potential
        .add_topology("again", &chain.types, &list(&[0, 1, 1, 2]))
        .unwrap();
    assert_eq!(chain.energy(&mut potential), found);
    let ring = potential
        .add_topology("ring", &chain.types, &list(&[0, 1, 1, 2, 2, 0]))
        .unwrap();
    assert_eq!(
        refused(&mut potential, &chain, None),
        format!(
            "invalid argument: structure 0 has the types of topologies 1 (\"chain\") and {ring} (\"ring\"), whose terms \
        differ: say which by its number"
        )
    );
    let number = [ring as i32];
    let structures = Structures {
        offsets: &[0, 3],
        positions: &chain.positions,
        types: &chain.types,
        cells: &[],
        periodic: &[],
        excluded: None,
        topologies: Some(&number),
    };
    assert_ne!(
        potential.compute(&structures, ALL).unwrap().energies[0],
        found
    );
}

#[test]
fn wrong_term_lists_are_refused() {
    let mut potential = bonds_by_type();
    let mut say = |types: &[i32], lists: &[TermList]| {
        let error = potential
            .add_topology("mine", types, lists)
            .expect_err("an error")
            .to_string();
        let text = error.strip_prefix("invalid argument: topology \"mine\": ");
        text.unwrap_or_else(|| panic!("{error}")).to_owned()
    };
    let list = |atoms| [TermList { prior: "p", atoms }];
    assert_eq!(
        say(&[1, 7], &list(&[0, 1])),
        "atom 1 has type 7, which priors does not know"
    );
    assert_eq!(
        say(
            &[1, 2],
            &[TermList {
                prior: "q",
                atoms: &[]
            }]
        ),
        "there is no prior \"q\" in priors; there are p"
    );
    assert_eq!(
        say(&[1, 2], &[list(&[0, 1])[0], list(&[0, 1])[0]]),
        "prior \"p\" is listed twice"
    );
    assert_eq!(
        say(&[1, 2], &[]),
        "prior \"p\": has no term list; give an empty one if the molecule has no such terms"
    );
    assert_eq!(
        say(&[1, 2], &list(&[0, 1, 1])),
        "prior \"p\": its terms join 2 atoms, and 3 are listed"
    );
    assert_eq!(
        say(&[1, 2], &list(&[0, 1, 1, 2])),
        "prior \"p\": term 1 names atom 2, and there are 2"
    );
    assert_eq!(
        say(&[1, 2], &list(&[-1, 1])),
        "prior \"p\": term 0 names atom -1, and there are 2"
    );
    assert_eq!(
        say(&[1, 2], &list(&[1, 1])),
        "prior \"p\": term 0 names atom 1 twice"
    );

    let file = one_prior(
        &mut Rng::with_seed(3),
        &KINDS[0],
        By::Term,
        &[(vec![1, 2], vec![0, 1])],
    );
    let error =
        common::system::potential(&load(&file), 1.0).add_topology("mine", &[1, 2], &list(&[0, 1]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "invalid argument: topology \"mine\": prior \"p\": has a row of parameters for every term of the molecules in the \
         file, and none by types for others"
    );
    let mut off = small(PriorUse::Off);
    assert_eq!(
        off.add_topology("mine", &[8], &[]).unwrap_err().to_string(),
        "not supported: water has no priors, or they are off: there is nothing to add a topology for"
    );
}

fn without_tuple(mut file: ModelFile) -> ModelFile {
    file.tensors.insert(
        "priors.bonds.types".into(),
        Tensor::integers(&[2, 2], &[1, 1, 1, 8]),
    );
    file
}

#[test]
fn types_missing_from_a_table_are_named() {
    let model = Model::from_bytes("water", &without_tuple(small_model()).bytes()).expect("a model");
    let error = Potential::new(model.into(), Options::default())
        .err()
        .expect("an error");
    assert_eq!(
        error.to_string(),
        "water: priors.bonds.atoms: structure 0: term 0 joins atoms [0, 1] of types [8, 1], which its table does not have"
    );
}

#[test]
fn a_model_of_priors_needs_them_on() {
    let file = one_prior(
        &mut Rng::with_seed(3),
        &KINDS[0],
        By::Type,
        &[(vec![1, 2], vec![0, 1])],
    );
    let options = Options {
        priors: PriorUse::Off,
        ..Options::default()
    };
    let error = Potential::new(load(&file), options)
        .err()
        .expect("an error");
    assert_eq!(
        error.to_string(),
        "not supported: priors has no network, only priors"
    );
}

#[test]
fn atoms_at_one_point_and_on_a_line_are_named() {
    for kind in &KINDS {
        let order = kind.1;
        let types = vec![1; order];
        let terms = (0..order as i64).collect();
        let model = load(&one_prior(
            &mut Rng::with_seed(1),
            kind,
            By::Term,
            &[(types.clone(), terms)],
        ));
        let mut potential = potential(&model, 1.0);
        let line = |steps: [f64; 4]| System {
            positions: steps[..order].iter().map(|&x| [x, 2.0 * x, 0.0]).collect(),
            types: types.clone(),
            cell: None,
            periodic: [false; 3],
        };
        let met = refused(&mut potential, &line([0.0, 0.0, 1.0, 2.0]), None);
        assert!(
            met.ends_with("are at the same point")
                && met.contains("structure 0: prior \"p\": atoms "),
            "{met}"
        );
        let straight = line([0.0, 1.0, 2.0, 3.0]);
        match kind.0 {
            "restricted_bending" => assert_eq!(
                refused(&mut potential, &straight, None),
                "invalid argument: structure 0: prior \"p\": atoms [0, 1, 2] lie on a line, where its energy is infinite"
            ),
            "fourier_dihedral" | "harmonic_improper" => assert_eq!(
                refused(&mut potential, &straight, None),
                "invalid argument: structure 0: prior \"p\": three neighbours of atoms [0, 1, 2, 3] lie on a line: the \
                 dihedral has no value"
            ),
            _ => assert!(straight.compute(&mut potential).energies[0].is_finite()),
        }
        // Planar is nothing special.
        let mut planar = straight;
        for (p, y) in planar.positions.iter_mut().zip([0.0, 1.0, 0.0, 1.0]) {
            p[1] = y;
        }
        let results = planar.compute(&mut potential);
        assert!(
            results.forces.as_flattened().iter().all(|f| f.is_finite()),
            "{}",
            kind.0
        );
    }
}
