//! `fsn_simulation`: dynamics of many replicas.

use std::ffi::{CString, c_char};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arrays::{self, check_output, input, optional};
use super::potential::{fsn_potential, lock};
use super::status::{fsn_status, guard};
use super::structs::{self, Sized_};
use super::structures::{self, fsn_structures};
use crate::dynamics::{Integrator, Settings, Simulation};
use crate::potential::Potential;
use crate::{Error, Result};

/// Langevin dynamics by the splitting BAOAB.
pub const FSN_LANGEVIN: i32 = 0;
/// Newton's equations by velocity Verlet.
pub const FSN_VERLET: i32 = 1;

/// Replicas that move together. It may be used from any thread; two threads that use the same one wait for each other.
#[allow(non_camel_case_types)]
pub struct fsn_simulation {
    inner: Mutex<Inner>,
}

struct Inner {
    simulation: Simulation,
    potential: Arc<Mutex<Potential>>,
    /// The text last handed out.
    reason: CString,
}

impl fsn_simulation {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a simulation is told. Zero in a field that may be zero is its default. Time is in ps, mass in u, the rest in the
/// model's units.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_settings {
    /// `sizeof(fsn_settings)`.
    pub size: usize,
    /// `FSN_LANGEVIN` or `FSN_VERLET`.
    pub integrator: i32,
    /// Time step in ps.
    pub timestep: f64,
    /// Friction of Langevin dynamics in 1/ps.
    pub friction: f64,
    /// Where random numbers begin: they are a function of it, a replica's stream, the atom and the step.
    pub seed: u64,
    /// Thermal energy k·T of each replica; may be zero with `FSN_VERLET`.
    pub thermal_energies: *const f64,
    /// Mass of each atom in u. Null: those of the model's types.
    pub masses: *const f64,
    /// Atoms × 3: velocities in the unit of length per ps. Null: drawn from the Maxwell–Boltzmann distribution.
    pub velocities: *const f64,
    /// Stream of random numbers of each replica, no two the same. Null: 0, 1, 2, …
    pub streams: *const u32,
    /// Steps between attempts to exchange configurations of neighbouring temperatures; 0: never.
    pub exchange_interval: u64,
    /// The ladder of temperatures each replica belongs to, negative for none. Null: all to one. Replicas of a ladder
    /// must be of one kind.
    pub ladders: *const i32,
    /// A replica has blown up if an atom moves further than this in one step; 0: 10 Å.
    pub largest_step: f64,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_settings {
    const NAME: &'static str = "fsn_settings";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Where the state of a simulation goes, in the model's units; each pointer may be null. Replicas are one after the other.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_state {
    /// `sizeof(fsn_state)`, set by the caller.
    pub size: usize,
    /// Steps made so far; one number.
    pub steps: *mut u64,
    /// Atoms × 3.
    pub positions: *mut f64,
    /// Atoms × 3, in the unit of length per ps.
    pub velocities: *mut f64,
    /// Atoms × 3: forces at the positions.
    pub forces: *mut f64,
    /// Potential energy of each replica.
    pub energies: *mut f64,
    /// Kinetic energy of each replica: with `FSN_LANGEVIN`, once a step has been made, in the middle of the last step, where its
    /// mean has no error of the time step for an oscillator; with `FSN_VERLET` that of `velocities`.
    pub kinetic_energies: *mut f64,
    /// Replicas × (1 + priors): energy of the network, then of each prior.
    pub term_energies: *mut f64,
    /// For each replica, the one whose first configuration it has by now, after exchanges.
    pub walkers: *mut u32,
    /// For each replica, the step that blew it up, or 0: from then on it stands still, as it was before that step.
    pub frozen: *mut u64,
    /// Number of pairs of neighbouring temperatures that exchange; one number.
    pub pairs: *mut usize,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers and pointers.
unsafe impl Sized_ for fsn_state {
    const NAME: &'static str = "fsn_state";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Two replicas at neighbouring temperatures and their exchanges. Set `size` to `sizeof(fsn_exchanges)` before
/// `fsn_simulation_get_exchanges`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_exchanges {
    /// `sizeof(fsn_exchanges)`, set by the caller.
    pub size: usize,
    /// The colder replica.
    pub colder: usize,
    /// The warmer replica.
    pub warmer: usize,
    /// Exchanges attempted.
    pub attempts: u64,
    /// Exchanges made.
    pub accepted: u64,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers.
unsafe impl Sized_ for fsn_exchanges {
    const NAME: &'static str = "fsn_exchanges";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Makes a simulation of the replicas in `structures`, and computes their energies and forces for the first time.
///
/// On success `*simulation` is a new handle, to be freed with `fsn_simulation_free`; it keeps the potential, whose handle may
/// be freed first. Leave the potential to the simulation: other structures computed with it in between cost new neighbour
/// lists, and what follows is then the same only up to rounding. Errors: as `fsn_potential_compute`, and
/// `FSN_INVALID_ARGUMENT` for settings that make no sense.
///
/// Threads: any; calls with one potential take turns.
///
/// # Safety
/// `potential` is a live handle; the structs have as many readable bytes as their `size` says, and their arrays the
/// lengths stated there (those of the settings: replicas or atoms of `structures`); `simulation` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_simulation_new(
    potential: *mut fsn_potential,
    structures: *const fsn_structures,
    settings: *const fsn_settings,
    simulation: *mut *mut fsn_simulation,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (potential, view, given) = unsafe {
            (
                arrays::required(potential, "potential")?,
                structures::read(structures, true)?,
                structs::read(settings)?,
            )
        };
        let structures = view.structures();
        let (replicas, atoms) = (structures.offsets.len() - 1, structures.positions.len());
        // SAFETY: by this function's contract.
        let settings = unsafe {
            Settings {
                integrator: match given.integrator {
                    FSN_LANGEVIN => Integrator::Langevin {
                        friction: given.friction,
                    },
                    FSN_VERLET => Integrator::Verlet,
                    other => {
                        return Err(Error::invalid(format!(
                            "integrator is {other}, not FSN_LANGEVIN or FSN_VERLET"
                        )));
                    }
                },
                timestep: given.timestep,
                seed: given.seed,
                thermal: input(given.thermal_energies, replicas, "thermal_energies")?,
                masses: optional(given.masses, atoms, "masses")?,
                velocities: optional(given.velocities.cast(), atoms, "velocities")?,
                streams: optional(given.streams, replicas, "streams")?,
                exchange_interval: given.exchange_interval,
                ladders: optional(given.ladders, replicas, "ladders")?,
                largest_step: (given.largest_step != 0.0).then_some(given.largest_step),
            }
        };
        let make = || {
            Ok(fsn_simulation {
                inner: Mutex::new(Inner {
                    simulation: Simulation::new(&mut potential.lock(), &structures, &settings)?,
                    potential: potential.potential.clone(),
                    reason: CString::default(),
                }),
            })
        };
        // SAFETY: by this function's contract.
        unsafe { arrays::store(simulation, make) }
    })
}

/// Frees a simulation. Null is fine.
///
/// Threads: any; not while another call uses the handle.
///
/// # Safety
/// `simulation` comes from this library and has not been freed; nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_simulation_free(simulation: *mut fsn_simulation) {
    let _ = guard(|| {
        // SAFETY: by this function's contract.
        unsafe { arrays::free(simulation) };
        Ok(())
    });
}

/// Makes `steps` steps, on the GPU if the potential is on one. A replica that blows up stands still from then on, and the others go on; see `frozen` of
/// `fsn_state`. Errors are those that no replica is to blame for; the state is then that of the last whole step.
///
/// Threads: any; calls with one simulation take turns.
///
/// # Safety
/// `simulation` is a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_simulation_run(
    simulation: *mut fsn_simulation,
    steps: u64,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let mut inner = unsafe { arrays::required(simulation, "simulation") }?.lock();
        let Inner {
            simulation,
            potential,
            ..
        } = &mut *inner;
        simulation.run(&mut lock(potential), steps)
    })
}

