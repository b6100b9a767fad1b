//! The CUDA engine's own kernels, run on the processor, against the reference engine.
//!
//! Every network is a program of its own, and compiling it is what takes the time; `tests/gpu.rs` has more of them.

mod common;
// By itself: the fuzzer, which uses the common modules, has no business with it.
#[path = "common/emulator.rs"]
mod emulator;

use common::cuda_checks::{
    Source, any_size, corners, crowded, exact, failures, ghosts, many_atoms, mutual, same_filters,
    spans, two_layers,
};
use common::cuda_model::{scaled_model, usual_model};
use common::{list_checks, motion_checks, resident_checks, term_checks};
use emulator::Emulator;
use flashschnet::engine::cuda::{Device, Filters, Limits, programs};
use flashschnet::engine::network;

/// Threads take turns in either order, so that what lacks a barrier shows; some networks have many rows and some have few.
fn device(seed: u64) -> Box<dyn Device> {
    Emulator::new(seed % 2 == 1, if seed % 4 < 2 { 2 } else { 0 })
}

/// float64 differs by the order of sums alone.
#[test]
fn double_is_the_reference_to_rounding() {
    assert!(exact::<f64>(0..5, device).iter().all(|&d| d < 1e-10));
    assert!(
        same_filters::<f64>(Source::Table, 8..11, device)
            .iter()
            .all(|&d| d < 1e-10)
    );
}

/// float32 keeps 24 bits; random networks, unlike trained ones, cancel some of them.
#[test]
fn single_keeps_single_precision() {
    assert!(exact::<f32>(13..14, device).iter().all(|&d| d < 1e-4));
    assert!(
        same_filters::<f32>(Source::Table, 15..17, device)
            .iter()
            .all(|&d| d < 1e-4)
    );
}

/// Where filters serve both directions of a pair: a network with several tiles of channels, and random ones that are for tensor
/// cores.
#[test]
fn pairs_are_evaluated_once() {
    let mut models = vec![usual_model(32, 2)];
    models.extend(two_layers(13, 1));
    mutual(&models, 1e-4, device);
}

/// float16, of which tensor cores take all numbers, ends at 65504.
#[test]
fn filter_networks_that_do_not_fit_tensor_cores_stay_away() {
    let kernels = |width: usize, factor: f64| {
        let mut network = network(&usual_model(width, 1)).expect("a network").clone();
        let weights = &mut network.blocks[0].filter[0].weight;
        weights.iter_mut().for_each(|weight| *weight *= factor);
        let limits = Limits {
            shared: 96 * 1024,
            multiprocessors: 2,
        };
        let texts = programs(&network, Filters::<f32>::Exact, limits).expect("programs");
        let uses = |file: &str| texts.iter().all(|text| text.contains(file));
        (uses("kernels/tensor.cu"), uses("kernels/exact.cu"))
    };
    assert_eq!(kernels(32, 1.0), (true, false));
    assert_eq!(kernels(32, 1e4), (false, true));
    assert_eq!(kernels(144, 1.0), (false, true));
}

/// A row of numbers has a scale of its own there.
#[test]
fn numbers_of_any_size_keep_single_precision() {
    any_size(device);
}

#[test]
fn dense_layers_that_do_not_fit_tensor_cores_stay_away() {
    let kernels = |width: usize, factor: f64| {
        let model = scaled_model(width, 1, factor);
        let network = network(&model).expect("a network");
        let limits = Limits {
            shared: 96 * 1024,
            multiprocessors: 2,
        };
        let texts = programs(network, Filters::<f32>::Exact, limits).expect("programs");
        let uses = |file: &str| texts.iter().all(|text| text.contains(file));
        (
            uses("kernels/tensor_chain.cuh"),
            uses("\"kernels/chain.cuh\""),
        )
    };
    assert_eq!(kernels(32, 1.0), (true, false));
    assert_eq!(kernels(256, 1e9), (true, false));
    assert_eq!(kernels(32, 1e25), (false, true));
    assert_eq!(kernels(272, 1.0), (false, true));
}

/// Rounded by the CPU engine's rule, so that they differ by float32 alone.
#[test]
fn half_rounds_as_the_processor_does() {
    for (source, seeds) in [(Source::Half, 18..21), (Source::HalfExact, 12..13)] {
        let deviations = same_filters::<f32>(source, seeds, device);
        assert!(deviations.iter().all(|&d| d < 1e-4), "{deviations:?}");
    }
}

#[test]
fn ghosts_are_folded_or_exchanged() {
    ghosts::<f64>(1..3, 1e-10, device);
}

/// float32's, as that of nearer pairs.
#[test]
fn distant_pairs_have_filters_of_their_own() {
    spans(device);
}

/// Some of the cells are shorter than the cutoff, some systems have bins.
#[test]
fn lists_are_the_processors() {
    list_checks::lists(0..320, device);
}

#[test]
fn lists_refuse_what_they_cannot_be_made_of() {
    list_checks::refusals(device);
}

#[test]
fn hosts_may_have_their_arrays_on_the_device() {
    resident_checks::resident(device, true);
}

#[test]
fn priors_are_the_processors() {
    term_checks::every_form(device);
}

#[test]
fn priors_are_refused_in_the_same_words() {
    term_checks::refusals(device);
}

#[test]
fn priors_are_enqueued() {
    term_checks::enqueued(device);
}

#[test]
fn replicas_move_as_on_the_processor() {
    motion_checks::agree(device);
}

#[test]
fn replicas_go_on_to_the_same_bits() {
    motion_checks::continues(device);
}

#[test]
fn replicas_that_blow_up_stand_still() {
    motion_checks::blow_ups(device);
}

#[test]
fn failures_leave_replicas_as_they_were() {
    motion_checks::failures(device);
}

#[test]
fn failures_leave_a_potential_that_computes_or_says_so() {
    failures(device);
}

#[test]
fn an_atom_may_have_more_neighbours_than_a_block_sorts() {
    crowded(|_| Emulator::new(false, 32));
}

#[test]
fn many_atoms_are_the_reference() {
    many_atoms(device);
}

#[test]
fn corners_have_answers() {
    corners(device);
}
