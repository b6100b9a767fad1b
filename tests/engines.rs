//! The CPU engine, in every precision and with every kind of filter, against the reference engine.

mod common;

use std::sync::Arc;

use common::random_model::RandomModel;
use common::random_system::{random_box, random_system};
use common::system::{System, largest};
use fastrand::Rng;
use flashschnet::engine::Results;
use flashschnet::engine::reference::ReferenceEngine;
use flashschnet::filter::{ExactFilter, Spans, TERMS, Tables};
use flashschnet::model::Model;
use flashschnet::potential::{Filters, Options, Potential, Precision};

const NETWORKS: u64 = 150;
/// Tables take longer to make than such small networks to compute.
const TABULATED: u64 = 40;

/// With structures of hundreds of atoms.
const LARGE: u64 = 12;

/// Gradients that are rounding of an energy of about 1, which other summation rounds otherwise.
const NOTHING: f64 = 1e-9;

fn reference(model: &Arc<Model>) -> Potential {
    let engine = Box::new(ReferenceEngine::new(model.clone()).expect("an engine"));
    Potential::with_engine(model.clone(), engine, Options::default()).expect("a potential")
}

fn cpu(model: &Arc<Model>, precision: Precision, filters: Filters, threads: usize) -> Potential {
    let options = Options {
        precision,
        filters,
        threads: Some(threads),
        ..Options::default()
    };
    Potential::new(model.clone(), options).expect("a potential")
}

fn for_each_network(networks: u64, mut check: impl FnMut(u64, &RandomModel, &System, &Results)) {
    for seed in 0..networks {
        let model = RandomModel::new(seed);
        let system = random_system(&mut Rng::with_seed(seed), &model);
        let expected = system.compute(&mut reference(&model.model));
        check(seed, &model, &system, &expected);
    }
}

/// Largest deviation of energies, forces and virials, each relative to the largest of its kind.
fn deviation(found: &Results, expected: &Results) -> [f64; 3] {
    let relative = |found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        let differences: Vec<f64> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
        largest(&differences) / largest(expected).max(1e-300)
    };
    let virials = |results: &Results| results.atom_virials.as_flattened().to_vec();
    let forces = relative(found.forces.as_flattened(), expected.forces.as_flattened());
    [
        relative(&found.atom_energies, &expected.atom_energies),
        // Where nothing is within the cutoff, or energies hardly change with it, there is nothing to compare with.
        if largest(expected.forces.as_flattened()) > NOTHING {
            forces
        } else {
            0.0
        },
        if largest(&virials(expected)) > NOTHING {
            relative(&virials(found), &virials(expected))
        } else {
            0.0
        },
    ]
}

/// float64 differs by the order of sums alone.
#[test]
fn double_exact_is_the_reference_to_rounding() {
    for_each_network(NETWORKS, |seed, model, system, expected| {
        let found = system.compute(&mut cpu(&model.model, Precision::Double, Filters::Exact, 1));
        let deviation = deviation(&found, expected);
        assert!(
            deviation.iter().all(|&d| d < 1e-11),
            "network {seed}: {deviation:?}"
        );
    });
}

/// Structures of several tasks and patches: one in which nearly all atoms hear each other, so that pairs are shared, and
/// one in which they do not; and both in one batch, which changes nothing.
#[test]
fn large_structures_are_the_reference_to_rounding() {
    for seed in 0..LARGE {
        let model = RandomModel::new(seed);
        let mut rng = Rng::with_seed(seed);
        let systems = [[5, 5, 5], [2, 2, 40]].map(|counts| random_box(&mut rng, counts));
        let expected = systems
            .each_ref()
            .map(|system| system.compute(&mut reference(&model.model)));
        for (filters, threads) in [
            (Filters::Exact, 1),
            (Filters::Exact, 3),
            (Filters::Table, 2),
        ] {
            let mut potential = cpu(&model.model, Precision::Double, filters, threads);
            let bound = potential.table().map_or(0.0, |table| table.bound);
            if bound > 1e-4 {
                continue;
            }
            let found = systems
                .each_ref()
                .map(|system| system.compute(&mut potential));
            for (found, expected) in found.iter().zip(&expected) {
                let deviation = deviation(found, expected);
                assert!(
                    deviation.iter().all(|&d| d < 20.0 * bound + 1e-11),
                    "network {seed}, {filters:?}: {deviation:?}, bound {bound}"
                );
            }
            let batch = common::system::compute_batch(&mut potential, &systems);
            let forces: Vec<_> = found.iter().flat_map(|one| &one.forces).copied().collect();
            assert_eq!(batch.forces, forces, "network {seed}, {filters:?}");
        }
    }
}