/// Copies the state to where the pointers of `*state` lead. Errors: `FSN_INVALID_ARGUMENT`.
///
/// Threads: any; calls with one simulation take turns.
///
/// # Safety
/// `simulation` is a live handle; `state` has as many readable bytes as its `size` says, and its pointers are null or
/// writable for the lengths stated there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_simulation_get_state(
    simulation: *const fsn_simulation,
    state: *const fsn_state,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let inner = unsafe { arrays::required(simulation, "simulation") }?.lock();
        // SAFETY: by this function's contract.
        let out = unsafe { structs::read(state) }?;
        check_state(&out)?;
        let (simulation, state) = (&inner.simulation, inner.simulation.state());
        let kinetic: Vec<f64> = (0..state.energies.len())
            .map(|replica| simulation.kinetic_energy(replica))
            .collect();
        let frozen: Vec<u64> = state
            .frozen
            .iter()
            .map(|frozen| frozen.as_ref().map_or(0, |blow_up| blow_up.step))
            .collect();
        // SAFETY: by this function's contract.
        unsafe {
            arrays::write(out.steps, &[state.step]);
            arrays::write(out.positions, state.positions.as_flattened());
            arrays::write(out.velocities, state.velocities.as_flattened());
            arrays::write(out.forces, state.forces.as_flattened());
            arrays::write(out.energies, &state.energies);
            arrays::write(out.kinetic_energies, &kinetic);
            arrays::write(out.term_energies, &state.terms);
            arrays::write(out.walkers, &state.walkers);
            arrays::write(out.frozen, &frozen);
            arrays::write(out.pairs, &[simulation.pairs().len()]);
        }
        Ok(())
    })
}

