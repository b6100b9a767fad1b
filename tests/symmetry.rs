//! What must not change an energy does not: motions of the whole, names of atoms, descriptions of the same crystal,
//! company in a batch, and how neighbours were found.

mod common;

use common::random_model::RandomModel;
use common::random_system::{random_crystal, random_system};
use common::system::{
    System, Vector, add, compute_batch, cross, dot, largest, norm, potential, sub,
};
use fastrand::Rng;
use flashschnet::engine::Results;

const NETWORKS: u64 = 60;

fn for_each_network(mut check: impl FnMut(&mut Rng, &RandomModel)) {
    for seed in 0..NETWORKS {
        check(&mut Rng::with_seed(seed), &RandomModel::new(seed));
    }
}

/// Equal up to what a different order of summation rounds away.
fn assert_close(found: &[f64], expected: &[f64], size: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    let size = size.max(largest(expected));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= 1e-12 * size,
            "{what} {at}: {found} is not {expected}"
        );
    }
}

/// Sizes of the terms that energies and forces are sums of.
fn sizes(results: &Results) -> (f64, f64) {
    let energy = results.atom_energies.iter().map(|e| e.abs()).sum::<f64>();
    let force = results.forces.as_flattened();
    // Coordinates are rounded anew by every motion, and forces change by that times their own slope.
    (1.0 + energy, 10.0 * (1.0 + largest(force)))
}

fn assert_same(found: &Results, expected: &Results) {
    let (energy, force) = sizes(expected);
    assert_close(&found.energies, &expected.energies, energy, "energy");
    assert_close(
        &found.atom_energies,
        &expected.atom_energies,
        energy,
        "energy of atom",
    );
    assert_close(
        found.forces.as_flattened(),
        expected.forces.as_flattened(),
        force,
        "force component",
    );
    assert_close(
        found.virials.as_flattened(),
        expected.virials.as_flattened(),
        10.0 * force,
        "virial component",
    );
}

/// Rows of a random rotation.
fn random_rotation(rng: &mut Rng) -> [Vector; 3] {
    let mut direction = || {
        let v: Vector = std::array::from_fn(|_| rng.f64() - 0.5);
        v.map(|x| x / norm(v))
    };
    let (first, other) = (direction(), direction());
    let third = cross(first, other);
    let third = third.map(|x| x / norm(third));
    [first, cross(third, first), third]
}

fn rotate(rotation: &[Vector; 3], p: Vector) -> Vector {
    rotation.map(|row| dot(row, p))
}

#[test]
fn rotations_turn_forces_with_the_atoms() {
    for_each_network(|rng, model| {
        let system = random_system(rng, model);
        let mut potential = potential(&model.model, 0.0);
        let expected = system.compute(&mut potential);
        let rotation = random_rotation(rng);
        let turned = system.mapped(|p| rotate(&rotation, p));
        let found = turned.compute(&mut potential);
        let (energy, force) = sizes(&expected);
        assert_close(&found.energies, &expected.energies, energy, "energy");
        let forces: Vec<Vector> = expected
            .forces
            .iter()
            .map(|&f| rotate(&rotation, f))
            .collect();
        assert_close(
            found.forces.as_flattened(),
            forces.as_flattened(),
            force,
            "force component",
        );
    });
}

#[test]
fn mirror_images_have_the_same_energy() {
    for_each_network(|rng, model| {
        let system = random_system(rng, model);
        let mut potential = potential(&model.model, 0.0);
        let expected = system.compute(&mut potential);
        let found = system.mapped(|p| p.map(|x| -x)).compute(&mut potential);
        let (energy, _) = sizes(&expected);
        assert_close(&found.energies, &expected.energies, energy, "energy");
    });
}

#[test]
fn translations_change_nothing() {
    for_each_network(|rng, model| {
        let system = random_system(rng, model);
        let mut potential = potential(&model.model, 0.0);
        let expected = system.compute(&mut potential);
        let by = std::array::from_fn(|_| 8.0 * (rng.f64() - 0.5));
        let mut moved = system.clone();
        moved.positions.iter_mut().for_each(|p| *p = add(*p, by));
        assert_same(&moved.compute(&mut potential), &expected);
    });
}

#[test]
fn atoms_have_no_order() {
    for_each_network(|rng, model| {
        let system = random_system(rng, model);
        let mut potential = potential(&model.model, 0.0);
        let results = system.compute(&mut potential);
        let mut order: Vec<usize> = (0..system.positions.len()).collect();
        rng.shuffle(&mut order);
        fn by<T: Copy>(order: &[usize], of: &[T]) -> Vec<T> {
            order.iter().map(|&atom| of[atom]).collect()
        }
        let shuffled = System {
            positions: by(&order, &system.positions),
            types: by(&order, &system.types),
            ..system
        };
        let expected = Results {
            atom_energies: by(&order, &results.atom_energies),
            forces: by(&order, &results.forces),
            atom_virials: by(&order, &results.atom_virials),
            ..results
        };
        assert_same(&shuffled.compute(&mut potential), &expected);
    });
}