/// float32 keeps 24 bits; random networks, unlike trained ones, cancel some of them.
#[test]
fn single_exact_keeps_single_precision() {
    let mut forces = Vec::new();
    for_each_network(NETWORKS, |seed, model, system, expected| {
        let found = system.compute(&mut cpu(&model.model, Precision::Single, Filters::Exact, 1));
        let deviation = deviation(&found, expected);
        assert!(
            deviation.iter().all(|&d| d < 1e-4),
            "network {seed}: {deviation:?}"
        );
        forces.push(deviation[1]);
    });
    forces.sort_by(f64::total_cmp);
    assert!(
        forces[forces.len() / 2] < 1e-6,
        "median {}",
        forces[forces.len() / 2]
    );
}

/// 16 bits keep four or five digits of a weight; random networks, unlike trained ones, cancel some of them.
#[test]
fn half_keeps_half_precision() {
    for filters in [Filters::Table, Filters::Exact] {
        let mut forces = Vec::new();
        for_each_network(TABULATED, |seed, model, system, expected| {
            let mut potential = cpu(&model.model, Precision::Half, filters, 1);
            if potential.table().is_some_and(|table| table.bound > 1e-3) {
                return;
            }
            let deviation = deviation(&system.compute(&mut potential), expected);
            assert!(
                deviation.iter().all(|&d| d < 2e-2),
                "network {seed}, {filters:?}: {deviation:?}"
            );
            forces.push(deviation[1]);
        });
        forces.sort_by(f64::total_cmp);
        let median = forces[forces.len() / 2];
        assert!(
            forces.len() > TABULATED as usize / 2 && median < 1e-4,
            "{filters:?}: {median}"
        );
        // It is not single precision under another name.
        assert!(median > 1e-6, "{filters:?}: {median}");
    }
}

/// Tables add no more to the error of forces than twenty times the bound they state: random networks cancel digits.
#[test]
fn tables_keep_to_their_bound() {
    let mut tabulated = 0;
    for_each_network(TABULATED, |seed, model, system, expected| {
        let mut potential = cpu(&model.model, Precision::Double, Filters::Table, 1);
        let bound = potential.table().expect("tables").bound;
        let deviation = deviation(&system.compute(&mut potential), expected);
        // Envelopes that jump or bend sharply are beyond any table, which the bound says; `auto` then takes `exact`.
        if bound < 1e-4 {
            tabulated += 1;
            assert!(
                deviation[1] < 20.0 * bound + 1e-11,
                "network {seed}: {deviation:?}, bound {bound}"
            );
        }
    });
    assert!(tabulated > TABULATED / 2, "{tabulated}");
}

#[test]
fn auto_takes_tables_only_where_their_bound_holds() {
    let mut seen = [0; 2];
    for_each_network(TABULATED, |_, model, system, expected| {
        let mut potential = cpu(&model.model, Precision::Single, Filters::Auto, 1);
        let tables = potential.options().filters == Filters::Table;
        assert_eq!(tables, potential.table().is_some());
        assert!(potential.table().is_none_or(|table| table.bound <= 5e-7));
        seen[usize::from(tables)] += 1;
        assert!(deviation(&system.compute(&mut potential), expected)[1] < 2e-3);
    });
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
}

