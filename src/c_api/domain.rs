//! `fsn_neighbors` and `fsn_domain`: a host's own list, and message passing over its domains.

use std::ffi::c_void;

use super::arrays::{self, input, optional};
use super::potential::fsn_potential;
use super::results::{fsn_results, wanted, write_results};
use super::status::{fsn_status, guard};
use super::structs::{self, Sized_};
use crate::engine::{Exchange, Rows};
use crate::potential::{Domain, HostNeighbors};
use crate::{Error, Result};

/// A host's own neighbour list, in compressed rows: for every owned atom all its neighbours within the model's
/// cutoff or more, each pair in both rows (a full list), periodic images as ghost atoms.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_neighbors {
    /// `sizeof(fsn_neighbors)`.
    pub size: usize,
    /// Number of owned atoms; they come first.
    pub owned: usize,
    /// Number of owned and ghost atoms together.
    pub atoms: usize,
    /// `owned` + 1 numbers, from 0: neighbours of owned atom i are `neighbors[offsets[i]]` to
    /// `neighbors[offsets[i + 1] - 1]`.
    pub offsets: *const usize,
    /// `offsets[owned]` indices of owned or ghost atoms, counted from `base`.
    pub neighbors: *const i32,
    /// `atoms` indices of atoms, counted from `base`: which one each atom is a copy of. Itself for an owned atom; for a ghost
    /// the owned atom, or, if that is another process's, one of its ghosts here, which is its own owner and stands for all.
    /// Null: every ghost is taken for another process's, even if several are copies of one.
    pub owners: *const i32,
    /// What the host counts atoms from: 0 or 1.
    pub base: i32,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_neighbors {
    const NAME: &'static str = "fsn_neighbors";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// A host's function that moves rows of numbers from owned atoms to their ghosts. Returns 0 if it worked.
///
/// `rows` has rows of `width` numbers of `element_size` bytes, 4 (float) or 8 (double): for each owned atom, then for each ghost
/// that is its own owner, in their order; without owners, for each ghost.
/// Called on the thread that called `fsn_potential_compute_domain`, on every process for each block but the first and, if forces
/// or virials are wanted, once more for each block.
/// The rows are the library's and valid during the call only. It may not use the potential that calls it, nor leave by an
/// exception or a jump.
#[allow(non_camel_case_types)]
pub type fsn_exchange = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        rows: *mut c_void,
        width: usize,
        element_size: usize,
    ) -> i32,
>;

/// Rows of numbers in a GPU's memory, for a host that moves them there.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_device_rows {
    /// `sizeof(fsn_device_rows)`, as the library has it.
    pub size: usize,
    /// Address of the first row on the GPU that the potential is on.
    pub rows: *mut c_void,
    /// Numbers of a row.
    pub width: usize,
    /// Numbers from the beginning of a row to that of the next; those between rows are zero and have to stay so.
    pub stride: usize,
    /// Bytes of a number: 4 (float) or 8 (double).
    pub element_size: usize,
    /// The potential's `cudaStream_t` (`CUstream`). Rows are ready when what is on it is done, and what is put on it is done before
    /// the potential goes on. A host that communicates otherwise waits for the stream first, and returns when ghosts are filled.
    pub stream: *mut c_void,
}

/// As `fsn_exchange`, with rows in the GPU's memory; `rows` is valid during the call only. Returns 0 if it worked.
#[allow(non_camel_case_types)]
pub type fsn_device_exchange =
    Option<unsafe extern "C" fn(context: *mut c_void, rows: *const fsn_device_rows) -> i32>;

/// The positions of a host's atoms for the list set with `fsn_potential_set_neighbors`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_domain {
    /// `sizeof(fsn_domain)`.
    pub size: usize,
    /// Number of owned and ghost atoms together, as in the list.
    pub atoms: usize,
    /// `atoms` × 3 Cartesian coordinates in the model's unit of length.
    pub positions: *const f64,
    /// `atoms` types: the model's own integers.
    pub types: *const i32,
    /// Fills the rows of ghosts, features and gradients alike, from those of the atoms that they are copies of. May be null if all
    /// ghosts are copies of owned atoms, or, without owners, for a network of one block.
    pub forward: fsn_exchange,
    /// Not called: gradients go forward, too. May be null.
    pub reverse: fsn_exchange,
    /// Handed to `forward` and `forward_on_device`.
    pub context: *mut c_void,
    /// Called in place of `forward` where the potential is on a GPU. Null: rows are brought to the host's memory.
    pub forward_on_device: fsn_device_exchange,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_domain {
    const NAME: &'static str = "fsn_domain";
    const FIRST_SIZE: usize = std::mem::offset_of!(Self, forward_on_device);
}

