//! The one error type of the library and the status codes it maps to.

use std::path::Path;

/// Result of every fallible function in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, each with a text that names the file, field, type or atom.
///
/// The text of [`std::fmt::Display`] is what every language binding shows, unchanged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// An argument of the call is not what the function accepts.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// A file could not be read.
    #[error("cannot read {file}: {reason}")]
    Io {
        /// Path as given by the caller.
        file: String,
        /// The operating system's reason.
        reason: String,
    },
    /// A model file is truncated, damaged or describes something inconsistent.
    #[error("{file}: {field}: {reason}")]
    Model {
        /// Path, or the name given to a model in memory.
        file: String,
        /// The field of the description or the tensor at fault.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The request is valid but this build, engine or device does not offer it.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Memory could not be had.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The result is not finite.
    #[error("numerical failure: {0}")]
    Numerical(String),
    /// A callback of the host returned an error.
    #[error("callback failed: {0}")]
    Callback(String),
    /// A GPU failed while it was in use.
    #[error("device failed: {0}")]
    Device(String),
    /// What was enqueued on a GPU is to be computed once more.
    #[error("compute again: {0}")]
    Again(String),
    /// A defect in the library itself.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// An [`Error::InvalidArgument`] from anything printable.
    pub fn invalid(reason: impl Into<String>) -> Self {
        Self::InvalidArgument(reason.into())
    }

    /// An [`Error::Unsupported`] from anything printable.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported(reason.into())
    }

    /// An [`Error::Model`] for `field` of `file`.
    pub fn model(file: &str, field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Model {
            file: file.to_owned(),
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// An [`Error::Io`] for `path`.
    pub fn io(path: &Path, error: &std::io::Error) -> Self {
        Self::Io {
            file: path.display().to_string(),
            reason: error.to_string(),
        }
    }
}
