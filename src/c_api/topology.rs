//! `fsn_topology` and `fsn_prior`: the terms that a model's priors are evaluated for.

use std::ffi::{CStr, c_char};

use super::arrays::{self, input, optional};
use super::potential::fsn_potential;
use super::status::{fsn_status, guard};
use super::structs::{self, Sized_};
use crate::prior::TermList;
use crate::{Error, Result};

/// A molecule that the model's file does not have, by the terms of its priors.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_topology {
    /// `sizeof(fsn_topology)`.
    pub size: usize,
    /// What it is called in error texts. Null: nothing.
    pub name: *const c_char,
    /// Number of atoms.
    pub atoms: usize,
    /// `atoms` types: the model's own integers.
    pub types: *const i32,
    /// Number of term lists. Every prior of the model needs one, which may be empty.
    pub lists: usize,
    /// `lists` names of priors.
    pub priors: *const *const c_char,
    /// `lists` numbers of terms.
    pub counts: *const usize,
    /// `lists` arrays of `counts` × (atoms of a term) atoms, counted from 0.
    pub terms: *const *const i32,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_topology {
    const NAME: &'static str = "fsn_topology";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Adds a molecule to those a potential can evaluate priors for; parameters are found by the types of the atoms of each
/// term. On success `*number` is what `topologies` of `fsn_structures` calls it.
///
/// Structures with the same types find it by themselves, unless another topology of these types has different terms.
/// Errors: `FSN_INVALID_ARGUMENT` (the text names prior, term, atom or type), `FSN_UNSUPPORTED` without priors.
///
/// Threads: any; calls with one potential take turns.
///
/// # Safety
/// `potential` is a live handle; `topology` has as many readable bytes as its `size` says, its arrays the lengths stated
/// there, and its strings end in a null byte; `number` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_potential_add_topology(
    potential: *mut fsn_potential,
    topology: *const fsn_topology,
    number: *mut i32,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let mut potential = unsafe { arrays::required(potential, "potential") }?.lock();
        // SAFETY: by this function's contract.
        let given = unsafe { structs::read(topology) }?;
        // SAFETY: by this function's contract.
        unsafe { arrays::required(number, "number") }?;
        // SAFETY: by this function's contract.
        let (types, priors, counts, terms) = unsafe {
            (
                input(given.types, given.atoms, "types")?,
                input(given.priors, given.lists, "priors")?,
                input(given.counts, given.lists, "counts")?,
                input(given.terms, given.lists, "terms")?,
            )
        };
        // SAFETY: by this function's contract.
        let name = unsafe { text(given.name) }?;
        let mut lists = Vec::new();
        for ((&prior, &count), &terms) in priors.iter().zip(counts).zip(terms) {
            // SAFETY: by this function's contract.
            let prior = unsafe { arrays::string(prior, "the name of a prior") }?;
            let prior = prior.to_str().map_err(|_| not_unicode(prior))?;
            let length = potential
                .model()
                .priors()
                .iter()
                .find(|known| known.description.name == prior)
                .map_or(Some(0), |known| {
                    count.checked_mul(known.description.kind.atoms())
                })
                .ok_or_else(|| Error::invalid(format!("counts of prior {prior:?} is too large")))?;
            // SAFETY: by this function's contract.
            let atoms = unsafe { input(terms, length, "terms of a prior") }?;
            lists.push(TermList { prior, atoms });
        }
        let added = potential.add_topology(name, types, &lists)?;
        let added = i32::try_from(added)
            .map_err(|_| Error::unsupported("more topologies than have numbers"))?;
        // SAFETY: not null and aligned; writable by this function's contract.
        unsafe { *number = added };
        Ok(())
    })
}

/// A string that may be absent.
///
/// # Safety
/// A pointer that is not null must point to a string that ends in a null byte.
unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a str> {
    // SAFETY: a string has at least its null byte.
    if unsafe { optional(pointer, 1, "name") }?.is_none() {
        return Ok("");
    }
    // SAFETY: by this function's contract.
    let string = unsafe { arrays::string(pointer, "name") }?;
    string.to_str().map_err(|_| not_unicode(string))
}

fn not_unicode(text: &CStr) -> Error {
    Error::invalid(format!("{text:?} is not UTF-8"))
}
