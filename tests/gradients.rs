//! Forces and virials are the derivatives of the energy, in every variant of the network.

mod common;

use std::collections::BTreeSet;

use common::random_model::RandomModel;
use common::random_system::random_system;
use common::system::{System, Vector, largest, potential};
use fastrand::Rng;
use flashschnet::engine::Results;
use flashschnet::potential::Potential;

const NETWORKS: u64 = 400;

/// Central differences of eighth order: at these steps they are good to about 1e-10 of the forces, for networks as
/// smooth as the random ones.
fn slope(step: f64, mut energy: impl FnMut(f64) -> f64) -> f64 {
    const WEIGHTS: [f64; 4] = [4.0 / 5.0, -1.0 / 5.0, 4.0 / 105.0, -1.0 / 280.0];
    let sides = WEIGHTS.iter().zip(1..).map(|(weight, steps)| {
        let away = f64::from(steps) * step;
        weight * (energy(away) - energy(-away))
    });
    sides.sum::<f64>() / step
}

fn for_each_network(mut check: impl FnMut(&RandomModel, &System, &mut Potential, &Results)) {
    for seed in 0..NETWORKS {
        let model = RandomModel::new(seed);
        let system = random_system(&mut Rng::with_seed(seed), &model);
        let mut potential = potential(&model.model, 0.0);
        let results = system.compute(&mut potential);
        check(&model, &system, &mut potential, &results);
    }
}

/// 1e-7 of the largest, or what rounding of the energy leaves of a difference.
fn tolerance(results: &Results, gradients: &[f64]) -> f64 {
    1e-7 * largest(gradients) + 1e-11 * largest(&results.atom_energies)
}

#[test]
fn forces_are_derivatives_of_the_energy() {
    let mut moving = 0;
    for_each_network(|model, system, potential, results| {
        let tolerance = tolerance(results, results.forces.as_flattened());
        moving += u64::from(largest(results.forces.as_flattened()) > 1e-3);
        for (atom, force) in results.forces.iter().enumerate() {
            for (axis, force) in force.iter().enumerate() {
                let numeric = -slope(5e-3, |away| {
                    let mut moved = system.clone();
                    moved.positions[atom][axis] += away;
                    moved.energy(potential)
                });
                assert!(
                    (force - numeric).abs() <= tolerance,
                    "atom {atom}, axis {axis}: {force} is not {numeric} in {system:?} with {}",
                    model.file.description
                );
            }
        }
    });
    // Nothing is shown by networks whose forces vanish.
    assert!(moving > NETWORKS * 3 / 4, "forces in {moving} networks");
}

#[test]
fn virials_are_derivatives_by_strain() {
    for_each_network(|model, system, potential, results| {
        let virial = &results.virials[0];
        let tolerance = tolerance(results, virial);
        for (component, value) in virial.iter().enumerate() {
            let (a, b) = (component / 3, component % 3);
            let numeric = -slope(1e-3, |strain| {
                let strained = |p: Vector| {
                    let mut q = p;
                    q[a] += strain * p[b];
                    q
                };
                system.mapped(strained).energy(potential)
            });
            assert!(
                (value - numeric).abs() <= tolerance,
                "component {component}: {value} is not {numeric} in {system:?} with {}",
                model.file.description
            );
        }
    });
}

#[test]
fn parts_add_up() {
    for_each_network(|_, system, _, results| {
        let close = |sum: f64, whole: f64, size: f64| {
            assert!(
                (sum - whole).abs() <= 1e-12 * size,
                "{sum} is not {whole} in {system:?}"
            );
        };
        let energies = &results.atom_energies;
        let size: f64 = energies.iter().map(|e| e.abs()).sum();
        close(energies.iter().sum(), results.energies[0], size);
        // Rounding of what was added is larger than what is left of it.
        let size = 10.0 + 100.0 * largest(results.forces.as_flattened());
        for axis in 0..3 {
            close(results.forces.iter().map(|f| f[axis]).sum(), 0.0, size);
        }
        let virial = &results.virials[0];
        let size = 10.0 + 100.0 * largest(results.atom_virials.as_flattened());
        for component in 0..9 {
            let shares = results.atom_virials.iter().map(|v| v[component]);
            close(shares.sum(), virial[component], size);
            let transposed = 3 * (component % 3) + component / 3;
            close(virial[component], virial[transposed], size);
        }
    });
}

/// The random networks are worth what they cover.
#[test]
fn every_variant_occurs() {
    let mut seen = BTreeSet::new();
    for seed in 0..NETWORKS {
        let model = RandomModel::new(seed);
        let field = |name: &str| model.network(name).clone();
        for name in ["aggregation", "energy_aggregation", "activation"] {
            seen.insert(format!("{name} {}", field(name)));
        }
        for name in ["shared_blocks", "reference_energies"] {
            seen.insert(format!("{name} {}", field(name).as_bool().unwrap_or(false)));
        }
        seen.insert(format!("basis {}", field("basis")["kind"]));
        let envelope = |name: &str| {
            let of = field(name);
            format!(
                "{}{}",
                of["kind"],
                if of["lower"].is_number() {
                    " lower"
                } else {
                    ""
                }
            )
        };
        seen.insert(format!(
            "envelopes {} {}",
            envelope("basis_envelope"),
            envelope("filter_envelope")
        ));
        for name in ["filter_network", "readout"] {
            let hidden = field(name)["hidden"].as_array().map_or(0, Vec::len);
            let last = field(name)["bias"]
                .as_array()
                .and_then(|bias| bias.last().cloned());
            seen.insert(format!("{name} {hidden} hidden"));
            seen.insert(format!("{name} last bias {}", last.unwrap_or_default()));
        }
        if field("features") != field("filters") {
            seen.insert("filters are not features".into());
        }
        let own = field("readout")["activation"].clone();
        if own.is_string() && own != field("activation") {
            seen.insert("readout of another activation".into());
        }
        for tensor in model.file.tensors.values() {
            seen.insert(format!("type {}", tensor.dtype));
        }
    }
    // 7 + 4 + 3 bases + 25 pairs of envelopes + 3 + 4 depths + 4 last biases + 2 + 4 types.
    assert_eq!(seen.len(), 56, "{seen:#?}");
}
