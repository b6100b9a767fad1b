//! The CUDA engine on a GPU against the reference engine. Only `tests/gpu.sh` runs this, where there is one.

mod common;

use common::cuda_checks::{
    Source, any_size, corners, crowded, exact, ghosts, many_atoms, mutual, same_filters, spans,
    two_layers,
};
use common::cuda_model::usual_model;
use common::{list_checks, motion_checks, resident_checks, term_checks};
use flashschnet::engine::cuda::{Device, Gpu};

fn device(_: u64) -> Box<dyn Device> {
    Box::new(Gpu::new().expect("a GPU"))
}

/// How many networks: fewer under a tool that slows everything down.
fn networks() -> u64 {
    let asked = std::env::var("FSN_NETWORKS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(40)
}

/// Of sorted numbers; nothing if there are too few to have one.
fn median(deviations: &[f64]) -> f64 {
    if deviations.len() < 10 {
        return 0.0;
    }
    deviations[deviations.len() / 2]
}

#[test]
fn double_is_the_reference_to_rounding() {
    assert!(
        exact::<f64>(0..networks(), device)
            .iter()
            .all(|&d| d < 1e-10)
    );
    assert!(
        same_filters::<f64>(Source::Table, 0..networks(), device)
            .iter()
            .all(|&d| d < 1e-10)
    );
}

#[test]
fn single_keeps_single_precision() {
    for deviations in [
        exact::<f32>(0..networks(), device),
        same_filters::<f32>(Source::Table, 0..networks(), device),
    ] {
        assert!(deviations.iter().all(|&d| d < 1e-4), "{deviations:?}");
        assert!(median(&deviations) < 2e-6, "{deviations:?}");
    }
}

/// Rounded by the CPU engine's rule, so that they differ by float32 alone; but tables of float32 and float64 may round to
/// neighbouring integers.
#[test]
fn half_rounds_as_the_processor_does() {
    for source in [Source::Half, Source::HalfExact] {
        let deviations = same_filters::<f32>(source, 0..networks(), device);
        assert!(deviations.iter().all(|&d| d < 1e-4), "{deviations:?}");
        assert!(median(&deviations) < 2e-5, "{deviations:?}");
    }
}

/// Where filters serve both directions of a pair.
#[test]
fn pairs_are_evaluated_once() {
    let mut models = vec![usual_model(128, 2), usual_model(32, 2)];
    models.extend(two_layers(0, networks().min(4) as usize));
    mutual(&models, 1e-4, device);
}

#[test]
fn ghosts_are_folded_or_exchanged() {
    ghosts::<f64>(0..networks().min(10), 1e-10, device);
    ghosts::<f32>(0..networks().min(10), 1e-4, device);
}

#[test]
fn distant_pairs_have_filters_of_their_own() {
    spans(device);
}

#[test]
fn lists_are_the_processors() {
    list_checks::lists(0..16 * networks(), device);
}

#[test]
fn lists_refuse_what_they_cannot_be_made_of() {
    list_checks::refusals(device);
}

#[test]
fn hosts_may_have_their_arrays_on_the_device() {
    resident_checks::resident(device, false);
}

#[test]
fn priors_are_the_processors() {
    term_checks::every_form(device);
    term_checks::refusals(device);
    term_checks::enqueued(device);
}

#[test]
fn replicas_move_as_on_the_processor() {
    motion_checks::agree(device);
    motion_checks::continues(device);
    motion_checks::blow_ups(device);
}

#[test]
fn an_atom_may_have_more_neighbours_than_a_block_sorts() {
    crowded(device);
}

#[test]
fn numbers_of_any_size_keep_single_precision() {
    any_size(device);
}

#[test]
fn many_atoms_are_the_reference() {
    many_atoms(device);
}

#[test]
fn corners_have_answers() {
    corners(device);
}
