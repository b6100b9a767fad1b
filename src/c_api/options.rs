//! `fsn_options`: what a caller can choose about a potential.

use std::ffi::c_char;

use super::arrays;
use super::status::{fsn_status, guard};
use super::structs::{self, Sized_};
use crate::potential::{Device, Filters, Options, Precision, PriorUse};
use crate::{Error, Result};

/// The fastest device that is there.
pub const FSN_DEVICE_AUTO: i32 = 0;
/// The processor.
pub const FSN_DEVICE_CPU: i32 = 1;
/// An NVIDIA GPU.
pub const FSN_DEVICE_CUDA: i32 = 2;

/// float32 arithmetic, energies summed in float64.
pub const FSN_PRECISION_SINGLE: i32 = 0;
/// float64 arithmetic.
pub const FSN_PRECISION_DOUBLE: i32 = 1;
/// 16-bit weights with a scale per channel, float32 arithmetic.
pub const FSN_PRECISION_HALF: i32 = 2;

/// What is fastest within the engine's error bound.
pub const FSN_FILTERS_AUTO: i32 = 0;
/// The filter network, at every pair.
pub const FSN_FILTERS_EXACT: i32 = 1;
/// A table of the filters and their derivatives.
pub const FSN_FILTERS_TABLE: i32 = 2;

/// A model's priors are part of every energy and force.
pub const FSN_PRIORS_ON: i32 = 0;
/// The network alone.
pub const FSN_PRIORS_OFF: i32 = 1;

/// Choices for a potential. Zero in every field but `size` is the default.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct fsn_options {
    /// `sizeof(fsn_options)`.
    pub size: usize,
    /// One of `FSN_DEVICE_*`.
    pub device: i32,
    /// One of `FSN_PRECISION_*`.
    pub precision: i32,
    /// One of `FSN_FILTERS_*`.
    pub filters: i32,
    /// Threads; 0: the environment's `OMP_NUM_THREADS`, else as many as the machine offers.
    pub threads: i32,
    /// Extra radius of the potential's own neighbour lists, in the model's unit of length, so that a list
    /// serves until an atom has moved half of it; 0: 1 Å; negative: none, a new list in every call.
    pub skin: f64,
    /// One of `FSN_PRIORS_*`.
    pub priors: i32,
}

// SAFETY: repr(C), begins with usize, zero is valid for numbers.
unsafe impl Sized_ for fsn_options {
    const NAME: &'static str = "fsn_options";
    const FIRST_SIZE: usize = std::mem::offset_of!(Self, priors);
}

/// Sets one choice from its text, as hosts find it in their inputs: `key` is "device" (auto, cpu, cuda or gpu), "precision" (single,
/// double, half), "filters" (auto, exact, table), "threads" (a number from 1 on), "skin" (a length, 0 for none) or "priors"
/// (on, off).
///
/// Errors: `FSN_INVALID_ARGUMENT`, with a text that lists what is accepted; `options` is then unchanged.
///
/// Threads: any; `options` is the caller's own memory.
///
/// # Safety
/// `options` has as many readable and writable bytes as its `size` says; `key` and `value` are strings that end in a
/// null byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsn_options_set(
    options: *mut fsn_options,
    key: *const c_char,
    value: *const c_char,
) -> fsn_status {
    guard(|| {
        // SAFETY: by this function's contract.
        let (given, key, value) = unsafe {
            (
                structs::read(options)?,
                arrays::string(key, "key")?,
                arrays::string(value, "value")?,
            )
        };
        let mut chosen = read_options(&given)?;
        chosen.set(&key.to_string_lossy(), &value.to_string_lossy())?;
        // SAFETY: by this function's contract.
        unsafe { structs::write(options, &write_options(&chosen)?) }
    })
}

pub(super) fn read_options(given: &fsn_options) -> Result<Options> {
    Ok(Options {
        device: match given.device {
            FSN_DEVICE_AUTO => Device::Auto,
            FSN_DEVICE_CPU => Device::Cpu,
            FSN_DEVICE_CUDA => Device::Cuda,
            other => {
                return Err(Error::invalid(format!(
                    "device is {other}, not one of FSN_DEVICE_*"
                )));
            }
        },
        precision: match given.precision {
            FSN_PRECISION_SINGLE => Precision::Single,
            FSN_PRECISION_DOUBLE => Precision::Double,
            FSN_PRECISION_HALF => Precision::Half,
            other => {
                return Err(Error::invalid(format!(
                    "precision is {other}, not one of FSN_PRECISION_*"
                )));
            }
        },
        filters: match given.filters {
            FSN_FILTERS_AUTO => Filters::Auto,
            FSN_FILTERS_EXACT => Filters::Exact,
            FSN_FILTERS_TABLE => Filters::Table,
            other => {
                return Err(Error::invalid(format!(
                    "filters is {other}, not one of FSN_FILTERS_*"
                )));
            }
        },
        threads: match given.threads {
            0 => None,
            threads => Some(usize::try_from(threads).map_err(|_| {
                Error::invalid(format!("threads is {threads}, must not be negative"))
            })?),
        },
        skin: if given.skin == 0.0 {
            None
        } else if given.skin < 0.0 {
            Some(0.0)
        } else {
            Some(given.skin)
        },
        priors: match given.priors {
            FSN_PRIORS_ON => PriorUse::On,
            FSN_PRIORS_OFF => PriorUse::Off,
            other => {
                return Err(Error::invalid(format!(
                    "priors is {other}, not one of FSN_PRIORS_*"
                )));
            }
        },
    })
}

fn write_options(options: &Options) -> Result<fsn_options> {
    let threads = i32::try_from(options.threads.unwrap_or(0));
    Ok(fsn_options {
        size: 0,
        device: match options.device {
            Device::Auto => FSN_DEVICE_AUTO,
            Device::Cpu => FSN_DEVICE_CPU,
            Device::Cuda => FSN_DEVICE_CUDA,
        },
        precision: match options.precision {
            Precision::Single => FSN_PRECISION_SINGLE,
            Precision::Double => FSN_PRECISION_DOUBLE,
            Precision::Half => FSN_PRECISION_HALF,
        },
        filters: match options.filters {
            Filters::Auto => FSN_FILTERS_AUTO,
            Filters::Exact => FSN_FILTERS_EXACT,
            Filters::Table => FSN_FILTERS_TABLE,
        },
        threads: threads.map_err(|_| Error::invalid("threads is too large"))?,
        skin: match options.skin {
            None => 0.0,
            Some(0.0) => -1.0,
            Some(skin) => skin,
        },
        priors: match options.priors {
            PriorUse::On => FSN_PRIORS_ON,
            PriorUse::Off => FSN_PRIORS_OFF,
        },
    })
}