fn check_state(out: &fsn_state) -> Result<()> {
    check_output(out.steps, "steps")?;
    check_output(out.positions, "positions")?;
    check_output(out.velocities, "velocities")?;
    check_output(out.forces, "forces")?;
    check_output(out.energies, "energies")?;
    check_output(out.kinetic_energies, "kinetic_energies")?;
    check_output(out.term_energies, "term_energies")?;
    check_output(out.walkers, "walkers")?;
    check_output(out.frozen, "frozen")?;
    check_output(out.pairs, "pairs")
}

/// Why a replica stands still; empty if it does not. Null for a null simulation or a replica that is not there. Valid
/// until the next call of this function with the same simulation.
///
/// Threads: any; calls with one simulation take turns.
///
/// # Safety
/// `simulation` is null or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_simulation_get_reason(
    simulation: *mut fsn_simulation,
    replica: usize,
) -> *const c_char {
    // SAFETY: by this function's contract.
    let Some(simulation) = (unsafe { simulation.as_ref() }) else {
        return std::ptr::null();
    };
    let mut inner = simulation.lock();
    let Some(frozen) = inner.simulation.state().frozen.get(replica) else {
        return std::ptr::null();
    };
    let reason = frozen.as_ref().map_or("", |blow_up| &blow_up.reason);
    inner.reason = CString::new(reason).unwrap_or_default();
    inner.reason.as_ptr()
}

/// Fills `*exchanges` with pair number `index` of neighbouring temperatures, counted from 0, of one ladder after the other.
/// Errors: `FSN_INVALID_ARGUMENT`, also for an index beyond the last pair.
///
/// Threads: any; calls with one simulation take turns.
///
/// # Safety
/// `simulation` is a live handle; `exchanges` has as many writable bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_simulation_get_exchanges(
    simulation: *const fsn_simulation,
    index: usize,
    exchanges: *mut fsn_exchanges,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let inner = unsafe { arrays::required(simulation, "simulation") }?.lock();
        let pairs = inner.simulation.pairs();
        let pair = pairs.get(index).ok_or_else(|| {
            Error::invalid(format!(
                "there is no pair number {index}, the simulation has {}",
                pairs.len()
            ))
        })?;
        let filled = fsn_exchanges {
            size: 0,
            colder: pair.replicas[0],
            warmer: pair.replicas[1],
            attempts: pair.attempts,
            accepted: pair.accepted,
        };
        // SAFETY: by this function's contract.
        unsafe { structs::write(exchanges, &filled) }
    })
}

/// Writes a checkpoint: all that the next step depends on. With a null `bytes`, only `*length` is set, to the bytes it
/// takes; else `*length` says how many there are, which must be enough, and is set to those written.
///
/// Threads: any; calls with one simulation take turns.
///
/// # Safety
/// `simulation` is a live handle; `length` is readable and writable; `bytes` is null or has `*length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_simulation_checkpoint(
    simulation: *const fsn_simulation,
    bytes: *mut u8,
    length: *mut usize,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let inner = unsafe { arrays::required(simulation, "simulation") }?.lock();
        // SAFETY: by this function's contract.
        let room = *unsafe { arrays::required(length, "length") }?;
        let checkpoint = inner.simulation.checkpoint(&lock(&inner.potential));
        if !bytes.is_null() && room < checkpoint.len() {
            return Err(Error::invalid(format!(
                "length is {room}, the checkpoint has {} bytes",
                checkpoint.len()
            )));
        }
        // SAFETY: by this function's contract; there is room.
        unsafe {
            arrays::write(bytes, &checkpoint);
            *length = checkpoint.len();
        }
        Ok(())
    })
}

/// Goes on from a checkpoint of a simulation that was told the same: what follows is what would have followed there, to
/// the bit. Errors: `FSN_INVALID_ARGUMENT` for bytes that are no checkpoint, are damaged or belong to another simulation;
/// the simulation is then as it was.
///
/// Threads: any; calls with one simulation take turns.
///
/// # Safety
/// `simulation` is a live handle; `bytes` has `length` readable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_simulation_restore(
    simulation: *mut fsn_simulation,
    bytes: *const u8,
    length: usize,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let mut inner = unsafe { arrays::required(simulation, "simulation") }?.lock();
        // SAFETY: by this function's contract.
        let bytes = unsafe { input(bytes, length, "bytes") }?;
        let Inner {
            simulation,
            potential,
            ..
        } = &mut *inner;
        simulation.restore(&mut lock(potential), bytes)
    })
}
