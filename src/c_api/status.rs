//! Status codes, the last error, versions; and the one guard every entry point goes through.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Error;

/// What a function reports. Anything but `FSN_SUCCESS` leaves outputs as they were and a text in
/// `fsn_last_error`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types)]
pub enum fsn_status {
    /// It worked.
    FSN_SUCCESS = 0,
    /// An argument is not what the function accepts.
    FSN_INVALID_ARGUMENT = 1,
    /// A file could not be read.
    FSN_IO_ERROR = 2,
    /// A model file is truncated, damaged or inconsistent.
    FSN_MODEL_ERROR = 3,
    /// The request is valid, but this build, engine or device does not offer it.
    FSN_UNSUPPORTED = 4,
    /// Memory could not be had.
    FSN_OUT_OF_MEMORY = 5,
    /// A result is not finite.
    FSN_NUMERICAL_ERROR = 6,
    /// A callback of the host returned an error.
    FSN_CALLBACK_ERROR = 7,
    /// A GPU failed while it was in use; the potential is of no use any more.
    FSN_DEVICE_ERROR = 8,
    /// What was enqueued on a GPU has to be computed once more; see `fsn_potential_check`.
    FSN_AGAIN = 9,
    /// A defect in the library itself.
    FSN_INTERNAL_ERROR = 255,
}

impl From<&Error> for fsn_status {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidArgument(_) => Self::FSN_INVALID_ARGUMENT,
            Error::Io { .. } => Self::FSN_IO_ERROR,
            Error::Model { .. } => Self::FSN_MODEL_ERROR,
            Error::Unsupported(_) => Self::FSN_UNSUPPORTED,
            Error::OutOfMemory(_) => Self::FSN_OUT_OF_MEMORY,
            Error::Numerical(_) => Self::FSN_NUMERICAL_ERROR,
            Error::Callback(_) => Self::FSN_CALLBACK_ERROR,
            Error::Device(_) => Self::FSN_DEVICE_ERROR,
            Error::Again(_) => Self::FSN_AGAIN,
            Error::Internal(_) => Self::FSN_INTERNAL_ERROR,
        }
    }
}

/// Raised when the meaning of the interface changes incompatibly.
pub const FSN_ABI_VERSION: u32 = 1;

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

/// Runs `body`; turns an error or a panic into a status and this thread's last error.
pub(super) fn guard(body: impl FnOnce() -> crate::Result<()>) -> fsn_status {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::Internal(
            text.unwrap_or_else(|| "unknown panic".into()),
        ))
    });
    match result {
        Ok(()) => fsn_status::FSN_SUCCESS,
        Err(error) => {
            let text = error.to_string().replace('\0', "\u{fffd}");
            LAST_ERROR.with(|last| {
                *last.borrow_mut() = CString::new(text).unwrap_or_default();
            });
            fsn_status::from(&error)
        }
    }
}

/// The text of the last error on the calling thread; empty if there was none.
///
/// UTF-8. Valid until the next failing call on the same thread, which a successful one does not change. Never null.
/// Threads: each has its own.
#[unsafe(no_mangle)]
pub extern "C" fn fsn_last_error() -> *const c_char {
    LAST_ERROR.with(|last| last.borrow().as_ptr())
}

/// The library's version, as "major.minor.patch". Never null, valid for ever. Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn fsn_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}

/// The version of the binary interface: a program made for `FSN_ABI_VERSION` works with a library that
/// returns the same number here; docs/abi.md says what may change without it. Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn fsn_abi_version() -> u32 {
    FSN_ABI_VERSION
}