/// Takes over a host's neighbour list for `fsn_potential_compute_domain`: a copy is made, so call it when the list has
/// changed, not every step. On an error the list set before is kept.
///
/// Errors: `FSN_INVALID_ARGUMENT`; the text names the row or entry at fault. Threads: any; calls with one potential take
/// turns.
///
/// # Safety
/// `potential` is a live handle; `neighbors` has as many readable bytes as its `size` says, and its arrays the lengths
/// stated there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_potential_set_neighbors(
    potential: *mut fsn_potential,
    neighbors: *const fsn_neighbors,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let mut potential = unsafe { arrays::required(potential, "potential") }?.lock();
        // SAFETY: by this function's contract.
        let given = unsafe { structs::read(neighbors) }?;
        let offsets_length = given
            .owned
            .checked_add(1)
            .ok_or_else(|| Error::invalid("owned is too large"))?;
        // SAFETY: by this function's contract.
        let offsets = unsafe { input(given.offsets, offsets_length, "offsets") }?;
        // SAFETY: by this function's contract.
        let (entries, owners) = unsafe {
            (
                input(given.neighbors, offsets[given.owned], "neighbors")?,
                optional(given.owners, given.atoms, "owners")?,
            )
        };
        if given.base != 0 && given.base != 1 {
            return Err(Error::invalid(format!(
                "base is {}, must be 0 or 1",
                given.base
            )));
        }
        potential.set_neighbors(&HostNeighbors {
            atoms: given.atoms,
            offsets,
            neighbors: entries,
            base: given.base,
            owners,
        })
    })
}

/// Computes a host's domain with the list set before: the network, and not the model's priors, whose terms may reach over
/// several domains and which hosts evaluate as bonded terms of their own. Units and arrays: as `fsn_potential_compute`.
///
/// Errors: as there, `FSN_INVALID_ARGUMENT` also without a list or with an exchange that does not fit it, and
/// `FSN_CALLBACK_ERROR` if a callback returned anything but 0.
///
/// Every process of a host that divides space calls this at the same time, also one that owns no atom, since all take part
/// in the exchange. A process whose call fails leaves the exchange: it is for the host to end the others.
/// Threads: any; calls with one potential take turns, and the callbacks run on the thread that called.
///
/// # Safety
/// `potential` is a live handle; the structs have as many readable bytes as their `size` says, and their arrays the
/// lengths stated there; the callbacks keep to their description.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_potential_compute_domain(
    potential: *mut fsn_potential,
    domain: *const fsn_domain,
    results: *const fsn_results,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let mut potential = unsafe { arrays::required(potential, "potential") }?.lock();
        // SAFETY: by this function's contract.
        let (given, out) = unsafe { (structs::read(domain)?, structs::read(results)?) };
        if !out.term_energies.is_null() {
            return Err(Error::unsupported(
                "term_energies of a domain: priors are not evaluated there",
            ));
        }
        // SAFETY: by this function's contract.
        let (positions, types) = unsafe {
            (
                input(given.positions.cast::<[f64; 3]>(), given.atoms, "positions")?,
                input(given.types, given.atoms, "types")?,
            )
        };
        let mut callback = Callback {
            forward: given.forward,
            on_device: given.forward_on_device,
            context: given.context,
        };
        let there = given.forward.is_some() || given.forward_on_device.is_some();
        let exchange = there.then_some(&mut callback as &mut dyn Exchange);
        let results =
            potential.compute_domain(&Domain { positions, types }, exchange, wanted(&out)?)?;
        // SAFETY: by this function's contract.
        unsafe { write_results(&out, results) };
        Ok(())
    })
}

/// A host's callbacks, of which there is one at least.
struct Callback {
    forward: fsn_exchange,
    on_device: fsn_device_exchange,
    context: *mut c_void,
}

impl Callback {
    fn in_host_memory(&self, rows: *mut c_void, width: usize, element_size: usize) -> Result<i32> {
        let forward = self.forward.ok_or_else(|| {
            Error::invalid("forward is null: forward_on_device serves potentials on a GPU alone")
        })?;
        // SAFETY: the host promised a function of this description; the rows are ours and live through the call.
        Ok(unsafe { forward(self.context, rows, width, element_size) })
    }
}

impl Exchange for Callback {
    fn forward(&mut self, rows: Rows, width: usize) -> Result<()> {
        let code = match rows {
            Rows::F64(rows) => self.in_host_memory(rows.as_mut_ptr().cast(), width, 8)?,
            Rows::F32(rows) => self.in_host_memory(rows.as_mut_ptr().cast(), width, 4)?,
            Rows::OnDevice(rows) => {
                let told = fsn_device_rows {
                    size: size_of::<fsn_device_rows>(),
                    rows: rows.address as *mut c_void,
                    width,
                    stride: rows.stride,
                    element_size: rows.element_size,
                    stream: rows.stream as *mut c_void,
                };
                // SAFETY: as above.
                self.on_device.map_or(0, |forward| unsafe {
                    forward(self.context, &raw const told)
                })
            }
        };
        match code {
            0 => Ok(()),
            code => Err(Error::Callback(format!(
                "the forward exchange returned {code}"
            ))),
        }
    }

    fn on_device(&self) -> bool {
        self.on_device.is_some()
    }
}