#[test]
fn atoms_may_leave_the_cell() {
    for_each_network(|rng, model| {
        let system = random_system(rng, model);
        let mut potential = potential(&model.model, 0.0);
        let expected = system.compute(&mut potential);
        let mut wrapped = system.clone();
        for p in &mut wrapped.positions {
            let steps = system
                .periodic
                .map(|yes| if yes { rng.i32(-3..=3) } else { 0 });
            *p = add(*p, system.shift(steps));
        }
        assert_same(&wrapped.compute(&mut potential), &expected);
    });
}

#[test]
fn a_crystal_has_many_cells() {
    for_each_network(|rng, model| {
        let system = random_crystal(rng, model);
        let mut potential = potential(&model.model, 0.0);
        let expected = system.compute(&mut potential);
        let mut other = system.clone();
        let cell = other.cell.as_mut().expect("a crystal has a cell");
        // Adding vectors to each other keeps the lattice, and so does another order of them.
        for _ in 0..3 {
            let (to, from) = (rng.usize(0..3), rng.usize(1..3));
            cell[to] = if rng.bool() {
                add(cell[to], cell[(to + from) % 3])
            } else {
                sub(cell[to], cell[(to + from) % 3])
            };
        }
        cell.swap(0, rng.usize(0..3));
        assert_same(&other.compute(&mut potential), &expected);
    });
}

#[test]
fn twice_the_cell_has_twice_the_energy() {
    for seed in 0..NETWORKS {
        let model = RandomModel::with(seed, |network| network["energy_aggregation"] = "sum".into());
        let rng = &mut Rng::with_seed(seed);
        let system = random_crystal(rng, &model);
        let mut potential = potential(&model.model, 0.0);
        let single = system.compute(&mut potential);
        let direction = rng.usize(0..3);
        let mut double = system.clone();
        let cell = double.cell.as_mut().expect("a crystal has a cell");
        let step = cell[direction];
        cell[direction] = add(step, step);
        double
            .positions
            .extend(system.positions.iter().map(|&p| add(p, step)));
        double.types.extend(&system.types);
        let expected = Results {
            energies: vec![2.0 * single.energies[0]],
            atom_energies: single.atom_energies.repeat(2),
            forces: single.forces.repeat(2),
            virials: vec![single.virials[0].map(|v| 2.0 * v)],
            atom_virials: single.atom_virials.repeat(2),
            terms: Vec::new(),
        };
        assert_same(&double.compute(&mut potential), &expected);
    }
}

#[test]
fn a_batch_is_its_structures_to_the_bit() {
    for_each_network(|rng, model| {
        let systems: Vec<System> = (0..4).map(|_| random_system(rng, model)).collect();
        for skin in [0.0, 0.4] {
            let batch = compute_batch(&mut potential(&model.model, skin), &systems);
            let mut joined = Results::default();
            for system in &systems {
                let single = system.compute(&mut potential(&model.model, skin));
                joined.energies.extend(single.energies);
                joined.atom_energies.extend(single.atom_energies);
                joined.forces.extend(single.forces);
                joined.virials.extend(single.virials);
                joined.atom_virials.extend(single.atom_virials);
            }
            assert_eq!(batch, joined);
        }
    });
}

#[test]
fn a_skin_changes_nothing_but_the_number_of_lists() {
    for_each_network(|rng, model| {
        let start = random_system(rng, model);
        let mut moved = start.clone();
        for p in &mut moved.positions {
            // Less than half the skin away in any direction.
            *p = add(*p, std::array::from_fn(|_| 0.2 * (rng.f64() - 0.5)));
        }
        let mut bare = potential(&model.model, 0.0);
        let mut skinned = potential(&model.model, 0.5);
        let first = start.compute(&mut skinned);
        assert_same(&first, &start.compute(&mut bare));
        assert_same(&moved.compute(&mut skinned), &moved.compute(&mut bare));
        // The list is the same, so every bit is.
        assert_eq!(start.compute(&mut skinned), first);
        assert_eq!(start.compute(&mut skinned), first);
        assert_eq!(skinned.builds(), 1);
        assert_eq!(bare.builds(), 2);
    });
}

#[test]
fn what_is_not_asked_for_is_not_there_and_changes_nothing() {
    for_each_network(|rng, model| {
        let system = random_system(rng, model);
        let mut potential = potential(&model.model, 0.0);
        let all = system.compute(&mut potential);
        assert_eq!(system.energy(&mut potential), all.energies[0]);
        assert_eq!(system.compute(&mut potential), all);
    });
}
