//! `fsn_potential`: computing energies, forces and virials.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Arc, Mutex, MutexGuard};

use super::arrays;
use super::model::fsn_model;
use super::options::{fsn_options, read_options};
use super::results::{fsn_results, wanted, write_results};
use super::status::{fsn_status, guard};
use super::structs::{self, Sized_};
use super::structures::{self, fsn_structures};
use crate::engine::cuda::{Facts, KernelFacts};
use crate::potential::{Device, Filters, Options, Potential, Precision};

/// A model on a device, with its workspace. It may be used from any thread; two threads that use the same one
/// wait for each other, two potentials work side by side.
#[allow(non_camel_case_types)]
pub struct fsn_potential {
    /// Shared with the simulations that compute with it.
    pub(super) potential: Arc<Mutex<Potential>>,
    notes: CString,
    /// Name of the GPU and what its kernels take; empty without one.
    gpu: CString,
    kernels: CString,
    gpu_memory: usize,
    compute_capability: i32,
}

impl fsn_potential {
    pub(super) fn lock(&self) -> MutexGuard<'_, Potential> {
        lock(&self.potential)
    }
}

/// A panic in another thread's call leaves a workspace that the next call fills anew.
pub(super) fn lock(potential: &Mutex<Potential>) -> MutexGuard<'_, Potential> {
    potential
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How a potential computes. Set `size` to `sizeof(fsn_potential_info)` before `fsn_potential_get_info`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_potential_info {
    /// `sizeof(fsn_potential_info)`, set by the caller.
    pub size: usize,
    /// The device in use: "cpu" or "cuda". This and the names below are valid for ever.
    pub device: *const c_char,
    /// "single", "double" or "half".
    pub precision: *const c_char,
    /// How filters are evaluated: "exact" or "table".
    pub filters: *const c_char,
    /// Threads in use.
    pub threads: usize,
    /// Intervals of the tables; 0 where filters are exact.
    pub table_intervals: usize,
    /// Error of the tables: of W or dW/dr, in the 2-norm over channels, at most, relative to the root mean square over
    /// distances nearby, measured when they were made; 0 where filters are exact.
    pub table_bound: f64,
    /// Skin of its own neighbour lists, in the model's unit of length.
    pub skin: f64,
    /// How often its own neighbour list was built so far.
    pub list_builds: u64,
    /// Number of priors that are evaluated: 0 if the model has none or they are off.
    pub priors: usize,
    /// What "auto" decided against and why, for people to read: that there is no GPU, that tables would not be
    /// accurate enough. A line each, or empty. Valid until the potential is freed.
    pub notes: *const c_char,
    /// The GPU's name; empty where the processor computes. This and `kernels` are valid until the potential is freed.
    pub gpu: *const c_char,
    /// Bytes of its memory.
    pub gpu_memory: usize,
    /// What its kernels for many atoms take of a multiprocessor, for people to read: a line each with its name, registers a
    /// thread, bytes of shared memory a block, bytes a thread in memory for want of registers.
    pub kernels: *const c_char,
    /// Its compute capability, times ten.
    pub compute_capability: i32,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers.
unsafe impl Sized_ for fsn_potential_info {
    const NAME: &'static str = "fsn_potential_info";
    const FIRST_SIZE: usize = std::mem::offset_of!(Self, priors);
}

/// Makes a potential of a model. `options` may be null: all defaults.
///
/// On success `*potential` is a new handle, to be freed with `fsn_potential_free`. Errors: `FSN_UNSUPPORTED` for a
/// choice that no engine of this build offers, `FSN_INVALID_ARGUMENT` for one that makes no sense, `FSN_MODEL_ERROR` if a
/// term of a prior finds no parameters for the types it joins.
///
/// The model is needed for this call only. Tables of filters are made here.
/// Threads: any, several at once.
///
/// # Safety
/// `model` is a live handle; `options` is null or has as many readable bytes as its `size` says; `potential` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_potential_new(
    model: *const fsn_model,
    options: *const fsn_options,
    potential: *mut *mut fsn_potential,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let model = unsafe { arrays::required(model, "model") }?;
        let options = if options.is_null() {
            Options::default()
        } else {
            // SAFETY: by this function's contract.
            read_options(&unsafe { structs::read(options) }?)?
        };
        let make = || {
            let mut potential = Potential::new(model.model.clone(), options)?;
            let gpu = potential.gpu()?.unwrap_or_default();
            let text = |text: String| CString::new(text).unwrap_or_default();
            Ok(fsn_potential {
                notes: text(potential.notes().join("\n")),
                kernels: text(kernel_lines(&gpu)),
                gpu: text(gpu.name),
                gpu_memory: gpu.memory,
                compute_capability: gpu.capability as i32,
                potential: Arc::new(Mutex::new(potential)),
            })
        };
        // SAFETY: by this function's contract.
        unsafe { arrays::store(potential, make) }
    })
}

