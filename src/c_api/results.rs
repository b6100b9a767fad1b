//! `fsn_results`: where results go.

use super::arrays::{self, check_output};
use super::structs::Sized_;
use crate::Result;
use crate::engine::{Results, Wanted};

/// Where results go, in the model's units; each pointer may be null. Written only if the call succeeds.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_results {
    /// `sizeof(fsn_results)`.
    pub size: usize,
    /// Energy of each structure; one number for a domain: the sum over its owned atoms.
    pub energies: *mut f64,
    /// Energy of each atom; of each owned atom for a domain. A prior's term is shared equally by its atoms.
    pub atom_energies: *mut f64,
    /// Atoms × 3: forces, −dE/dr. Zero for a domain's ghosts, all is in their owners'; without owners and without an exchange, as
    /// networks of one block may be computed, ghosts have theirs, to be added to their owners' by the host.
    pub forces: *mut f64,
    /// Structures × 3 × 3, row-major: virials, −dE/dε for a strain ε that takes r to (1 + ε) r. The stress is
    /// −virial / volume. Symmetric up to rounding.
    pub virials: *mut f64,
    /// Atoms × 3 × 3, row-major: each atom's share of the virial, half of every pair's to either atom, an
    /// equal part of every prior's term to each of its atoms; ghosts too.
    pub atom_virials: *mut f64,
    /// Structures × (1 + priors): the energy of the network, then of each prior in the model's order; `priors` of
    /// `fsn_potential_info` says how many. Refused for a domain, where priors are not evaluated.
    pub term_energies: *mut f64,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_results {
    const NAME: &'static str = "fsn_results";
    const FIRST_SIZE: usize = std::mem::offset_of!(Self, term_energies);
}

/// What the caller has room for.
pub(super) fn wanted(out: &fsn_results) -> Result<Wanted> {
    check_output(out.energies, "energies")?;
    check_output(out.atom_energies, "atom_energies")?;
    check_output(out.forces, "forces")?;
    check_output(out.virials, "virials")?;
    check_output(out.atom_virials, "atom_virials")?;
    check_output(out.term_energies, "term_energies")?;
    Ok(Wanted {
        forces: !out.forces.is_null(),
        virials: !out.virials.is_null(),
        atom_virials: !out.atom_virials.is_null(),
    })
}

/// Copies results to where the caller wants them.
///
/// # Safety
/// The pointers of `out` are null or writable for the results' lengths.
pub(super) unsafe fn write_results(out: &fsn_results, results: &Results) {
    // SAFETY: by this function's contract.
    unsafe {
        arrays::write(out.energies, &results.energies);
        arrays::write(out.atom_energies, &results.atom_energies);
        arrays::write(out.forces, results.forces.as_flattened());
        arrays::write(out.virials, results.virials.as_flattened());
        arrays::write(out.atom_virials, results.atom_virials.as_flattened());
    }
}
