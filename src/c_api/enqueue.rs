//! Computing with arrays that are on the potential's GPU, on a stream of the host's.

use std::ffi::c_void;

use super::arrays::{self, check_output};
use super::potential::fsn_potential;
use super::results::{fsn_results, wanted};
use super::status::{fsn_status, guard};
use super::structs;
use super::structures::fsn_structures;
use crate::engine::{Resident, ResidentResults};
use crate::{Error, Result};

/// Puts the computation of structures on a stream of CUDA, with everything on the GPU: all arrays of `structures` and
/// `results` are in the memory of the potential's GPU, nothing is copied to the host or from it, and the list of neighbours is kept or
/// found on the GPU. Shapes, types and units are those of `fsn_potential_compute`; priors are evaluated on the GPU too.
///
/// `stream` is a `cudaStream_t` or `CUstream`, null for the default stream. The call returns before the results are there; the
/// arrays must stay until they are. It waits by itself only where memory has to grow: in the first call with other
/// numbers of atoms, structures or excluded pairs, or after `FSN_AGAIN`. Calls with one potential share its workspace: put
/// them on one stream, or order the streams, and check before other functions compute with it.
///
/// A call that does not wait can be recorded in a CUDA graph, if the same was computed before without recording. The
/// graph serves with other positions, types, cells, pairs and topologies in the same arrays, while the list fits its memory, and until
/// the potential is freed, gets another topology, or computes anything of other sizes or without some of these arrays.
///
/// What goes wrong on the GPU (an atom without a known type, positions that are not finite, two atoms at one point, results that
/// are not finite, terms that have no value or are not known for a structure's types, no room for the list) is kept for `fsn_potential_check`; until then all results are NaN.
///
/// Errors: `FSN_UNSUPPORTED` if the potential is not on a GPU, or is to be recorded before it was computed;
/// `FSN_INVALID_ARGUMENT` for a null pointer, or an array or stream that is not the GPU's; `FSN_OUT_OF_MEMORY`; where it waits,
/// what `fsn_potential_check` reports.
/// Threads: any; calls with one potential take turns.
///
/// # Safety
/// `potential` is a live handle; the structs have as many readable bytes as their `size` says; their arrays are on the GPU and have the
/// lengths stated there until the stream is done with them; `stream` is a live stream or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_potential_enqueue(
    potential: *mut fsn_potential,
    structures: *const fsn_structures,
    results: *const fsn_results,
    stream: *mut c_void,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let mut potential = unsafe { arrays::required(potential, "potential") }?.lock();
        // SAFETY: by this function's contract; the arrays are not touched here.
        let (given, to) = unsafe { (structs::read(structures)?, structs::read(results)?) };
        let to = resident_results(&to)?;
        potential.enqueue(&resident(&given)?, &to, stream as u64)
    })
}

/// Waits for a stream, and reports the first thing that went wrong in what was enqueued since the last check, wherever it was.
///
/// Errors: `FSN_INVALID_ARGUMENT` (the text names the atom, structure or pair), `FSN_NUMERICAL_ERROR`, `FSN_AGAIN` if the list of
/// neighbours had outgrown its memory: there will be more of it, and what was enqueued since the last check has to be enqueued, and
/// recorded, once more, from positions that were sound; `FSN_DEVICE_ERROR`, `FSN_UNSUPPORTED` if the potential is not on a GPU.
/// Threads: any; calls with one potential take turns.
///
/// # Safety
/// `potential` is a live handle; `stream` is a live stream or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_potential_check(
    potential: *mut fsn_potential,
    stream: *mut c_void,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let mut potential = unsafe { arrays::required(potential, "potential") }?.lock();
        potential.check(stream as u64)
    })
}

/// Addresses, whose alignment is checked here and whose memory where the device is.
fn resident(given: &fsn_structures) -> Result<Resident> {
    if given.structures == 0 {
        return Err(Error::invalid("structures is 0, must be at least 1"));
    }
    check_output(given.offsets, "offsets")?;
    check_output(given.positions, "positions")?;
    check_output(given.types, "types")?;
    check_output(given.cells, "cells")?;
    check_output(given.excluded, "excluded")?;
    check_output(given.topologies, "topologies")?;
    Ok(Resident {
        atoms: given.atoms,
        structures: given.structures,
        offsets: given.offsets as u64,
        positions: given.positions as u64,
        types: given.types as u64,
        cells: given.cells as u64,
        periodic: given.periodic as u64,
        excluded_pairs: given.excluded_pairs,
        excluded: given.excluded as u64,
        topologies: given.topologies as u64,
        skin: 0.0,
    })
}

fn resident_results(to: &fsn_results) -> Result<ResidentResults> {
    wanted(to)?;
    Ok(ResidentResults {
        energies: to.energies as u64,
        atom_energies: to.atom_energies as u64,
        forces: to.forces as u64,
        virials: to.virials as u64,
        atom_virials: to.atom_virials as u64,
        terms: to.term_energies as u64,
    })
}