/// Polynomials of spans are filters of their own, which a GPU uses for distant pairs: values and slopes against the filter networks.
#[test]
fn spans_are_the_filters_that_tables_are() {
    let mut spans_seen = 0;
    for seed in 0..24 {
        let model = RandomModel::new(seed);
        let network = flashschnet::engine::network(&model.model).expect("a network");
        let tables = Tables::<f32>::build(network, 5e-7);
        let (spacing, bound) = (tables.spacing(), tables.bound());
        let spans = Spans::build(network, spacing, bound);
        assert_eq!(spans.bounds().last(), Some(&spacing.intervals()));
        let channels = spans.channels();
        let mut rng = Rng::with_seed(seed);
        for block in 0..network.blocks.len() {
            let mut exact = ExactFilter::new(network, block);
            // Root mean squares of value and slope over all distances.
            let mut all = [0.0f64; 2];
            for sample in 0..100 {
                let r = model.cutoff() * (f64::from(sample) + 0.5) / 100.0;
                for &(value, slope) in exact.evaluate(r) {
                    all[0] += 0.01 * value * value;
                    all[1] += 0.01 * slope * slope;
                }
            }
            for (number, span) in spans.bounds().windows(2).enumerate() {
                spans_seen += 1;
                let coefficients =
                    &spans.block(block)[number * TERMS * channels..][..TERMS * channels];
                let (mut errors, mut sizes) = ([0.0f64; 2], [0.0f64; 2]);
                for _ in 0..50 {
                    let r = model.cutoff() * rng.f64();
                    let place = spacing.place(r);
                    let x = place.interval as f64 + place.t;
                    if x < span[0] as f64 || x >= span[1] as f64 {
                        continue;
                    }
                    let scale = 2.0 / (span[1] - span[0]) as f64;
                    let u = scale * (x - span[0] as f64) - 1.0;
                    let mut sums = ([0.0; 2], [0.0; 2]);
                    for (channel, &(value, slope)) in exact.evaluate(r).iter().enumerate() {
                        let (mut w, mut dw) = (0.0, 0.0);
                        for term in 0..TERMS {
                            let c = coefficients[term * channels + channel];
                            let (n, angle) = (term as f64, u.acos());
                            w += c * (n * angle).cos();
                            dw += c * n * (n * angle).sin() / angle.sin() * scale * place.rate;
                        }
                        for (at, (found, expected)) in
                            [(w, value), (dw, slope)].into_iter().enumerate()
                        {
                            sums.0[at] += (found - expected).powi(2);
                            sums.1[at] += expected.powi(2);
                        }
                    }
                    for at in 0..2 {
                        errors[at] = errors[at].max(sums.0[at].sqrt());
                        sizes[at] = sizes[at].max(sums.1[at].sqrt());
                    }
                }
                // Bounds are relative to sizes nearby, which are no larger than the span's largest, or a hundredth of those everywhere.
                for at in 0..2 {
                    let size = sizes[at].max(0.01 * all[at].sqrt());
                    assert!(
                        errors[at] <= 2.0 * bound * size,
                        "network {seed}, span {number}: {:e} of {:e}",
                        errors[at],
                        sizes[at]
                    );
                }
            }
        }
    }
    assert!(spans_seen > 40, "{spans_seen}");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for seed in 0..12 {
        let model = RandomModel::new(seed);
        let mut rng = Rng::with_seed(seed);
        // Enough structures to be shared out to threads, and rows for several tasks of one.
        let mut systems: Vec<System> = (0..12).map(|_| random_system(&mut rng, &model)).collect();
        systems.push(random_box(&mut rng, [4, 4, 5]));
        systems.push(random_box(&mut rng, [2, 2, 30]));
        for (precision, filters) in [
            (Precision::Single, Filters::Exact),
            (Precision::Single, Filters::Table),
            (Precision::Half, Filters::Table),
        ] {
            let compute = |threads| {
                let mut potential = cpu(&model.model, precision, filters, threads);
                common::system::compute_batch(&mut potential, &systems)
            };
            let one = compute(1);
            for threads in [2, 3, 8] {
                assert_eq!(compute(threads), one, "network {seed}, {threads} threads");
            }
            assert_eq!(compute(2), one);
        }
    }
}