/// Frees a potential. Null is fine.
///
/// Threads: any; not while another call uses the handle.
///
/// # Safety
/// `potential` comes from this library and has not been freed; nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_potential_free(potential: *mut fsn_potential) {
    let _ = guard(|| {
        // SAFETY: by this function's contract.
        unsafe { arrays::free(potential) };
        Ok(())
    });
}

/// Fills `*info`, whose `size` the caller has set. Errors: `FSN_INVALID_ARGUMENT`.
///
/// Threads: any; calls with one potential take turns.
///
/// # Safety
/// `potential` is a live handle; `info` has as many writable bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_potential_get_info(
    potential: *const fsn_potential,
    info: *mut fsn_potential_info,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let handle = unsafe { arrays::required(potential, "potential") }?;
        let potential = handle.lock();
        let options = potential.options();
        let filled = fsn_potential_info {
            size: 0,
            device: device_name(options.device).as_ptr(),
            precision: precision_name(options.precision).as_ptr(),
            filters: filters_name(options.filters).as_ptr(),
            threads: options.threads.unwrap_or(0),
            table_intervals: potential.table().map_or(0, |table| table.intervals),
            table_bound: potential.table().map_or(0.0, |table| table.bound),
            skin: potential.skin(),
            list_builds: potential.builds(),
            priors: potential.priors(),
            notes: handle.notes.as_ptr(),
            gpu: handle.gpu.as_ptr(),
            gpu_memory: handle.gpu_memory,
            kernels: handle.kernels.as_ptr(),
            compute_capability: handle.compute_capability,
        };
        // SAFETY: by this function's contract.
        unsafe { structs::write(info, &filled) }
    })
}

/// Computes independent structures: the network's energy plus that of the model's priors, unless they are off. Priors
/// need to know the terms of every structure, its topology; see `topologies` of `fsn_structures`. In a periodic structure
/// they join nearest images. The neighbour list is kept from call to call and made anew only when an atom has
/// moved more than half the skin, or atoms, cells or periodicity have changed.
///
/// Errors: `FSN_INVALID_ARGUMENT` (not finite, unknown type, two atoms at one point, a periodic cell of zero volume, …; the
/// text names the atom), `FSN_NUMERICAL_ERROR` if an energy or force is not finite.
///
/// Positions and cells in the model's unit of length, results in its units of energy and length, as `fsn_model_info` names
/// them. The structs and their arrays are read during the call only; on an error no result is written.
/// Threads: any; calls with one potential take turns, and each uses as many threads as the potential has.
///
/// # Safety
/// `potential` is a live handle; the structs have as many readable bytes as their `size` says, and their arrays the
/// lengths stated there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_potential_compute(
    potential: *mut fsn_potential,
    structures: *const fsn_structures,
    results: *const fsn_results,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let mut potential = unsafe { arrays::required(potential, "potential") }?.lock();
        // SAFETY: by this function's contract.
        let (view, out) = unsafe { (structures::read(structures, true)?, structs::read(results)?) };
        let results = potential.compute(&view.structures(), wanted(&out)?)?;
        // SAFETY: by this function's contract.
        unsafe { write_results(&out, results) };
        // SAFETY: by this function's contract.
        unsafe { arrays::write(out.term_energies, potential.term_energies()) };
        Ok(())
    })
}

fn kernel_lines(gpu: &Facts) -> String {
    let line = |kernel: &KernelFacts| {
        format!(
            "{}: {} registers, {} bytes shared, {} bytes local",
            kernel.name, kernel.registers, kernel.shared, kernel.local
        )
    };
    let lines: Vec<String> = gpu.kernels.iter().map(line).collect();
    lines.join("\n")
}

fn device_name(device: Device) -> &'static CStr {
    match device {
        Device::Auto => c"auto",
        Device::Cpu => c"cpu",
        Device::Cuda => c"cuda",
    }
}

fn precision_name(precision: Precision) -> &'static CStr {
    match precision {
        Precision::Single => c"single",
        Precision::Double => c"double",
        Precision::Half => c"half",
    }
}

fn filters_name(filters: Filters) -> &'static CStr {
    match filters {
        Filters::Auto => c"auto",
        Filters::Exact => c"exact",
        Filters::Table => c"table",
    }
}
