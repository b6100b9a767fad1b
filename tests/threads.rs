//! Potentials and models in many threads, through the C interface: what one thread computes alone, all compute at once.

mod common;

use std::ffi::CStr;
use std::ptr;
use std::thread;

use common::small_model::small_network;
use flashschnet::c_api::model::*;
use flashschnet::c_api::options::*;
use flashschnet::c_api::potential::*;
use flashschnet::c_api::results::*;
use flashschnet::c_api::status::*;
use flashschnet::c_api::structures::*;

const THREADS: usize = 4;
const CALLS: usize = 25;

/// A handle that threads share, as C programs share pointers.
struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: the header promises that handles may be used from any thread.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Closures that name the field would take the pointer out of its wrapper.
    fn get(self) -> *mut T {
        self.0
    }
}

fn load() -> Shared<fsn_model> {
    let bytes = small_network().bytes();
    let mut model = ptr::null_mut();
    // SAFETY: every pointer is to something of this function.
    let status = unsafe {
        fsn_model_load_buffer(c"threads".as_ptr(), bytes.as_ptr(), bytes.len(), &mut model)
    };
    assert_eq!(status, fsn_status::FSN_SUCCESS);
    Shared(model)
}

fn potential(model: Shared<fsn_model>) -> Shared<fsn_potential> {
    let options = fsn_options {
        size: size_of::<fsn_options>(),
        device: FSN_DEVICE_CPU,
        precision: FSN_PRECISION_DOUBLE,
        filters: FSN_FILTERS_EXACT,
        threads: 0,
        skin: 0.0,
        priors: FSN_PRIORS_ON,
    };
    let mut potential = ptr::null_mut();
    // SAFETY: the model is live, the rest is of this function.
    let status = unsafe { fsn_potential_new(model.get(), &options, &mut potential) };
    assert_eq!(status, fsn_status::FSN_SUCCESS);
    Shared(potential)
}

/// Energy and forces of three atoms, another geometry for every `number`.
fn compute(potential: Shared<fsn_potential>, number: usize) -> (f64, [f64; 9]) {
    let away = 0.01 * number as f64;
    let positions = [0.0, 0.0, 0.0, 0.96 + away, 0.0, 0.0, -0.24, 0.93, away];
    compute_types(potential, &positions, &[8, 1, 1]).expect("a valid structure")
}

fn compute_types(
    potential: Shared<fsn_potential>,
    positions: &[f64; 9],
    types: &[i32; 3],
) -> Result<(f64, [f64; 9]), String> {
    let structures = fsn_structures {
        size: size_of::<fsn_structures>(),
        structures: 1,
        offsets: ptr::null(),
        atoms: 3,
        positions: positions.as_ptr(),
        types: types.as_ptr(),
        cells: ptr::null(),
        periodic: ptr::null(),
        excluded_pairs: 0,
        excluded: ptr::null(),
        topologies: ptr::null(),
    };
    let (mut energy, mut forces) = (0.0, [0.0; 9]);
    let results = fsn_results {
        size: size_of::<fsn_results>(),
        energies: &mut energy,
        atom_energies: ptr::null_mut(),
        forces: forces.as_mut_ptr(),
        virials: ptr::null_mut(),
        atom_virials: ptr::null_mut(),
        term_energies: ptr::null_mut(),
    };
    // SAFETY: the potential is live, the arrays have three atoms.
    match unsafe { fsn_potential_compute(potential.get(), &structures, &results) } {
        fsn_status::FSN_SUCCESS => Ok((energy, forces)),
        // SAFETY: the text is valid until this thread's next error.
        _ => Err(unsafe { CStr::from_ptr(fsn_last_error()) }
            .to_string_lossy()
            .into_owned()),
    }
}

fn expected() -> Vec<(f64, [f64; 9])> {
    let model = load();
    let potential = potential(model);
    let alone = (0..CALLS)
        .map(|number| compute(potential, number))
        .collect();
    free(model, potential);
    alone
}

fn free(model: Shared<fsn_model>, potential: Shared<fsn_potential>) {
    // SAFETY: both are live and nobody uses them any more.
    unsafe {
        fsn_potential_free(potential.get());
        fsn_model_free(model.get());
    }
}

#[test]
fn potentials_work_side_by_side() {
    let expected = expected();
    let model = load();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let own = potential(model);
                for (number, expected) in expected.iter().enumerate() {
                    assert_eq!(compute(own, number), *expected);
                }
                free(Shared(ptr::null_mut()), own);
            });
        }
    });
    free(model, Shared(ptr::null_mut()));
}

#[test]
fn one_potential_serves_many_threads() {
    let expected = expected();
    let model = load();
    let shared = potential(model);
    thread::scope(|scope| {
        for first in 0..THREADS {
            let expected = &expected;
            scope.spawn(move || {
                for turn in 0..CALLS {
                    let number = (turn + first) % CALLS;
                    let (energy, forces) = compute(shared, number);
                    // The list may be of another thread's geometry, and sums then have another order.
                    let (expected_energy, expected_forces) = expected[number];
                    assert!((energy - expected_energy).abs() < 1e-12);
                    for (force, expected) in forces.iter().zip(expected_forces) {
                        assert!((force - expected).abs() < 1e-12);
                    }
                }
            });
        }
    });
    free(model, shared);
}

#[test]
fn models_may_go_before_their_potentials() {
    let expected = expected();
    let model = load();
    let potentials = [(); THREADS].map(|()| potential(model));
    thread::scope(|scope| {
        for &own in &potentials {
            let expected = &expected;
            scope.spawn(move || {
                for (number, expected) in expected.iter().enumerate() {
                    assert_eq!(compute(own, number), *expected);
                }
            });
        }
        free(model, Shared(ptr::null_mut()));
    });
    for own in potentials {
        free(Shared(ptr::null_mut()), own);
    }
}

#[test]
fn every_thread_has_its_own_error() {
    let model = load();
    let shared = potential(model);
    thread::scope(|scope| {
        for thread in 0..THREADS as i32 {
            scope.spawn(move || {
                for call in 0..CALLS as i32 {
                    let kind = 100 + 100 * thread + call;
                    let positions = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
                    let text = compute_types(shared, &positions, &[8, kind, 1]);
                    let expected = format!(
                        "invalid argument: atom 1 has type {kind}, which threads does not know"
                    );
                    assert_eq!(text, Err(expected));
                }
            });
        }
    });
    free(model, shared);
}