/// Large structures whose atoms come in no order are sorted, which nobody may see. Those of a batch are not.
#[test]
fn scattered_atoms_are_computed_to_the_bit_as_they_are_given() {
    const SIDE: usize = 18;
    const SPACING: f64 = 2.8;
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/nacl/nacl.safetensors");
    let model = Arc::new(Model::load(&path).expect("a model"));
    let mut rng = Rng::with_seed(9);
    let mut sites: Vec<usize> = (0..SIDE.pow(3)).collect();
    rng.shuffle(&mut sites);
    let at = |site: usize| [site / SIDE / SIDE, site / SIDE % SIDE, site % SIDE];
    let edge = SIDE as f64 * SPACING;
    let mut system = System {
        positions: (sites.iter())
            .map(|&site| at(site).map(|step| step as f64 * SPACING + 0.3 * rng.f64()))
            .collect(),
        types: (sites.iter())
            .map(|&site| [11, 17][at(site).iter().sum::<usize>() % 2])
            .collect(),
        cell: Some([[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]]),
        periodic: [true; 3],
    };
    let lone = System {
        positions: vec![[0.0; 3]],
        types: vec![11],
        ..system.clone()
    };
    let atoms = sites.len();
    for (precision, filters) in [
        (Precision::Double, Filters::Table),
        (Precision::Single, Filters::Table),
        (Precision::Half, Filters::Table),
        (Precision::Single, Filters::Exact),
    ] {
        let mut alone = cpu(&model, precision, filters, 2);
        let mut other = cpu(&model, precision, filters, 3);
        let mut batch = cpu(&model, precision, filters, 3);
        for step in [0.0, 0.01] {
            // The second time with the list of the first.
            system.positions.iter_mut().for_each(|p| p[0] += step);
            let found = system.compute(&mut alone);
            assert_eq!(system.compute(&mut other), found);
            assert_eq!(system.energy(&mut other), found.energies[0]);
            let pair = [system.clone(), lone.clone()];
            let expected = common::system::compute_batch(&mut batch, &pair);
            assert_eq!(found.energies, expected.energies[..1]);
            assert_eq!(found.virials, expected.virials[..1]);
            assert_eq!(found.atom_energies, expected.atom_energies[..atoms]);
            assert_eq!(found.forces, expected.forces[..atoms]);
            assert_eq!(found.atom_virials, expected.atom_virials[..atoms]);
        }
    }
    system.positions[3001] = system.positions[17];
    let mut potential = cpu(&model, Precision::Single, Filters::Table, 2);
    let error = common::system::try_batch(&mut potential, &[system]).expect_err("two atoms");
    assert_eq!(
        error.to_string(),
        "invalid argument: atoms 17 and 3001 are at the same point"
    );
}

#[test]
fn the_first_structure_that_fails_is_the_one_named() {
    let model = RandomModel::new(1);
    let mut rng = Rng::with_seed(1);
    let mut systems: Vec<System> = (0..12).map(|_| random_box(&mut rng, [3, 3, 3])).collect();
    let atoms = systems[0].positions.len();
    for (structure, atom) in [(4, 7), (9, 3)] {
        systems[structure].positions[atom] = systems[structure].positions[0];
    }
    for threads in [1, 2, 8] {
        let mut potential = cpu(&model.model, Precision::Single, Filters::Exact, threads);
        let error = common::system::try_batch(&mut potential, &systems).expect_err("two atoms");
        let expected = format!(
            "invalid argument: atoms {} and {} are at the same point",
            4 * atoms,
            4 * atoms + 7
        );
        assert_eq!(error.to_string(), expected);
    }
}
